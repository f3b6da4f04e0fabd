"""Draws each screen of the app as docs/screens/NAME.svg, from a demo store made for it. `make screens` runs it."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from colonnade.tui.app import ColonnadeApp

TARGET = Path(__file__).parent / "screens"
SIZE = (120, 34)
STATEMENT = (
    "SELECT attribute_code, count(*) AS images, avg(confidence) AS mean FROM scores "
    "WHERE status = 'accepted' GROUP BY 1 ORDER BY 2 DESC"
)
KEYS: dict[str, Sequence[str]] = {
    "browse": ("i", *"earth and moon? and not diagram", "escape", "down", "down"),
    "vocabulary": (
        "2",
        "wait",
        "down",
        "e",
        "wait",
        "end",
        *" above the horizon",
        "wait",
        "wait",
        "wait",
        "wait",
    ),
    "calibration": ("3", "wait", "enter"),
    "review": ("4",),
    "map": ("5",),
    "sql": ("6", "wait", "i", *STATEMENT, "ctrl+j"),
    "jobs": ("7",),
}
"""Screen -> the keys that lead to what is shown of it; `wait`: until nothing changes any more."""
QUIET_SECONDS, MOST_SECONDS = 3.0, 60.0


def main() -> None:
    """Draw the screens named on the command line, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("screens", nargs="*", metavar="SCREEN", help=", ".join(KEYS))
    parser.add_argument("--store", type=Path, help="a store to draw, instead of a new demo store")
    given = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or _demo(Path(folder) / "demo")
        for name in given.screens or KEYS:
            svg = asyncio.run(_draw(store, KEYS[name]))
            (TARGET / f"{name}.svg").write_text(svg, encoding="utf-8")
            print(f"docs/screens/{name}.svg  {len(svg):,} bytes", flush=True)
    os._exit(0)  # as the app does: threads that still read the store have nothing to finish


def _demo(folder: Path) -> Path:
    command = [sys.executable, "-m", "colonnade.tui.cli"]
    subprocess.run([*command, "demo", str(folder)], check=True, stdout=subprocess.DEVNULL)
    store = folder / "store"
    subprocess.run([*command, "-s", str(store), "map"], check=True, stdout=subprocess.DEVNULL)
    return store


async def _draw(store: Path, keys: Sequence[str]) -> str:
    app = ColonnadeApp(store)
    async with app.run_test(size=SIZE) as pilot:
        await _settle(app)
        for key in keys:
            if key == "wait":
                await _settle(app)
            else:
                await pilot.press("space" if key == " " else key)
        await _settle(app)
        svg = app.export_screenshot(title="colonnade")
        app.close_session()
    return svg


async def _settle(app: ColonnadeApp) -> None:
    """Wait until the session is open and the screen has not changed for a while."""
    start = changed = time.monotonic()
    seen = ""
    while time.monotonic() - start < MOST_SECONDS:
        await asyncio.sleep(0.1)
        now = app.export_screenshot(title="colonnade")
        if now != seen or app.session is None:
            seen, changed = now, time.monotonic()
        elif time.monotonic() - changed > QUIET_SECONDS:
            return


if __name__ == "__main__":
    main()
