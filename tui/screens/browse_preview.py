"""What is known of the image under the cursor: its picture, its facts, what the attributes say; small or large."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from colonnade.tui.amounts import bytes_of
from colonnade.tui.keys import action
from colonnade.tui.widgets.line import TextLine, TextLines
from colonnade.tui.widgets.picture import Picture
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

if TYPE_CHECKING:
    from colonnade.tui.session_model import ImageRow, ScoreRow

__all__ = ["ExplainPanel", "LargePicture", "Panel", "Preview", "image_facts", "score_lines"]


def image_facts(row: ImageRow) -> str:
    """Size, format, time and state of an image, in a line."""
    parts = [f"{row.width}x{row.height}" if row.width and row.height else "", row.format or ""]
    parts += [f"{row.taken:%Y-%m-%d %H:%M}" if row.taken else ""]
    parts += [row.state if row.state != "ok" else "", "imported" if row.source == "import" else ""]
    return "  ".join(part for part in parts if part)


def score_lines(scores: Sequence[ScoreRow], first: Collection[str]) -> tuple[str, ...]:
    """A line for each attribute: those that the query names, then what is accepted or tentative, best first."""
    named = [score for code in first for score in scores if score.code == code]
    rest = [
        score for score in scores if score.code not in first and score.status in ("accepted", "tentative")
    ]
    rest.sort(key=lambda score: (score.status != "accepted", -(score.confidence or 0)))
    return tuple(
        f" {score.code:<16.16} {_decimal(score.confidence):>4}  {score.status or 'unknown'}"
        for score in (*named, *rest)
    )


def no_picture(row: ImageRow) -> str | None:
    """Why an image has no picture, where that is known without trying."""
    if row.state != "ok":
        return f"{row.state}: {row.error}" if row.error else row.state
    return "imported: the store has no file of it" if row.file is None else None


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}".removeprefix("0")


class Panel(Vertical):
    """A panel that says when it can be filled."""

    @dataclass
    class Ready(Message):
        """Its widgets are there."""

    def on_mount(self) -> None:
        self.call_after_refresh(self.post_message, self.Ready())

    @property
    def is_ready(self) -> bool:
        """Whether its widgets are there."""
        return bool(self.query(TextLine))


class Preview(Panel):
    """The panel beside the results."""

    DEFAULT_CSS = """
    Preview { width: 40; margin: 0 0 0 1; }
    Preview > .name { text-style: bold; color: $primary; }
    Preview > #preview-scores { height: auto; max-height: 40%; }
    BrowseScreen.-full Preview { width: 40%; }
    BrowseScreen.-tiny Preview { width: 1fr; margin: 0; }
    BrowseScreen.-flat #preview-scores { display: none; }
    """

    def compose(self) -> ComposeResult:
        yield TextLine(classes="name", id="preview-name", cut="left")
        yield Picture(id="preview-picture")
        yield TextLine(id="preview-facts")
        yield TextLines(id="preview-scores")

    def show_image(self, row: ImageRow | None, scores: Sequence[ScoreRow], first: Collection[str]) -> None:
        """Show an image, or nothing."""
        if not self.is_ready:
            return
        self.query_one("#preview-name", TextLine).tell(f" {row.shown}" if row else "")
        self.query_one("#preview-facts", TextLine).tell(f" {image_facts(row)}" if row else "")
        self.query_one("#preview-scores", TextLines).show(score_lines(scores, first))
        picture = self.query_one(Picture)
        if row is None:
            picture.show(None)
        else:
            picture.show(row.file, no_picture(row))


class LargePicture(Panel, can_focus=True):
    """One picture over the whole screen; the arrows go to the next and the previous result."""

    DEFAULT_CSS = """
    LargePicture { height: 1fr; width: 1fr; }
    """
    BINDINGS: ClassVar = [
        action("picture.next", "down,right,j,l,space", "turn(1)", "next result"),
        action("picture.previous", "up,left,k,h,backspace", "turn(-1)", "previous result"),
        action("picture.close", "escape,enter", "close", "back to the results"),
    ]

    @dataclass
    class Turned(Message):
        """Go some results on."""

        step: int

    @dataclass
    class Closed(Message):
        """The picture is to be put away."""

    def compose(self) -> ComposeResult:
        yield TextLine(id="large-name")
        yield Picture(id="large-picture")
        yield TextLine(id="large-scores")

    def show_image(self, row: ImageRow, scores: Sequence[ScoreRow], first: Collection[str]) -> None:
        """Show an image."""
        if not self.is_ready:
            return
        self.query_one("#large-name", TextLine).tell(f" {row.shown}  {image_facts(row)}  {_weight(row)}")
        said = [" ".join(line.split()) for line in score_lines(scores, first)]
        self.query_one("#large-scores", TextLine).tell(" " + "   ".join(said))
        self.query_one(Picture).show(row.file, no_picture(row))

    def action_turn(self, step: int) -> None:
        self.post_message(self.Turned(step))

    def action_close(self) -> None:
        self.post_message(self.Closed())


def _weight(row: ImageRow) -> str:
    return bytes_of(row.bytes) if row.bytes else ""


class ExplainPanel(Panel):
    """Why the scores of the image are what they are."""

    DEFAULT_CSS = """
    ExplainPanel { dock: bottom; height: 45%; min-height: 4; background: $panel; margin: 0 0 1 0; }
    ExplainPanel > TextLine { text-style: bold; }
    ExplainPanel > WindowTable { background: $panel; }
    """
    BINDINGS: ClassVar = [action("explain.close", "escape,x", "close", "close the explanation")]

    @dataclass
    class Closed(Message):
        """The panel is to be put away."""

    def compose(self) -> ComposeResult:
        yield TextLine(id="explain-title")
        yield WindowTable((Column("line", "", sortable=False),), heading=False)

    def tell(self, title: str, lines: Sequence[str]) -> None:
        """Show an explanation."""
        if not self.is_ready:
            return
        self.query_one("#explain-title", TextLine).tell(f" {title}")
        self.query_one(WindowTable).show(ListSource([(line,) for line in lines]))

    def action_close(self) -> None:
        self.post_message(self.Closed())
