"""The vocabulary screen: edits of the file, tried before they are saved, and what saving them would redo."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_driving import HOSTILE, falls_silent, lines_of, moon_store, until
from sound_stores import sound_store
from vocabulary_driving import (
    FILE,
    fill,
    folded,
    form_of,
    plan,
    shown,
    source,
    store_of,
    told,
    typed,
    vocabulary,
)

from colonnade.engine.vocabulary import DerivedAttribute, Rule, parse_vocabulary
from colonnade.tui.screens.vocabulary import VocabularyScreen
from colonnade.tui.screens.vocabulary_draft import Draft, Wording, draft_of, rule_text, steps_of
from colonnade.tui.screens.vocabulary_form import Field, Form, Prompts
from colonnade.tui.screens.vocabulary_rule import RuleTable
from colonnade.tui.screens.vocabulary_tried_text import histogram
from colonnade.tui.screens.vocabulary_trying import Tried, TriedPicture, failure_lines
from colonnade.tui.screens.vocabulary_work import Redo, redo, redo_words
from colonnade.tui.widgets.window_table import WindowTable


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return store_of(tmp_path / "s")


def test_no_key_of_the_screen_is_one_of_the_table_that_has_the_focus() -> None:
    def keys(kind: type) -> set[str]:
        return {key for binding in kind.__dict__["BINDINGS"] for key in binding.key.split(",")}

    assert not keys(VocabularyScreen) & keys(WindowTable)
    assert not keys(RuleTable) & keys(WindowTable)
    for kind in (VocabularyScreen, Form, RuleTable):
        assert all(binding.id and binding.description for binding in kind.__dict__["BINDINGS"])


def test_what_saving_redoes() -> None:
    before = parse_vocabulary(FILE.encode(), "v")
    after = parse_vocabulary(
        FILE.replace("the earth}", "the blue earth}").replace("label: Empty", "label: Nothing").encode(), "v"
    )
    assert redo(before, after) == Redo(("earth",), 1, (), ("both",), ())
    assert redo_words(redo(before, after), 1000, None) == (
        "about 4 s: 1 attribute x 1,000 images, 1 derived, 1 prompt to encode, 0 images to decode"
    )
    assert "0 images to decode" in redo_words(redo(before, after), 1000, 0.001)
    assert "about 2 s" in redo_words(redo(before, after), 1000, 0.001)
    label = parse_vocabulary(FILE.replace("label: Empty", "label: Nothing").encode(), "v")
    assert redo_words(redo(before, label), 1000, None) == "nothing to score again"
    stricter = FILE.replace(
        "description: not the moon", "description: not the moon, thresholds: {accepted: 0.9}"
    )
    assert redo(before, parse_vocabulary(stricter.encode(), "v")) == Redo((), 0, ("moon",), ("both",), ())
    without = "\n".join(line for line in FILE.splitlines() if "code: empty" not in line)
    assert redo(before, parse_vocabulary(without.encode(), "v")).orphans == ("empty",)


def test_a_draft_becomes_the_edits_that_make_it() -> None:
    words = parse_vocabulary(FILE.encode(), "v")
    earth = words.attribute("earth")
    draft = draft_of(earth)
    assert steps_of(draft, earth) == []
    two = draft.other_wording().with_wording(Wording("the globe", "a globe\n\n  in space "))
    assert two.wordings[0] == draft.wording
    assert steps_of(two, earth)[0].values == {
        "code": "earth",
        "description": "the globe",
        "prompts": ("a globe", "in space"),
    }
    assert [
        step.op for step in steps_of(Draft("earth", "world", "Earth", wordings=draft.wordings), earth)
    ] == ["rename"]
    with pytest.raises(ValueError, match="accepted: a confidence"):
        steps_of(Draft("earth", "earth", accepted="x", wordings=draft.wordings), earth)
    with pytest.raises(ValueError, match="needs a code"):
        steps_of(Draft(None), None)
    with pytest.raises(ValueError, match="needs a description"):
        steps_of(Draft(None, "sun"), None)
    with pytest.raises(ValueError, match="names no attribute"):
        steps_of(Draft(None, "sun", rule=Rule()), None)
    rule = Rule(("a",), ("b", "c"), ("d",))
    assert rule_text(rule) == "a and (b or c) and not d?"


def test_tries_in_words() -> None:
    assert histogram([0, 1, 16]) == " ▂█"
    assert histogram([0, 0]) == "  "
    pictures = [TriedPicture(n, mark, ".5", "p", None, None) for mark in " +-" for n in range(6)]
    assert [each.mark for each in Tried((), tuple(pictures)).some(6)] == [" ", " ", "+", "+", "-", "-"]
    assert len(Tried((), tuple(pictures)).some(1)) == 1
    assert failure_lines(RuntimeError(" a\nb ")) == ("a b",)


@pytest.mark.asyncio
async def test_the_list_says_what_there_is(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        listed = lines_of(screen.table)
        assert listed[0].split() == ["code", "label", "status", "prompt", "accepted", "lint"]
        assert listed[1].split()[:3] == [">", "earth", "Earth"]
        assert listed[1].split()[-1].lstrip("~") == "12"
        assert listed[2].split()[-1] == "!1"
        assert "not scored" in listed[3]
        assert "= all_of: earth" in listed[4]
        await pilot.press("down")
        await pilot.pause()
        assert screen.session.attribute == "moon"
        about = told(screen)
        assert "vocabulary.yaml:6" in about and "not the moon" in about and "used by both" in about
        assert "! " in about
        await pilot.press("slash")
        await typed(pilot, "emp")
        await pilot.press("enter")
        await until(lambda: screen.code == "empty", "the attribute looked for")
        for _ in range(4):
            await pilot.press("right")
        await pilot.press("o")
        await until(lambda: screen.sorting == ("accepted", True), "sorted")
        await pilot.press("o", "o")
        assert screen.sorting is None


@pytest.mark.asyncio
async def test_edits_are_kept_apart_until_they_are_saved(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("r")
        await typed(pilot, "globe")
        await pilot.press("enter")
        await folded(screen, 1)
        assert screen.code == "globe"
        await pilot.press("J")
        await folded(screen, 2)
        await pilot.press("c")
        await typed(pilot, "globe_too")
        await pilot.press("enter")
        await folded(screen, 3)
        await pilot.press("y")
        await typed(pilot, "planets")
        await pilot.press("enter")
        await folded(screen, 4)
        assert source(store) == FILE
        assert "4 edits, ^S saves; then about 4 s: 2 attributes" in plan(screen)
        await pilot.press("v")
        await pilot.pause()
        assert "1. rename earth to globe" in told(screen)
        await pilot.press("u")
        await folded(screen, 3)
        await pilot.press("ctrl+s")
        await until(lambda: "globe_too" in source(store), "the file")
        await until(
            lambda: not screen.steps and screen.work is not None and not screen.work.is_changed, "saved"
        )
        text = source(store)
        assert "# what the mission saw" in text and "# nothing yet" in text and "# the blue one" in text
        assert text.index("code: moon") < text.index("code: globe,")
        assert "[globe, moon]" in text
        assert "planets" not in text
        assert "saved: 3 edits" in screen.status.message


@pytest.mark.asyncio
async def test_removing_asks_where_a_rule_names_it(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("enter")  # keep
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("down", "enter")
        await folded(screen, 1)
        assert screen.work is not None and screen.work.vocabulary is not None
        both = screen.work.vocabulary.attribute("both")
        assert isinstance(both, DerivedAttribute) and both.rule == Rule(("moon",))
        assert screen.plan_line().endswith("earth left as orphan, 0 images to decode")
        await pilot.press("home", "m", "m", "x")  # moon and empty, of which a rule names one
        await pilot.pause()
        await pilot.press("escape", "M", "X")
        await folded(screen, 0)
        assert source(store) == FILE


@pytest.mark.asyncio
async def test_a_derived_attribute_by_picking_codes(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("d")
        form = await form_of(pilot, screen)
        await typed(pilot, "half")
        screen.query_one(RuleTable).focus()
        await pilot.press("a", "down", "n")
        await until(lambda: form.draft.rule == Rule(("earth",), (), ("moon",)), "the rule")
        lines = screen.query_one("#try-a-lines")
        await until(lambda: "accepted 12 of 60" in "\n".join(lines_of(lines)), "what it finds")
        await until(lambda: "1 derived" in plan(screen), "what saving would redo")
        await pilot.press("n", "y")
        assert form.draft.rule == Rule(("earth",), ("moon",))
        await until(lambda: "accepted 0 of 60" in "\n".join(lines_of(lines)), "what it finds now")
        await pilot.press("ctrl+s")
        await until(lambda: "half" in source(store), "the file")
        saved = parse_vocabulary(source(store).encode(), "v").attribute("half")
        assert isinstance(saved, DerivedAttribute)
        assert saved.rule == Rule(("earth",), ("moon",))
        assert screen.form is None or not screen.form.is_attached


@pytest.mark.asyncio
async def test_what_cannot_be_saved_says_why_and_is_kept(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("a")
        form = await form_of(pilot, screen)
        await typed(pilot, "Not A Code")
        await pilot.press("ctrl+s")
        assert "needs a description" in screen.status.message
        assert "not yet: the attribute needs a description" in plan(screen)
        form.query_one("#description", Field).focus()
        await typed(pilot, "a sun")
        await pilot.press("escape")
        await until(lambda: screen.status.kind == "bad", "the fault")
        assert "add Not A Code" in screen.status.message
        assert screen.steps == ()
        await until(lambda: screen.form is None, "the list")
        await pilot.press("a")
        form = await form_of(pilot, screen)
        assert form.draft.wording.description == "a sun"
        form.query_one("#code", Field).focus()
        await typed(pilot, "sun")
        await pilot.press("ctrl+s")
        await until(lambda: "code: sun" in source(store), "the file")


@pytest.mark.asyncio
async def test_a_file_changed_outside_is_shown_and_never_overwritten(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("r")
        await typed(pilot, "globe")
        await pilot.press("enter")
        await folded(screen, 1)
        theirs = FILE.replace("label: Moon", "label: Luna")
        (store / "vocabulary.yaml").write_text(theirs)
        await until(lambda: screen.outside is not None, "the change")
        await pilot.pause()
        assert "label: Luna" in told(screen)
        await pilot.press("ctrl+s")
        assert "nothing is overwritten" in screen.status.message
        assert source(store) == theirs
        await pilot.press("R")
        await until(
            lambda: screen.outside is None and b"Luna" in (screen.work.source if screen.work else b""), "both"
        )
        await pilot.press("ctrl+s")
        await until(lambda: "globe" in source(store), "the file")
        assert "Luna" in source(store)
        await until(lambda: not screen.steps, "saved")
        (store / "vocabulary.yaml").write_text(FILE)
        await until(lambda: screen.work is not None and screen.work.base == FILE.encode(), "followed")
        await until(lambda: "earth" in shown(screen), "the list")


@pytest.mark.asyncio
async def test_faults_have_their_place_and_a_hint(store: Path) -> None:
    (store / "vocabulary.yaml").write_text(
        FILE.replace("label: Moon, ", "").replace("all_of: [earth", "all_of: [erth")
    )
    async with vocabulary(store, (120, 30), loaded=False) as (pilot, screen):
        await until(lambda: screen.work is not None and screen.table.values is not None, "the faults")
        await pilot.pause()
        text = shown(screen)
        assert "6:" in text and "label" in text
        assert "did you mean" in text and "earth" in text
        assert "2 faults" in told(screen)
        await pilot.press("enter")
        assert "line 6" in screen.status.message
        for key in (
            "a",
            "e",
            "r",
            "x",
            "m",
            "c",
            "y",
            "i",
            "J",
            "ctrl+s",
            "t",
            "slash",
            "d",
            "b",
            "u",
            "X",
        ):
            await pilot.press(key)
            assert screen.status.message, key
        (store / "vocabulary.yaml").write_text(FILE)
        await until(lambda: screen.code is not None, "the attributes")


@pytest.mark.asyncio
async def test_an_empty_vocabulary_says_what_to_do(store: Path) -> None:
    (store / "vocabulary.yaml").write_text("base_attributes: []\n")
    async with vocabulary(store, loaded=False) as (pilot, screen):
        await until(lambda: shown(screen).count("orphan") == 3, "what is scored and not in the file")
        await pilot.press("i")
        await typed(pilot, "space")
        await pilot.press("enter")
        await folded(screen, 1)
        await until(lambda: screen.table.count > 20, "the vocabulary that ships")


@pytest.mark.asyncio
async def test_a_store_that_is_read_only(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from colonnade.tui.session import Session

    monkeypatch.setattr(Session, "writable", property(lambda self: False))
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("J")
        await folded(screen, 1)
        await pilot.press("ctrl+s")
        assert "read-only" in screen.status.message
        assert source(store) == FILE


@pytest.mark.asyncio
async def test_edits_that_were_not_saved_are_there_next_time(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("J")
        await folded(screen, 1)
    async with vocabulary(store) as (pilot, screen):
        assert "edits of last time" in screen.status.message
        assert screen.work is not None and screen.work.is_changed
        await pilot.press("u")
        await folded(screen, 0)
    async with vocabulary(store) as (_, screen):
        assert screen.steps == ()
    assert source(store) == FILE


@pytest.mark.asyncio
async def test_hostile_words_are_harmless(tmp_path: Path) -> None:
    path = moon_store(tmp_path / "s", images=20, hostile=True)
    text = HOSTILE.encode("utf-8", "replace").decode().replace("\n", " ").replace("\t", " ")
    escaped = "".join(f"\\x{ord(c):02x}" if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in text)
    (path / "vocabulary.yaml").write_text(FILE.replace("label: Moon", f'label: "{escaped}"'))
    async with vocabulary(path, (120, 36), loaded=False) as (pilot, screen):
        await until(lambda: screen.work is not None and screen.table.values is not None, "the list")
        await pilot.press("down")
        await pilot.pause()
        seen = shown(screen) + told(screen)
        assert screen.code is not None
        await pilot.press("enter")
        form = await form_of(pilot, screen)
        seen += "".join(lines_of(field)[0] for field in form.query(Field))
        await pilot.press("escape")
        assert screen.steps == ()
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(seen)


@pytest.mark.parametrize("size", [(80, 24), (200, 50), (20, 5), (50, 14), (120, 36)])
@pytest.mark.asyncio
async def test_it_fits(store: Path, size: tuple[int, int]) -> None:
    async with vocabulary(store, size) as (pilot, screen):
        await pilot.press("enter")
        await until(lambda: screen.form is not None, "the form")
        await pilot.pause()
        await pilot.press("tab", "down", "up", "escape", "v", "tab", "tab", "d", "escape", "v")
        await pilot.resize_terminal(20, 5)
        await pilot.pause()
        await pilot.resize_terminal(*size)
        await pilot.pause()
        assert screen.steps == ()


@pytest.mark.asyncio
async def test_nothing_is_drawn_while_nothing_changes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with vocabulary(store) as (_, screen):
        await until(lambda: all(row.state for row in screen.rows.values()), "states")
        await falls_silent(screen.app, monkeypatch)


@pytest.mark.slow
@pytest.mark.asyncio
async def test_words_are_tried_before_they_are_saved(tmp_path: Path) -> None:
    path = sound_store(tmp_path / "s").path
    before = (path / "vocabulary.yaml").read_bytes()
    async with vocabulary(path, (120, 40)) as (pilot, screen):
        await until(lambda: "fresh" in shown(screen), "states")
        await pilot.press("enter")
        form = await form_of(pilot, screen)
        first, second = screen.query_one("#try-a-lines"), screen.query_one("#try-b-lines")
        title = screen.query_one("#try-a-title")
        assert "trying it ..." in lines_of(title)[0]
        await until(lambda: "of 40" in "\n".join(lines_of(first)), "the saved wording", 60)
        assert "0 enter (+), 0 leave (-)" in "\n".join(lines_of(first))
        assert "moon" in "\n".join(lines_of(first)), "nearest"
        await pilot.press("tab")
        await pilot.pause()
        form.query_one("#prompts", Prompts).text = "a photo of the moon"
        await until(lambda: "leave (-)" in "\n".join(lines_of(second)), "the other wording", 60)
        await until(lambda: " 0 leave" not in "\n".join(lines_of(second)), "what it changes", 60)
        assert "0 enter (+), 0 leave (-)" in "\n".join(lines_of(first))
        form.query_one("#prompts", Prompts).text = "what the model never saw"
        await until(lambda: "colonnade model use" in "\n".join(lines_of(second)), "what to do", 60)
        await pilot.press("tab")
        await pilot.pause()
        assert form.query_one("#prompts", Prompts).text == ""
        await pilot.press("escape")
        await until(lambda: screen.form is None, "the list")
        assert screen.steps == ()
        assert (path / "vocabulary.yaml").read_bytes() == before


@pytest.mark.slow
@pytest.mark.asyncio
async def test_what_is_stale_is_tagged_as_a_job(tmp_path: Path) -> None:
    path = sound_store(tmp_path / "s").path
    async with vocabulary(path, (120, 40)) as (pilot, screen):
        await until(lambda: "fresh" in shown(screen), "states")
        await pilot.press("enter")
        form = await form_of(pilot, screen)
        await fill(pilot, form, accepted="0.3", tentative="0.1")
        await pilot.pause()
        await pilot.press("ctrl+s")
        await until(lambda: b"0.3" in (path / "vocabulary.yaml").read_bytes(), "the file")
        await until(lambda: "thresholds" in shown(screen), "stale")
        assert "t tags them" in plan(screen)
        await pilot.press("t")
        await until(lambda: screen.rows["earth"].state == "fresh", "tagged", 60)


@pytest.mark.asyncio
async def test_what_stands_in_the_form_when_the_app_ends_is_there_next_time(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("J", "e")
        await until(lambda: screen.form is not None, "the form")
        await typed(pilot, "a blue marble")
        await until(
            lambda: screen.form is not None and screen.form.draft.wording.description == "a blue marble"
        )
    async with vocabulary(store) as (pilot, screen):
        assert "edits of last time" in screen.status.message
        assert screen.work is not None and b"a blue marble" in screen.work.source
    assert source(store) == FILE
