"""A page of thumbnails in a review: answers that are toggled, then saved together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from colonnade.tui.review_asking import Asked
from colonnade.tui.review_words import done_words
from colonnade.tui.screens.review_going import ReviewGoing
from colonnade.tui.widgets.grid import Grid, GridItem
from colonnade.tui.widgets.line import TextLine, keyed
from colonnade.tui.widgets.picture import Picture
from colonnade.tui.widgets.thumbnails import JudgedGrid

__all__ = ["ReviewPaging"]

_WORDS = {True: "yes", False: "no", None: "unsure"}


class ReviewPaging(ReviewGoing):
    """The part of the review screen that shows and saves pages."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: Asked | None = None
        self._busy = False
        """Whether answers are being saved, or questions read."""
        self._large: GridItem | None = None
        """The thumbnail that is shown large."""

    @property
    def picture(self) -> Picture:
        """The picture that is asked about."""
        return self.query_one(Picture)

    @property
    def page(self) -> JudgedGrid:
        """The thumbnails."""
        return self.query_one(JudgedGrid)

    def has_failed(self, error: Exception) -> None:
        """Say why answers were not saved, and ask again."""

    # what is asked

    def _show_page(self, asked: Asked) -> None:
        self.page.clear_answers()
        left = self._budget - self._answered
        items = [_item(question) for question in asked.page] if left > 0 else []
        self.page.show(items)
        if not items:
            self._show_done(asked, exhausted=left > 0)
            return
        self._head(asked, f"{len(items)} pictures, {left} left of {self._budget}")
        self.tell_change("")
        self._name_item()

    def _show_done(self, asked: Asked, *, exhausted: bool) -> None:
        self._head(asked, "that is all" if exhausted else f"{self._answered} of {self._budget}")
        self.query_one("#name", TextLine).tell("")
        self.tell_change(done_words(asked.standing, self._answered, exhausted=exhausted))

    def _head(self, asked: Asked, place: str) -> None:
        assert self._asking is not None
        code, why = self._asking.code, self._asking.why
        name = f"   {code}" if asked.label != code else ""
        locked = "" if self.session.writable else "   read-only: answers cannot be saved"
        self.query_one("#question", TextLine).tell(f" {asked.label}?{name}   {place}   {why}{locked}")

    def tell_change(self, words: str) -> None:
        self.query_one("#note", TextLine).tell(f" {keyed(self, words)}" if words else "")

    # what is said of it

    def _judge(self, present: bool | None) -> None:
        item = self._large or self.page.item
        if item is None:
            self.say("nothing is asked now")
            return
        self.page.judge(item.id, present)
        if self._large is not None:
            self._close_large()
        self.page.action_move(1)
        self._name_item()

    def _name_item(self) -> None:
        item = self.page.item
        if item is not None and self._asked is not None:
            shown = next(q["shown"] for q in self._asked.page if q["image_id"] == item.id)
            said = _WORDS[self.page.answer_of(item.id)]
            self.query_one("#name", TextLine).tell(f" {said}: {shown}")

    def on_grid_moved(self, _: Grid.Moved) -> None:
        self._name_item()

    def on_grid_toggled(self, _: Grid.Toggled) -> None:
        self._name_item()

    def on_grid_opened(self, message: Grid.Opened) -> None:
        self._large = message.item
        self.add_class("-large")
        self.picture.show(message.item.path, message.item.reason, clear=True)
        self.set_focus(None)

    def _close_large(self) -> None:
        self._large = None
        self.remove_class("-large")
        self.call_after_refresh(self.page.focus)

    def _save_page(self, asked: Asked) -> None:
        assert self._asking is not None
        seen, page = self.page.seen, self.page
        given = [(q, page.answer_of(q["image_id"])) for q in asked.page if q["image_id"] in seen]
        if not given:
            self.say("no picture of the page has been seen yet")
            return
        yes = sum(present is True for _, present in given)
        unsure = sum(present is None for _, present in given)
        words = f"saved: {yes} yes, {len(given) - yes - unsure} no, {unsure} unsure"
        self._busy = True
        self.say(f"saving {len(given)} answers ...")
        work = partial(self._asking.save, given)
        self.background("review", work, lambda _: self._page_saved(len(given), words), failed=self.has_failed)

    def _page_saved(self, count: int, words: str) -> None:
        self._answered += count
        self.say(words)
        self.ask_next()


def _item(question: dict[str, Any]) -> GridItem:
    path = Path(question["file"]) if question["file"] else None
    return GridItem(
        question["image_id"], path, question["shown"].rpartition("/")[2], None if path else "imported"
    )
