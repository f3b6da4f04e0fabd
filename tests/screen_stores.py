"""A small collection with some of everything, for pictures of the screens: the same to the last digit each time."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw
from query_stores import image
from sound_stores import embedding_rows, rows

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.fit_run import fit_attributes
from colonnade.engine.jobs import JobRecord
from colonnade.engine.projection_rows import Parameters, projection_rows
from colonnade.engine.prompts import ATTRIBUTE, BACKGROUND, replace_prompts
from colonnade.engine.queries_file import save_query
from colonnade.engine.scoring import unit_length
from colonnade.engine.settings import Model, Root, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import SCHEMAS
from colonnade.engine.tag import tag

__all__ = ["IMAGES", "OTHER_WORDS", "apollo_store"]

IMAGES = 480
DIMENSION, PHRASES = 64, 120
MODEL = Model("ViT-B-32/openai", "", DIMENSION, 100.0)
"""By name the usual model; it cannot be loaded, so that no picture waits for one."""
SHARES = {
    "earth": 0.18,
    "moon": 0.22,
    "sun": 0.04,
    "porthole": 0.12,
    "hand": 0.07,
    "plume": 0.03,
    "mission_control": 0.06,
    "diagram": 0.0,
}
"""The attributes that are scored, and how much of the collection shows them."""
VOCABULARY = """\
# What the mission saw.
thresholds: {accepted: 0.80, tentative: 0.50}
templates: ["a photo of {description}"]
base_attributes:
  - {code: earth, label: Earth, description: Earth visible in the image, type: celestial_body}
  - {code: moon, label: Moon, description: the Moon visible in the image, type: celestial_body}
  - {code: sun, label: Sun, description: the Sun shining in the image, type: celestial_body}
  - {code: porthole, label: Porthole, description: a spacecraft window or porthole, type: framing}
  - {code: hand, label: Hand, description: a human hand, type: person, thresholds: {accepted: 0.90}}
  - {code: plume, label: Exhaust plume, description: a fiery exhaust plume, type: event}
  - code: mission_control
    label: Mission control
    description: a room full of consoles
    type: place
    prompts: [a room full of consoles, people at consoles with screens]
  - {code: diagram, label: Diagram, description: a technical diagram, type: medium}
  - {code: parachute, label: Parachute, description: a parachute in the sky}
derived_attributes:
  - {code: earth_only, label: Earth only, description: Earth without the Moon or the Sun,
     rule: {all_of: [earth], none_of: [moon, sun]}}
  - {code: earth_through_porthole, label: Earth through a porthole, description: Earth seen from inside,
     rule: {all_of: [earth, porthole]}}
"""
OTHER_WORDS = "the round window of a spacecraft"
"""A description of porthole that has a vector, so that it can be tried without the model."""
PROMPTS = {
    "earth": ("a photo of Earth visible in the image",),
    "moon": ("a photo of the Moon visible in the image",),
    "sun": ("a photo of the Sun shining in the image",),
    "porthole": ("a photo of a spacecraft window or porthole",),
    "hand": ("a photo of a human hand",),
    "plume": ("a photo of a fiery exhaust plume",),
    "mission_control": ("a room full of consoles", "people at consoles with screens"),
    "diagram": ("a photo of a technical diagram",),
}
_MAP = Parameters("0123456789abcdef", 0, 10_000, IMAGES, IMAGES, 15, 0.3, 0.03, 300, "0.5.12")
_BROKEN = {123: "image file is truncated", 321: "cannot identify image file"}


def apollo_store(folder: Path) -> Path:
    """The store `folder/apollo`, with its pictures in `folder/photos`."""
    photos = folder / "photos"
    store = Store.create(folder / "apollo", vocabulary=VOCABULARY.encode(), model="")
    update_settings(
        store.path,
        lambda old: replace(old.with_model(MODEL, activate=True), roots=(Root("photos", photos),)),
    )
    shows = _shown()
    _add_images(store, photos, shows)
    tag(store, codes=list(SHARES))
    _add_labels(store, shows)
    fit_attributes(store, ["earth"], "labels")
    derive_attributes(store)
    _add_map(store, shows)
    save_query(store.path, "earthrise", "earth and moon?")
    _add_jobs(store.path)
    return store.path


def _shown() -> np.ndarray:
    """bool [images, attributes]: what is on which picture."""
    drawn = np.random.RandomState(3).random_sample((IMAGES, len(SHARES)))
    shown: np.ndarray = drawn < np.array(list(SHARES.values()))
    return shown


def _directions() -> np.ndarray:
    """Unit vectors float32 [attributes + PHRASES, D]."""
    drawn = np.random.RandomState(5).standard_normal((len(SHARES) + PHRASES, DIMENSION))
    return unit_length(drawn.astype(np.float32))


def _near(direction: np.ndarray, seed: int, share: float) -> np.ndarray:
    drawn = np.random.RandomState(seed).standard_normal(DIMENSION) / DIMENSION**0.5
    found: np.ndarray = unit_length((direction + share * drawn).astype(np.float32)[None])[0]
    return found


def _vectors(shows: np.ndarray) -> np.ndarray:
    """Unit vectors float32 [images, D]: what is shown, on something of the background."""
    random = np.random.RandomState(7)
    every = _directions()
    mixed = random.standard_normal((IMAGES, DIMENSION)) * 0.12
    for _ in range(2):
        mixed += every[len(SHARES) + random.randint(PHRASES, size=IMAGES)] * 0.35
    strength = 0.5 + 0.8 * random.random_sample(shows.shape)
    mixed += (shows * strength) @ every[: len(SHARES)]
    return unit_length(mixed.astype(np.float32))


def _name(number: int) -> str:
    roll, frame = divmod(number, 120)
    return f"as{8 + roll:02d}-{40 + roll}-{5800 + frame}.png"


def _add_images(store: Store, photos: Path, shows: np.ndarray) -> None:
    photos.mkdir()
    pictures = [_picture(number) for number in range(8)]
    began = datetime(1969, 7, 16, 13, 32)
    records: list[dict[str, Any]] = []
    for number in range(IMAGES):
        kind = int(shows[number, :3] @ (1, 2, 4))
        data = b"no picture" if number in _BROKEN else pictures[kind]
        (photos / _name(number)).write_bytes(data)
        broken = {"state": "unreadable", "error": _BROKEN.get(number), "width": None, "height": None}
        facts = {
            "path": _name(number),
            "bytes": len(data),
            "width": 96,
            "height": 72,
            "format": "PNG",
            "taken": began + timedelta(minutes=17 * number),
            "mtime": datetime(2024, 1, 1, tzinfo=UTC),
        }
        records.append(facts | (broken if number in _BROKEN else {}))

    def insert(live: Snapshot, stage: Stage) -> None:
        ids = stage.allocate_ids(IMAGES)
        data = [image(i, **record) for i, record in zip(ids, records, strict=True)]
        stage.append(
            "images",
            None,
            0,
            pa.Table.from_pylist(data, SCHEMAS["images"]),
            read=live.cell("images", None, 0),
        )
        kept = np.array([number for number in range(IMAGES) if number not in _BROKEN])
        cell = live.cell("embeddings", MODEL.key, 0)
        found = embedding_rows(np.array(ids)[kept], _vectors(shows)[kept])
        stage.append("embeddings", MODEL.key, 0, found, read=cell)

    every = _directions()
    prompts = {PROMPTS[code][0]: every[n] for n, code in enumerate(PROMPTS)}
    prompts[PROMPTS["mission_control"][1]] = _near(every[6], 11, 0.5)
    prompts[f"a photo of {OTHER_WORDS}"] = _near(every[3], 13, 0.7)
    phrases = {f"phrase {n}": vector for n, vector in enumerate(every[len(SHARES) :])}
    with open_stage(store.path, command="sync") as stage:
        stage.late(insert)
        replace_prompts(stage, MODEL, {ATTRIBUTE: prompts, BACKGROUND: phrases})
        stage.commit()


def _picture(kind: int) -> bytes:
    """A PNG with an Earth, a Moon and a Sun in it, by the bits of `kind`."""
    from io import BytesIO

    drawn = Image.new("RGB", (96, 72), (8, 10, 24))
    pen = ImageDraw.Draw(drawn)
    for bit, (box, colour) in enumerate(
        (
            ((8, 20, 48, 60), (60, 110, 200)),
            ((56, 8, 88, 40), (170, 170, 165)),
            ((66, 46, 86, 66), (250, 220, 90)),
        )
    ):
        if kind >> bit & 1:
            pen.ellipse(box, fill=colour)
    file = BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def _add_labels(store: Store, shows: np.ndarray) -> None:
    """Answers of two people on earth, in words of `review` and of an audit."""
    moment = datetime(2024, 5, 1, 9, tzinfo=UTC)
    chosen = np.random.RandomState(17).permutation([n for n in range(IMAGES) if n not in _BROKEN])[:40]
    found = [
        {
            "image_id": int(number),
            "content_hash": f"{number:064x}",
            "present": bool(shows[number, 0]),
            "reviewer": "ann" if place % 4 else "bob",
            "reviewed_at": moment + timedelta(seconds=9 * place),
            "policy": "audit",
            "probability": 40 / (IMAGES - len(_BROKEN)),
        }
        for place, number in enumerate(chosen)
    ]
    with open_stage(store.path, command="review") as stage:
        data = rows("labels", sorted(found, key=lambda row: int(row["image_id"])))
        stage.append("labels", "earth", 0, data, read=())
        stage.append("sets", "best_of", 0, rows("sets", [{"image_id": i} for i in (3, 8, 21)]), read=())
        stage.commit()


def _add_map(store: Store, shows: np.ndarray) -> None:
    """Places on the globe: one region for each of the first attributes that an image shows, one for the rest."""
    random = np.random.RandomState(19)
    centres = unit_length(random.standard_normal((len(SHARES) + 1, 3)).astype(np.float32))
    first = np.where(shows.any(axis=1), shows.argmax(axis=1), len(SHARES))
    places = unit_length((centres[first] + random.standard_normal((IMAGES, 3)) * 0.16).astype(np.float32))
    kept = np.array([number for number in range(IMAGES) if number not in _BROKEN])
    with open_stage(store.path, command="map") as stage:
        stage.append(
            "projections", MODEL.key, 0, projection_rows(kept, places[kept], _MAP, how="fitted"), read=()
        )
        stage.commit()


def _add_jobs(store: Path) -> None:
    """Jobs that ended in each way there is, long ago."""
    folder = store / "jobs"
    folder.mkdir(exist_ok=True)
    outcomes = tuple((f"photos/{_name(number)}", reason) for number, reason in _BROKEN.items())
    ended: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
        ("0716-1332", ("scan",), {"state": "done", "seconds": 3.25, "done": IMAGES, "total": IMAGES}),
        (
            "0716-1340",
            ("sync",),
            {
                "state": "done",
                "seconds": 411.5,
                "done": IMAGES,
                "total": IMAGES,
                "failures": 2,
                "outcomes": outcomes,
                "embedded_per_second": 21.4,
                "message": "478 images embedded, 8 attributes scored",
            },
        ),
        (
            "0717-0900",
            ("embed",),
            {"state": "running", "phase": "embed", "seconds": 61.0, "done": 210, "total": 480},
        ),
        (
            "0717-0915",
            ("tag", "parachute"),
            {"state": "failed", "seconds": 0.8, "message": "the model is not here"},
        ),
        ("0718-1010", ("map",), {"state": "interrupted", "seconds": 12.0, "phase": "neighbours"}),
    )
    for number, (stamp, command, facts) in enumerate(ended):
        pid = 4_190_000 + number
        moment = f"2024-{stamp[:2]}-{stamp[2:4]}T{stamp[5:7]}:{stamp[7:]}:00Z"
        name = f"2024{stamp}00-{pid}"
        record = JobRecord(name, command, pid, moment, moment, **facts)
        (folder / f"{name}.json").write_text(json.dumps(asdict(record)))
        (folder / f"{name}.log").write_text(f"{moment} {' '.join(command)}\n")
