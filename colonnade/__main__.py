"""`python -m colonnade`: the same as the `colonnade` command, where that is not on the PATH."""

import sys


def _leave_current_folder() -> None:
    """Have nothing imported from the current folder, which `python -m` puts first: it may be a stranger's store.

    It stays where the package itself lies in it, as where a wheel was unpacked.
    """
    first = sys.path.pop(0)  # before anything is imported, `__future__` and pathlib included
    from pathlib import Path

    package, folder = Path(__file__).parent, Path(first)
    current = not sys.flags.safe_path and folder.is_dir() and folder.samefile(".")
    if not current or (folder == package.parent and (package / "tui").is_dir()):
        sys.path.insert(0, first)


if __name__ == "__main__":
    _leave_current_folder()
    from colonnade.tui.cli import main

    main()
