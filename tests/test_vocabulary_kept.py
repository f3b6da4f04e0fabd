"""What is typed into the vocabulary's form is not lost: not on leaving, not on saving, not when the app ends."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from app_driving import lines_of, until
from textual.widgets import Input
from vocabulary_driving import (
    FILE,
    fill,
    folded,
    form_of,
    plan,
    said,
    shown,
    source,
    store_of,
    told,
    typed,
    vocabulary,
)  # fmt: skip

from colonnade.engine.vocabulary import DerivedAttribute, Rule, parse_vocabulary
from colonnade.tui.keys import Configuration
from colonnade.tui.screens.vocabulary_draft import Draft, Wording, steps_of
from colonnade.tui.screens.vocabulary_form import Field
from colonnade.tui.screens.vocabulary_kept import forget_edits, keep_edits, kept_drafts, kept_edits
from colonnade.tui.screens.vocabulary_rule import RuleTable
from colonnade.tui.session import Session
from colonnade.tui.widgets.line import TextLines


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return store_of(tmp_path / "s")


DRAFTS = (
    Draft(None, "sun", "Sun", "sky", "0.9", "x", (Wording("a", "b\nc"), Wording("d")), 1),
    Draft("earth", "earth", "Earth", rule=Rule(("a",), ("b", "c"), ("d",))),
    Draft(None, "half", rule=Rule()),
)


def test_what_was_begun_is_read_back(tmp_path: Path) -> None:
    keep_edits(tmp_path, b"x", b"x", DRAFTS)
    assert kept_drafts(tmp_path) == DRAFTS
    assert kept_edits(tmp_path) is None
    keep_edits(tmp_path, b"x", b"y", DRAFTS)
    assert kept_edits(tmp_path) is not None
    forget_edits(tmp_path)
    assert kept_drafts(tmp_path) == () and kept_edits(tmp_path) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"drafts": 5},
        {"drafts": [7, None, {"old": 3}, {"code": ["x"]}]},
        {"drafts": [{"old": None, "code": "a", "wordings": "xx"}]},
        {"drafts": [{"old": None, "code": "a", "wordings": []}]},
        {"drafts": [{"old": None, "code": "a", "wordings": [["a", 1]]}]},
        {"drafts": [{"old": None, "code": "a", "wordings": [["a", "b"]], "chosen": 3}]},
        {
            "drafts": [
                {"old": None, "code": "a", "wordings": [["a", "b"]], "chosen": 0, "rule": {"all_of": 1}}
            ]
        },
        [],
    ],
)
def test_a_file_of_kept_edits_that_is_wrong_is_as_none(tmp_path: Path, wrong: object) -> None:
    keep_edits(tmp_path, b"x", b"y", DRAFTS)
    (path,) = (tmp_path / "state").rglob("*.vocabulary.json")
    path.write_text(json.dumps(wrong))
    assert kept_drafts(tmp_path) == ()


@pytest.mark.parametrize("text", ["x", "1,5", "nan", "-1", "1.5", "inf"])
def test_a_threshold_that_is_no_confidence(text: str) -> None:
    earth = parse_vocabulary(FILE.encode(), "v").attribute("earth")
    with pytest.raises(ValueError, match="tentative: a confidence from 0 to 1") as caught:
        steps_of(Draft("earth", "earth", tentative=text), earth)
    assert getattr(caught.value, "field", "") == "tentative"


@pytest.mark.asyncio
async def test_a_value_that_is_no_number_keeps_the_form_open(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("e")
        form = await form_of(pilot, screen)
        await fill(pilot, form, accepted="abc", description="the blue one")
        for _ in range(2):
            await pilot.press("escape")
            await pilot.pause()
            assert screen.form is form, "it stays open"
            assert "accepted: a confidence from 0 to 1" in said(screen) and "abc" in said(screen)
            assert pilot.app.focused is form.query_one("#accepted", Field)
        await pilot.press("ctrl+s")
        await pilot.pause()
        assert screen.form is form and "accepted: a confidence" in said(screen)
        await typed(pilot, "0.7")
        await pilot.press("escape")
        await folded(screen, 1)
        await until(lambda: screen.form is None, "the list")


@pytest.mark.asyncio
async def test_half_an_attribute_is_there_after_leaving_and_next_time(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("a")
        form = await form_of(pilot, screen)
        await fill(pilot, form, code="sun", label="The sun")
        await pilot.press("escape")
        await until(lambda: screen.form is None, "the list")
        assert "what is typed is kept: a goes on" in said(screen).replace("\n", " ")
        await pilot.press("d")  # of another kind: one does not replace the other
        form = await form_of(pilot, screen)
        assert form.draft.code == ""
        await fill(pilot, form, code="half")
        await pilot.press("escape")
        await until(lambda: screen.form is None, "the list")
        await pilot.press("v")
        await pilot.pause()
        assert "begun and not finished: sun" in told(screen) and "begun and not finished: half" in told(
            screen
        )
        await pilot.press("4", "2")
    async with vocabulary(store) as (pilot, screen):
        assert "begun" in said(screen)
        await pilot.press("a")
        form = await form_of(pilot, screen)
        assert (form.draft.code, form.draft.label) == ("sun", "The sun")
        await fill(pilot, form, code="", label="")
        await pilot.press("escape")
        await until(lambda: screen.form is None, "the list")
        await pilot.press("X")
        await pilot.pause()
        assert "half" in said(screen) and "dropped" in said(screen)
    async with vocabulary(store) as (_, screen):
        assert not screen.drafts
    assert source(store) == FILE


@pytest.mark.asyncio
async def test_what_stands_half_in_the_form_when_the_app_ends(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("e")
        form = await form_of(pilot, screen)
        await fill(pilot, form, accepted="lots")
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("e")
        form = await form_of(pilot, screen)
        assert form.draft.accepted == "lots"


@pytest.mark.asyncio
async def test_saving_throws_nothing_away(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("a")
        form = await form_of(pilot, screen)
        await fill(pilot, form, code="moon", description="another moon")  # the code is taken
        await pilot.press("ctrl+s")
        await until(lambda: screen.status.kind == "bad", "the fault")
        assert screen.form is form and form.is_attached
        await fill(pilot, form, code="moon_2")
        await pilot.press("ctrl+s")
        await until(lambda: "code: moon_2" in source(store), "the file")
        await until(lambda: screen.form is None, "the list")


@pytest.mark.asyncio
async def test_a_rule_with_a_code_that_is_gone_is_put_right(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("home", "m", "m", "d")  # earth and moon
        form = await form_of(pilot, screen)
        assert form.draft.rule == Rule(("earth", "moon"))
        await pilot.press("escape")  # it has no code yet
        await until(lambda: screen.form is None, "the list")
        await pilot.press("M", "home", "x")
        await pilot.pause()
        await pilot.press("down", "enter")
        await folded(screen, 1)
        await pilot.press("d")
        form = await form_of(pilot, screen)
        await fill(pilot, form, code="moon_only")
        table = form.query_one(RuleTable)
        assert "not in the vocabulary" in " ".join(map(str, table.row_values(0) or ()))
        await until(lambda: "unknown code 'earth'" in plan(screen), "the fault, whole")
        column = screen.query_one("#try-a-lines", TextLines)
        await until(lambda: "earth is not in the vocabulary" in "\n".join(column.lines), "in plain words")
        await pilot.press("ctrl+s")
        await until(lambda: screen.status.kind == "bad", "the fault")
        assert screen.form is form and form.draft.code == "moon_only"
        table.focus()
        await pilot.press("home", "space")
        await until(lambda: form.draft.rule == Rule(("moon",)), "out of the rule")
        await pilot.press("ctrl+s")
        await until(lambda: "moon_only" in source(store), "the file")
        saved = parse_vocabulary(source(store).encode(), "v").attribute("moon_only")
        assert isinstance(saved, DerivedAttribute) and saved.rule == Rule(("moon",))


@pytest.mark.asyncio
async def test_marks_go_with_what_is_removed_and_follow_what_is_renamed(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("home", "m", "down", "m")
        assert screen.marked == {"earth", "empty"}
        await pilot.press("home", "r")
        await until(lambda: isinstance(pilot.app.focused, Input), "the question")
        await typed(pilot, "globe")
        await pilot.press("enter")
        await folded(screen, 1)
        assert screen.marked == {"globe", "empty"}
        await pilot.press("x")
        await pilot.pause()
        await pilot.press("down", "enter")
        await until(lambda: "globe" not in shown(screen), "removed")
        assert screen.work is not None and screen.work.vocabulary is not None
        assert screen.work.vocabulary.codes == ("moon", "both")
        assert screen.marked == set()


@pytest.mark.asyncio
async def test_a_rule_may_name_what_is_new_and_says_what_its_try_lacks(store: Path) -> None:
    async with vocabulary(store, (120, 36)) as (pilot, screen):
        await pilot.press("a")
        form = await form_of(pilot, screen)
        await fill(pilot, form, code="sun", description="the sun")
        await pilot.press("escape")
        await folded(screen, 1)
        await pilot.press("M", "d")
        form = await form_of(pilot, screen)
        await fill(pilot, form, code="bright")
        table = form.query_one(RuleTable)
        table.focus()
        await until(lambda: table.count > 3, "codes")
        place = next(n for n in range(table.count) if (table.row_values(n) or ("",))[0] == "sun")
        await pilot.press("home", *["down"] * place, "a")
        column = screen.query_one("#try-a-lines", TextLines)
        await until(lambda: "sun is new and not saved yet" in "\n".join(column.lines), "in plain words")
        assert "^" not in "\n".join(column.lines).replace("^S", "")
        await pilot.press("ctrl+s")
        await until(lambda: "bright" in source(store) and "code: sun" in source(store), "the file")


@pytest.mark.asyncio
async def test_after_saving_the_panel_is_about_the_attribute_again(store: Path) -> None:
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("J")
        await folded(screen, 1)
        await pilot.press("v")
        await pilot.pause()
        assert "not saved: 1 edit" in told(screen)
        await pilot.press("ctrl+s")
        await until(lambda: screen.work is not None and not screen.work.is_changed, "saved")
        await pilot.pause()
        assert told(screen).strip().startswith("about")
        assert screen.status.message == "saved: 1 edit", "an attribute that is moved is not stale"


@pytest.mark.asyncio
async def test_before_the_file_is_read_keys_say_so(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with vocabulary(store) as (pilot, screen):
        monkeypatch.setattr(screen, "work", None)
        monkeypatch.setattr(type(screen.table), "values", property(lambda _: None))
        assert not screen.takes_keys
        for key in ("K", "e", "a", "d", "x", "m", "ctrl+s", "u", "t"):
            await pilot.press(key)
            await pilot.pause()
            assert "still being read" in screen.status.message, key


@pytest.mark.asyncio
async def test_keys_typed_while_an_edit_is_made_are_for_what_it_leads_to(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = Session.edit_vocabulary

    def slow(*given: Any, **named: Any) -> Any:
        time.sleep(0.3)
        return edit(*given, **named)

    monkeypatch.setattr(Session, "edit_vocabulary", slow)
    monkeypatch.setattr("colonnade.tui.typeahead._OPENING_S", 60.0)  # on a busy machine, too
    async with vocabulary(store) as (pilot, screen):
        await pilot.press("a")
        form = await form_of(pilot, screen)
        await fill(pilot, form, code="sun", description="the sun")
        await pilot.press("escape", "a")
        await until(lambda: screen.form not in (None, form), "a second form")
        second = await form_of(pilot, screen)
        assert second.draft.code == "", "what the first became is an edit, and nothing to go on with"
        assert screen.work is not None and len(screen.work.steps) == 1


@pytest.mark.asyncio
async def test_advice_names_the_keys_in_force(store: Path) -> None:
    keys = ("save", "view", "undo", "edit", "derive", "tag")
    configuration = Configuration(keys={f"vocabulary.{name}": f"f{6 + n}" for n, name in enumerate(keys)})
    async with vocabulary(store, configuration=configuration) as (pilot, screen):
        await until(lambda: "no image is embedded yet" in plan(screen), "why nothing can be tagged")
        assert screen.colonnade.overview is not None
        screen.colonnade.overview = replace(screen.colonnade.overview, embedded=60)
        screen.plan_changed()
        assert "F11 tags them" in plan(screen)
        assert "about (F7: what" in told(screen)
        await pilot.press("J")
        await folded(screen, 1)
        await until(lambda: "F6 saves" in plan(screen), "the plan")
        await pilot.press("f7")
        await until(lambda: "F8 takes the last back, F6 saves" in told(screen), "the keys")
        await pilot.press("f10")
        form = await form_of(pilot, screen)
        assert "F6 save   Esc back" in lines_of(form.query_one("#form-title"))[0]
        await fill(pilot, form, code="half")
        await until(lambda: "the rule names no attribute yet: space on" in plan(screen), "why not yet")
        await pilot.press("escape")
        await until(lambda: "F10 goes on with it" in said(screen).replace("\n", " "), "how to go on")
