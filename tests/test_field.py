"""What is pasted into a text field of one line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from app_driving import Terminal, browsing, moon_store, until
from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events

from colonnade.tui.paste import CleanPastes
from colonnade.tui.widgets.field import SafeInput, pasted_words
from colonnade.tui.widgets.query_line import QueryLine


@pytest.mark.parametrize(
    ("pasted", "taken"),
    [
        ("earth and\nmoon\r\nand sun", "earth and moon and sun"),
        ("earth and  \n\n   moon\n", "earth and moon"),
        (" and moon", " and moon"),
        ("/some/folder\n", "/some/folder"),
        ("a\tb", "a b"),
        ("a\x1b[31mb\x00\x07c\x9b", "a[31mbc"),
        ("\n\n", ""),
        ("", ""),
    ],
)
def test_lines_are_joined_and_control_characters_dropped(pasted: str, taken: str) -> None:
    assert pasted_words(pasted) == taken


@pytest.mark.asyncio
async def test_a_query_of_several_lines_is_pasted_whole(tmp_path: Path) -> None:
    async with browsing(moon_store(tmp_path / "s", images=30)) as (pilot, screen):
        await pilot.press("i")
        field = screen.query_one(SafeInput)
        await until(lambda: field.has_focus)
        await pilot.press(*"not ")
        screen.app.post_message(events.Paste("earth\n  and\nmoon\n"))
        await until(lambda: screen.query_one(QueryLine).text == "not earth and moon", "pasted")


@given(st.text("ab\n\x1b\x9b[201~", max_size=30), st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=60, deadline=None)
def test_however_input_is_cut_a_paste_is_cleaned(text: str, cuts: list[int]) -> None:
    while "\x1b[201~" in text:
        text = text.replace("\x1b[201~", "")
    whole = f"\x1b[Ax\x1b[200~{text}\x1b[201~\x1b[B\x1b[200~c\x1bd\x1b[201~q"
    pastes, places = CleanPastes(), sorted({0, *(min(cut, len(whole)) for cut in cuts), len(whole)})
    pieces = [pastes.clean(whole[a:b]) for a, b in pairwise(places)]
    kept = text.replace("\x1b", "").replace("\x9b", "")
    assert "".join(pieces) == f"\x1b[Ax\x1b[200~{kept}\x1b[201~\x1b[B\x1b[200~cd\x1b[201~q"


def test_a_pasted_escape_is_no_key(tmp_path: Path) -> None:
    with Terminal.on_app("ui", moon_store(tmp_path / "s", images=30)) as terminal:
        terminal.wait_for("30 hits")
        terminal.press("\x1b[200~x\x1b2\x1b[201~")
        terminal.press("i")
        terminal.press("\x1b[200~earth and\nmo\x1b[31")
        terminal.press("mon\nand\x1b\x1b sun\x1b[201~ x")
        terminal.wait_for("> earth and mo[31mon and sun x")
