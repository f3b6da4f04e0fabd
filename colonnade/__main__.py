"""`python -m colonnade`: the same as the `colonnade` command, where that is not on the PATH."""

from __future__ import annotations

from colonnade.tui.cli import main

if __name__ == "__main__":
    main()
