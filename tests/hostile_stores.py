"""A store in which every name, word and message was chosen by somebody who wants the terminal."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from query_stores import image
from sound_stores import rows

from colonnade.engine.jobs import JobRecord
from colonnade.engine.projection_rows import Parameters, projection_rows
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.sync import make_plan, run_plan
from colonnade.engine.tables import SCHEMAS

__all__ = ["MARK", "NASTY", "hostile_store", "yaml_text"]

MARK = "6661"
"""Stands in every control sequence of NASTY, so that one that gets through is known from the app's own."""
NASTY = (
    f"\x1b]0;{MARK}\x07\x1b[{MARK}m\x1b[{MARK};1H\x9b{MARK}m\x1bP{MARK}q\x1b\\\x1b[{MARK}n"
    "\u202egpj\u2066\u200b\u2060\ufeff\xad\u2028\u061c\U000e0041[@click=app.quit]x[bold]\r\n\t\x7f\x85\x0e\x08"
)
"""Raw ESC, OSC, DCS, C1, bidi, zero-width, tags, markup, line ends, shift-out, backspace; no slash."""
MARKUP = f"[/] [/bold] [@click=app.quit]x[/] [link=http://x]y[/link] {NASTY}"
_MAP = Parameters("0123456789abcdef", 0, 10_000, 12, 12, 15, 0.3, 0.03, 300, "0.5.12")


def yaml_text(text: str) -> str:
    """A text in double quotes, as YAML and TOML take it."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return f'"{"".join(plain)}"'


def vocabulary() -> str:
    """Labels, descriptions, groups and prompts as hostile as a vocabulary may have them."""
    said = yaml_text(f"{NASTY}[/] {'long ' * 100}")
    return f"""\
base_attributes:
  - {{code: earth, label: {said}, description: {said}, type: {said}}}
  - {{code: moon, label: Moon, description: the moon, prompts: [{said}, "[/]"]}}
  - {{code: empty, label: "[/]", description: {said}}}
derived_attributes:
  - {{code: both, label: {said}, description: {said}, rule: {{all_of: [earth, moon]}}}}
"""


def hostile_store(folder: Path, words: str) -> Path:
    """A store whose own folder, images, words, people and jobs have such names.

    Args:
        words: the text of its vocabulary.
    """
    photos = folder / f"root {NASTY}"
    _write_images(photos)
    store = Store.create(folder / f"store {NASTY}", roots=[photos], vocabulary=words.encode(), model="hash")
    run_plan(store, make_plan(store))
    _add_rows(store)
    _add_jobs(store.path)
    return store.path


def _write_images(root: Path) -> None:
    """Real files: names that are not UTF-8, paths of nearly 4,000 characters, EXIF, and files that are no images."""
    raw = os.fsdecode(NASTY.encode() + b"\xff\xfe")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x013B], exif[0x010E] = (
        NASTY,
        MARKUP,
        NASTY,
        NASTY * 10,
    )  # maker to title
    exif[0x0132] = NASTY[:19]
    exif.get_ifd(0x8769)[0x9003] = f"2020:01:01 {NASTY}"
    names = [f"{raw}.jpg", "[/] [@click=app.quit]x[/].jpg", "plain.jpg", *(f"{n}.jpg" for n in range(6))]
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGB", (40, 30), (number * 20, 90, 160))
        with (root / name).open("wb") as file:
            picture.save(file, "JPEG", exif=exif)
    (root / f"broken {raw}.jpg").write_bytes(b"\xff\xd8\xff" + NASTY.encode())
    _write_deep(root)


def _write_deep(root: Path) -> None:
    """A file below so many folders that its path has nearly the 4,096 bytes that there may be."""
    begin = Path.cwd()
    room = 3900 - len(os.fsencode(root))
    name = ("deep " + NASTY).encode()[:200].decode("utf-8", "ignore").ljust(150, "x")
    try:
        os.chdir(root)
        while room > 250:
            Path(name).mkdir()
            os.chdir(name)
            room -= len(name.encode()) + 1
        Image.new("RGB", (8, 8)).save("deep.png")
    finally:
        os.chdir(begin)


def _add_rows(store: Store) -> None:
    """What no file can be called, labels of hostile people, hostile sets, and a map."""
    snapshot = store.snapshot()
    first = 1000
    records: list[dict[str, Any]] = [
        image(first, path=NASTY * 40, root=None, source="import", uuid=NASTY, format=NASTY),
        image(first + 1, path="x" * 4000, root=NASTY, state="unreadable", error=f"{NASTY} {MARKUP}"),
        image(first + 2, path=MARKUP, root=MARKUP, state="unreadable", error="\x1b[2J" + "e\u0301" * 2000),
    ]
    answers = [
        {
            "image_id": 0,
            "content_hash": None,
            "present": present,
            "reviewer": who,
            "reviewed_at": datetime(2024, 5, 1, tzinfo=UTC),
            "policy": NASTY,
            "probability": 0.5,
        }
        for who, present in ((NASTY, True), (MARKUP, False), ("r" * 4000, True))
    ]
    model = store.settings.active
    assert model is not None
    places = np.array([1.0, 0.0, 0.0]) + 0.005 * np.random.RandomState(1).standard_normal((9, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    with open_stage(store.path, command="test") as stage:
        data = pa.Table.from_pylist(records, SCHEMAS["images"])
        stage.append("images", None, 0, data, read=snapshot.cell("images", None, 0))
        stage.append("labels", "earth", 0, rows("labels", answers), read=())
        for name in (f"set {NASTY}"[:60], "[bold]"):
            stage.append("sets", name, 0, rows("sets", [{"image_id": 0}, {"image_id": 1}]), read=())
        found = projection_rows(np.arange(9), places, _MAP, how="fitted")
        stage.append("projections", model.key, 0, found, read=())
        stage.commit()


def _add_jobs(store: Path) -> None:
    (store / "jobs").mkdir(exist_ok=True)
    for number, state in enumerate(("running", "failed", NASTY)):
        name = f"20240716-13320{number}-{4_190_000 + number}"
        moment = "2024-07-16T13:32:00Z" if number else NASTY
        record = JobRecord(
            name, ("tag", NASTY, "[/]"), 4_190_000 + number, moment, moment,
            state=state, phase=NASTY, done=3, total=9, failures=2, seconds=3.0, message=f"{NASTY} [/]",
            outcomes=((NASTY, MARKUP), ("x" * 4000, NASTY)),
        )  # fmt: skip
        (store / "jobs" / f"{name}.json").write_text(json.dumps(asdict(record)))
        (store / "jobs" / f"{name}.log").write_bytes(f"{NASTY} [/] ".encode() * 50 + b"\xff\x1b[2J\n")
