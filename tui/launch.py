"""Starting the app: which store it opens, on which streams, and how its process ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

__all__ = ["app_wanted", "run_app", "store_for_app"]


def app_wanted(words: Sequence[str]) -> tuple[Path] | None:
    """The store to open the app on, if a command line asks for no more than that.

    `colonnade ui`, `colonnade ui STORE`, and a lone `colonnade` on a terminal inside a store. Whatever has options is
    left to the command line itself.
    """
    if not words:
        found = store_for_app(None)
        on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        return (found,) if on_terminal and _is_store(found) else None
    if words[0] == "ui" and len(words) <= 2 and not any(word.startswith("-") for word in words):
        return (store_for_app(Path(words[1]) if len(words) == 2 else None),)
    return None


def store_for_app(given: Path | None) -> Path:
    """The store's folder: as given, by $COLONNADE_STORE, or the nearest upwards; else the working directory."""
    if given is not None:
        return given
    if named := os.environ.get("COLONNADE_STORE"):
        return Path(named)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if _is_store(folder)), here)


def run_app(store: Path) -> NoReturn:
    """Run the app until it ends, and with it the process.

    Raises:
        InputError: there is no terminal.
    """
    from colonnade.engine.errors import InputError

    stdin, stderr = sys.__stdin__, sys.__stderr__
    web = "TEXTUAL_DRIVER" in os.environ
    if not web and (stdin is None or stderr is None or not stdin.isatty() or not stderr.isatty()):
        raise InputError("the app needs a terminal: run it where you can type, or use the other commands")
    import gc

    gc.disable()  # nothing of what is imported and built before the first frame will be garbage
    from colonnade.tui.app import ColonnadeApp
    from colonnade.tui.keys import configuration_path, read_configuration
    from colonnade.tui.paste import use_clean_pastes

    configuration = read_configuration(configuration_path())
    app = ColonnadeApp(store, configuration)
    if not web:
        from colonnade.tui.picture_protocol import (
            prepare,  # asks the terminal, which only the app may do from then on
        )

        app.picture_protocol = prepare(configuration.pictures)
        # Left behind by whatever used readline before; the terminal itself knows.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
    use_clean_pastes("web_driver" if web else "linux_driver")
    app.run(mouse=configuration.mouse)
    app.close_session()
    code = app.return_code or 0
    sys.stdout.flush()
    os._exit(code)  # threads that still read the store have nothing to finish


def _is_store(folder: Path) -> bool:
    try:
        return (folder / "colonnade.toml").is_file()
    except OSError:
        return False
