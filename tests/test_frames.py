"""Only what changed is sent, and the terminal shows the same as if all had been."""

from __future__ import annotations

import io

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from colonnade.tui.frames import FrameKeeper

WIDTH, HEIGHT = 12, 4
CONSOLE = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False)
STYLES = [
    Style(),
    Style(color="red"),
    Style(color="red", bold=True),
    Style(bgcolor="blue"),
    Style(color="#102030", bgcolor="blue"),
    Style(reverse=True),
]

texts = st.text(st.sampled_from("ab  █é漢字"), min_size=WIDTH, max_size=WIDTH)
lines = st.lists(st.tuples(texts, st.sampled_from(STYLES)), min_size=1, max_size=3)


def strip_of(parts: list[tuple[str, Style]]) -> Strip:
    return Strip([Segment(text[:5], style) for text, style in parts]).adjust_cell_length(WIDTH)


def whole(frame: list[Strip]) -> LayoutUpdate:
    return LayoutUpdate([[strip] for strip in frame], Region(0, 0, WIDTH, HEIGHT))


def some(frame: list[Strip], rows: list[int]) -> ChopsUpdate:
    chops = [{0: strip} for strip in frame]
    return ChopsUpdate(chops, [(y, 0, WIDTH) for y in rows], [[WIDTH] for _ in frame])


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    rows = [[screen.buffer[y][x] for x in range(WIDTH)] for y in range(HEIGHT)]
    return [[(one.data, one.fg, one.bg, one.bold, one.reverse) for one in row] for row in rows]


@given(st.lists(st.lists(lines, min_size=HEIGHT, max_size=HEIGHT), min_size=1, max_size=5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_terminal_shows_the_last_frame(frames: list[list[list[tuple[str, Style]]]], partly: bool) -> None:
    keeper = FrameKeeper()
    changed, full = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
    drawn: list[Strip] = []
    for number, frame in enumerate(frames):
        strips = [strip_of(parts) for parts in frame]
        if number and partly:
            rows = [y for y in range(HEIGHT) if strips[y] != drawn[y]]
            update: ChopsUpdate | LayoutUpdate = some(strips, rows) if rows else whole(strips)
        else:
            update = whole(strips)
        pyte.Stream(changed).feed(keeper.render(update, (WIDTH, HEIGHT), CONSOLE))
        drawn = strips
    by_rich = "".join(f"\x1b[{y + 1}H{strip.render(CONSOLE)}" for y, strip in enumerate(drawn))
    pyte.Stream(full).feed(by_rich)
    assert cells(changed) == cells(full)


def test_the_same_again_sends_nothing_and_one_cell_sends_one() -> None:
    keeper = FrameKeeper()
    style = Style(color="red")
    frame = [Strip([Segment("x" * WIDTH, style)])] * HEIGHT
    assert len(keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE)) > WIDTH * HEIGHT
    assert keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE) == ""
    other = [*frame[:-1], Strip([Segment("x" * (WIDTH - 1) + "y", style)])]
    assert keeper.render(whole(other), (WIDTH, HEIGHT), CONSOLE) == "\x1b[4;12H\x1b[31my\x1b[0m"


def test_another_size_or_a_forgotten_frame_is_sent_whole() -> None:
    keeper = FrameKeeper()
    frame = [Strip([Segment("x" * WIDTH)])] * HEIGHT
    first = keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE)
    keeper.forget()
    assert keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE) == first
    assert keeper.render(whole(frame), (WIDTH, HEIGHT + 1), CONSOLE) == first


def test_what_is_no_text_is_passed_on_and_what_it_covers_is_not_known() -> None:
    keeper = FrameKeeper()
    frame = [Strip([Segment("x" * WIDTH)])] * HEIGHT
    keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE)
    pixels = [Strip([Segment("\x1bPq...\x1b\\"), Segment("x" * WIDTH)], WIDTH), *frame[1:]]
    assert "\x1bPq...\x1b\\" in keeper.render(whole(pixels), (WIDTH, HEIGHT), CONSOLE)
    assert "x" * WIDTH in keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE)


def test_of_a_part_no_more_is_sent_than_was_drawn() -> None:
    """What stands beside the part of a screen that is drawn anew was not drawn with it, and must stay."""
    keeper, screen = FrameKeeper(), pyte.Screen(WIDTH, HEIGHT)
    stream = pyte.Stream(screen)
    frame = [Strip([Segment("x" * WIDTH)])] * HEIGHT
    stream.feed(keeper.render(whole(frame), (WIDTH, HEIGHT), CONSOLE))
    left, undrawn = Strip([Segment("y" * 5)]), Strip([Segment(" " * (WIDTH - 5))])
    chops = [{0: left, 5: undrawn} for _ in frame]
    update = ChopsUpdate(chops, [(1, 0, 5), (2, 0, 3)], [[5, WIDTH] for _ in frame])
    stream.feed(keeper.render(update, (WIDTH, HEIGHT), CONSOLE))
    assert screen.display[1] == "yyyyyxxxxxxx"
    assert screen.display[2] == "yyyxxxxxxxxx"
    chops = [{0: Strip([Segment(" " * 5)]), 5: Strip([Segment("z" * (WIDTH - 5))])} for _ in frame]
    update = ChopsUpdate(chops, [(1, 5, WIDTH)], [[5, WIDTH] for _ in frame])
    stream.feed(keeper.render(update, (WIDTH, HEIGHT), CONSOLE))
    assert screen.display[1] == "yyyyyzzzzzzz"
