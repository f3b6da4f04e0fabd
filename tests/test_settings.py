"""`colonnade.toml`: what is written is read back, and what is damaged is refused in one line."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.engine.errors import InputError, StoreError
from colonnade.engine.settings import (
    Model,
    ModelFiles,
    Root,
    Settings,
    dump_settings,
    new_root,
    read_settings,
    update_settings,
)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
paths = st.builds(
    lambda text, raw: text + os.fsdecode(raw), words.filter(lambda t: "\0" not in t), st.binary(max_size=4)
).filter(lambda text: "\0" not in text)
models = st.builds(
    Model,
    key=words,
    spec=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    dimension=st.integers(1, 65_536),
    logit_scale=st.floats(allow_nan=False, allow_infinity=False),
    logit_bias=st.floats(allow_nan=False, allow_infinity=False),
    context_length=st.integers(0, 1000),
    files=st.none() | st.builds(ModelFiles, words, words),
)
some_settings = st.builds(
    Settings,
    spec=words,
    model_key=st.none() | words,
    roots=st.lists(st.builds(Root, words, paths.map(Path)), max_size=3, unique_by=lambda r: r.name).map(
        tuple
    ),
    models=st.lists(models, max_size=3, unique_by=lambda m: m.key).map(tuple),
    keep_snapshots=st.integers(1, 1000),
    keep_seconds=st.floats(0, 1e9),
)


@given(some_settings)
@settings(max_examples=60, deadline=None)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, given_settings: Settings) -> None:
    """Any name, any path, also one that is not UTF-8."""
    folder = tmp_path_factory.mktemp("s")
    (folder / "colonnade.toml").write_bytes(dump_settings(given_settings))
    assert read_settings(folder) == given_settings


MODEL = '[[models]]\nkey = "k"\nspec = ""\ndimension = {dimension}\nlogit_scale = {scale}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "format None, but this program reads format 1"),
        ("format = 2", "format 2"),
        ("format = ", "not valid TOML"),
        ("format = 1\nmodel = 3", "damaged near"),
        ("format = 1\nroots = 3", "damaged near"),
        ('format = 1\n[[roots]]\nname = "a"', "damaged near 'path'"),
        (
            'format = 1\n[[roots]]\nname = "a"\npath = "/x"\n[[roots]]\nname = "a"\npath = "/y"',
            "damaged near 'a'",
        ),
        ("format = 1\nkeep_snapshots = 0", "damaged near 0"),
        ("format = 1\nkeep_seconds = nan", "damaged near nan"),
        ("format = 1\n" + MODEL.format(dimension="inf", scale="1"), "damaged near inf"),
        ("format = 1\n" + MODEL.format(dimension="0", scale="1"), "damaged near 0"),
        ("format = 1\n" + MODEL.format(dimension="100000000", scale="1"), "damaged near 100000000"),
        ("format = 1\n" + MODEL.format(dimension="true", scale="1"), "damaged near True"),
        ("format = 1\n" + MODEL.format(dimension="8", scale="nan"), "damaged near nan"),
        ("a = " + "[" * 50_000, "not valid TOML"),
        ("#" * (2 << 20), "larger than"),
    ],
)
def test_damaged(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "colonnade.toml").write_text(text)
    with pytest.raises(StoreError) as caught:
        read_settings(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_odd_files(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        read_settings(tmp_path)
    os.mkfifo(tmp_path / "colonnade.toml")
    with pytest.raises(StoreError, match="not a regular file"):
        read_settings(tmp_path)


def test_updates(tmp_path: Path) -> None:
    (tmp_path / "colonnade.toml").write_bytes(dump_settings(Settings("demo")))
    model = Model("k", "demo", 8, 100.0)
    changed = update_settings(tmp_path, lambda s: s.with_model(model, activate=True))
    assert changed == read_settings(tmp_path)
    assert changed.active == model
    again = replace(model, logit_scale=50.0)
    assert update_settings(tmp_path, lambda s: s.with_model(again, activate=False)).models == (again,)
    before = (tmp_path / "colonnade.toml").stat()
    update_settings(tmp_path, lambda s: s)
    assert (tmp_path / "colonnade.toml").stat().st_ino == before.st_ino, "nothing changed, nothing written"


def test_defaults_are_not_written() -> None:
    assert b"keep_" not in dump_settings(Settings("demo"))
    assert b"keep_snapshots = 5\n" in dump_settings(Settings("demo", keep_snapshots=5))


def test_new_roots(tmp_path: Path) -> None:
    known = Settings("demo")
    for name in ("a b", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "b" / "a b").mkdir()
    first = new_root(known, tmp_path / "a b")
    assert first == Root("a-b", tmp_path / "a b")
    known = replace(known, roots=(first,))
    assert new_root(known, tmp_path / "b" / "a b").name == "a-b-2"
    (tmp_path / "link").symlink_to(tmp_path / "a b")
    with pytest.raises(InputError, match="already the root 'a-b'"):
        new_root(known, tmp_path / "link")
    with pytest.raises(InputError, match="not a folder"):
        new_root(known, tmp_path / "nothing")
