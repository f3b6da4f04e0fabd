"""The terminal app in a real terminal: its first frame, what keys cost, silence, and memory, against their targets.

    python bench/tui.py [--images 12217 1000000] [--sizes 80x24,200x50] [--quick] [--keep DIR] [--store DIR]
                        [--harlequin PATH] [--rival-seconds 180]

Stores of N images with 40 calibrated attributes (see bench/calibration_scale.py), opened by `colonnade ui` in a pty of
each size, whose bytes are drained as they come and interpreted by pyte. The time of a key is until the last byte of the
first frame that shows its answer: the cursor on the next image, the count that plain DuckDB gives for the new
threshold, the letter in its place. Its bytes are all that follows until it is quiet. A bare Textual app, a stock
DataTable with the same rows and harlequin (`pip install harlequin`, in an environment of its own) run in turn. That
no torch, open_clip, umap or pyarrow comes into the app's process is a test: tests/test_app.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import calibration_scale
from measure import COLONNADE, run
from tui_app import measure_app, measure_start
from tui_conditions import attribute_codes, choose_conditions
from tui_report import app_lines, print_lines, print_screens, start_lines
from tui_rivals import Case, Rival, measure_datatable, measure_harlequin
from tui_terminal import Size

ATTRIBUTES, DIMENSION = 40, 512


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=[12_217, 1_000_000])
    parser.add_argument("--sizes", type=_sizes, default=_sizes("80x24,200x50"), help="80x24,200x50")
    parser.add_argument("--quick", action="store_true", help="fewer keys, and the smallest of the stores")
    parser.add_argument("--keep", type=Path, help="build the stores here and leave them")
    parser.add_argument("--store", type=Path, help="measure on this store; it is only read")
    parser.add_argument("--harlequin", default=shutil.which("harlequin"), help="the program, if not on PATH")
    parser.add_argument(
        "--rival-seconds", type=float, default=180, help="how long others may take for a start"
    )
    options = parser.parse_args()
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="colonnade-bench-"))).resolve()
    try:
        stores = [options.store.resolve()] if options.store else []
        if not stores:
            sizes = [min(options.images)] if options.quick else options.images
            stores = [make_store(folder / f"{images}", images) for images in sizes]
        for store in stores:
            measure(store, folder, options)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def make_store(folder: Path, images: int) -> Path:
    """A store with scored and calibrated attributes."""
    store = folder / "store"
    if not store.exists():
        size = ["--images", str(images), "--attributes", str(ATTRIBUTES), "--dimension", str(DIMENSION)]
        run([sys.executable, calibration_scale.__file__, "--build", str(folder), *size])
        run([COLONNADE, "-q", "-s", str(store), "calibration", "fit"])
    return store


def measure(store: Path, folder: Path, options: argparse.Namespace) -> None:
    """Measure at every size of the terminal."""
    keys, starts, idle = (12, 3, 10.0) if options.quick else (60, 7, 15.0)
    conditions = choose_conditions(store, keys // 2)
    environment = clean_environment(folder)
    print(
        f"{conditions.images:,} images x {len(attribute_codes(store))} attributes: "
        f"{conditions.text}, threshold up by 0.01; rows of {conditions.every}",
        flush=True,
    )
    given_up: dict[str, Rival] = {}
    for size in options.sizes:
        case = Case(store, size, environment, conditions, keys, folder, options.rival_seconds)
        began = measure_start(store, size, environment, starts)
        figures = measure_app(store, size, environment, conditions, keys, idle)
        rivals = measure_rivals(case, options.harlequin, given_up)
        lines = [
            *start_lines(began, rivals),
            *app_lines(figures, rivals, narrow=size == (80, 24), idle=idle),
        ]
        print_lines(f"{conditions.images:,} images at {size[0]}x{size[1]}", lines, rivals)
        print_screens(figures.screens)


def measure_rivals(case: Case, harlequin: str | None, given_up: dict[str, Rival]) -> list[Rival]:
    """The same in other programs; one that did not come to it at one size is not tried at the next."""
    rivals = [
        given_up.get("DataTable") or measure_datatable(case),
        given_up.get("harlequin") or measure_harlequin(case, harlequin),
    ]
    given_up.update({rival.name: rival for rival in rivals if rival.moves is None})
    return rivals


def clean_environment(folder: Path) -> dict[str, str]:
    """A terminal with all colours, compiled modules kept, and nobody's settings."""
    kept = ("PATH", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")
    own = {
        name: str(folder / "home" / name.lower())
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    }
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **own,
        "HOME": str(folder / "home"),
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
    }


def _sizes(text: str) -> list[Size]:
    try:
        pairs = [tuple(map(int, one.split("x"))) for one in text.split(",")]
        return [(columns, lines) for columns, lines in pairs]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: such as 80x24,200x50") from None


if __name__ == "__main__":
    main()
