"""One attribute's distribution: lines that keys move, counts that follow, and the images on both sides of a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.message import Message

from colonnade.tui.cut_lines import CutLines
from colonnade.tui.keys import action
from colonnade.tui.widgets.grid import GridItem
from colonnade.tui.widgets.histogram import Histogram
from colonnade.tui.widgets.line import TextLine, keyed
from colonnade.tui.widgets.thumbnails import PictureStrip

if TYPE_CHECKING:
    from colonnade.tui.session_distribution import Distribution

__all__ = ["AttributePanel", "estimate_words"]

_TILE = (12, 6)
MOST_IN_STRIP = 24


class AttributePanel(Vertical, can_focus=True):
    """The distribution of one attribute. It moves lines; the screen reads, saves and fits."""

    DEFAULT_CSS = """
    AttributePanel { height: 1fr; width: 1fr; }
    AttributePanel > .name { background: $panel; text-style: bold; }
    AttributePanel > .change { text-style: bold; }
    AttributePanel #strips { height: 8; layout: horizontal; }
    AttributePanel .side { height: 8; width: 1fr; }
    AttributePanel .side > TextLine { text-style: dim; }
    BaseScreen.-tall AttributePanel #strips { height: 16; layout: vertical; }
    BaseScreen.-flat AttributePanel #strips { display: none; }
    BaseScreen.-flat AttributePanel #estimates { display: none; }
    """
    BINDINGS: ClassVar = [
        action("line.left", "left", "step(-1)", "the line a hundredth down"),
        action("line.right", "right", "step(1)", "the line a hundredth up"),
        action("line.far_left", "shift+left,less_than_sign", "step(-5)", "the line five hundredths down"),
        action("line.far_right", "shift+right,greater_than_sign", "step(5)", "the line five hundredths up"),
        action("line.other", "tab", "other", "the other line: accepted, or tentative alone"),
        action("line.back", "backspace", "reset", "the lines back to where they are saved"),
        action("line.scale", "y", "scale", "heights: by number, or by its logarithm"),
        action("line.save", "enter,ctrl+s", "save", "save the lines, or the fit that was tried"),
        action("line.labels", "l", "labels", "fit with the labels: first what that would change"),
    ]

    @dataclass
    class Moved(Message):
        """A line stands elsewhere, or another one is the one that moves."""

        room_alone: bool = False
        """All that changed is how many images the strips have room for."""

    @dataclass
    class SaveAsked(Message):
        """What was moved or tried is to be saved."""

    @dataclass
    class LabelsAsked(Message):
        """A fit with the labels is wanted."""

    @dataclass
    class Refused(Message):
        """A key that cannot do anything now, and why."""

        words: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: CutLines | None = None
        self.moving = "accepted"
        self._logarithmic = False
        self._head = ""

    def compose(self) -> ComposeResult:
        yield TextLine(classes="name", id="attribute-name")
        yield TextLine(id="counts")
        yield TextLine(id="estimates")
        yield TextLine(classes="change", id="change")
        yield Histogram(id="histogram")
        with Container(id="strips"):
            for side in ("below", "above"):
                with Vertical(classes="side"):
                    yield TextLine(id=f"{side}-name")
                    yield PictureStrip(tile=_TILE, id=side)

    @property
    def place(self) -> float:
        """Where the line that moves stands."""
        assert self.lines is not None
        return self.lines.accepted_at if self.moving == "accepted" else self.lines.tentative_at

    @property
    def wanted(self) -> int:
        """How many images a strip has room for."""
        return min(MOST_IN_STRIP, self.query_one("#above", PictureStrip).capacity)

    def head(self, name: str, facts: str, estimates: str) -> None:
        """What stands above the distribution.

        Args:
            facts: method and state, in words.
            estimates: precision and recall.
        """
        self._head = f" {name}   {facts}"
        self.query_one("#attribute-name", TextLine).tell(self._head)
        self.query_one("#estimates", TextLine).tell(f" {keyed(self, estimates)}")

    def open(self, found: Distribution, *, keep: bool = False) -> None:
        """Show a distribution; `keep`: with the lines where they were moved to."""
        before = self.lines
        lines = CutLines.saved(found)
        if keep and before is not None and before.found.axis == found.axis:
            lines = CutLines(found, before.accepted_at, before.tentative)
        self._put(lines)

    def close(self, words: str = "") -> None:
        """Show nothing, or why there is nothing."""
        self.lines = None
        self.query_one(Histogram).show(None)
        self.query_one("#counts", TextLine).tell(f" {words}")
        self.query_one("#change", TextLine).tell("")
        self.show_strips((), ())

    def say(self, words: str) -> None:
        """What saving would change, in the place of what the lines say of it."""
        self.query_one("#change", TextLine).tell(f" {keyed(self, words)}")

    def show_strips(self, above: Sequence[GridItem], below: Sequence[GridItem]) -> None:
        """Show the images on both sides of the line, nearest first."""
        for side, items in (("above", above), ("below", below)):
            words = f" just {side} the line: {self.moving}" if side == "above" else " just below it"
            self.query_one(f"#{side}-name", TextLine).tell(words if items else "")
            strip = self.query_one(f"#{side}", PictureStrip)
            if strip.ids != [item.id for item in items]:
                strip.show(items)

    def on_resize(self) -> None:
        if self.lines is not None:
            self.post_message(self.Moved(room_alone=True))

    def action_step(self, steps: int) -> None:
        lines = self.lines
        if lines is None:
            return
        if not lines.can_move:
            why = (
                "nothing is scored"
                if not lines.found.count
                else f"its threshold is {lines.found.axis.accepted:g}"
            )
            self.post_message(self.Refused(f"the line cannot be moved: {why}; see Vocabulary"))
            return
        moved = (
            lines.with_cut_moved(steps) if self.moving == "accepted" else lines.with_threshold_moved(steps)
        )
        self._put(moved)

    def action_other(self) -> None:
        if self.lines is not None:
            self.moving = "tentative" if self.moving == "accepted" else "accepted"
            self._put(self.lines)

    def action_reset(self) -> None:
        if self.lines is not None:
            self._put(CutLines.saved(self.lines.found))

    def action_scale(self) -> None:
        self._logarithmic = not self._logarithmic
        self._draw()

    def action_save(self) -> None:
        self.post_message(self.SaveAsked())

    def action_labels(self) -> None:
        self.post_message(self.LabelsAsked())

    def _put(self, lines: CutLines) -> None:
        self.lines = lines
        self._draw()
        self.post_message(self.Moved())

    def _draw(self) -> None:
        lines = self.lines
        if lines is None:
            return
        self.query_one(Histogram).show(lines, self.moving, logarithmic=self._logarithmic)
        words = f" {lines.count_words()}   from {lines.place_words()}"
        self.query_one("#counts", TextLine).tell(words)
        change = lines.change_words()
        if change:
            self.say(f"not saved: {change} - {{line.save:enter}} saves, {{line.back:backspace}} takes back")
        elif self.moving == "tentative":
            self.say("the tentative line alone moves its threshold in the vocabulary, by .01")
        else:
            self.say("")


def estimate_words(row: dict[str, Any]) -> str:
    """Labels, precision and recall of an attribute as it is saved."""
    cells = row["cells"]
    if not row["labels"]:
        return "no labels: {calibration.review:r} reviews the images at the line"
    if cells["precision"] == "-" and cells["recall"] == "-":
        return f"labels {cells['labels']}; an audit (Review, {{review.audit:a}}) shows precision and recall"
    return f"labels {cells['labels']}   as saved: precision {cells['precision']}  recall {cells['recall']}"
