"""Review: one picture, one question, one key; or a page of thumbnails. Every answer is saved at once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, ClassVar

from textual.app import ComposeResult

from colonnade.tui.keys import action
from colonnade.tui.review_asking import Asked
from colonnade.tui.review_words import place_words, standing_words
from colonnade.tui.screens.review_paging import ReviewPaging
from colonnade.tui.widgets.line import TextLine, TextLines, keyed
from colonnade.tui.widgets.picture import Picture
from colonnade.tui.widgets.thumbnails import JudgedGrid

__all__ = ["ReviewScreen"]

_DOUBT = "your other answers speak against it; what you say now stands"
_IMPORTED = "imported: the picture's file is not known here"
_ONE_HINT = (
    "{review.yes:y} yes  {review.no:n} no  {review.unsure:u} unsure  {review.back:b} back  {review.page:g} page"
    "  {app.help:?} keys"
)
_PAGE_HINT = (
    "{grid.toggle:space} yes/no  {review.unsure:u} unsure  {review.save:^S} saves the page  {review.page:g} one"
    "  {app.help:?} keys"
)


class ReviewScreen(ReviewPaging):
    """The question at the top, the picture or the page, what is known below."""

    NAME = "review"
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    ReviewScreen #question { background: $panel; text-style: bold; }
    ReviewScreen #page { display: none; }
    ReviewScreen.-page #page { display: block; }
    ReviewScreen.-page #picture { display: none; }
    ReviewScreen.-page.-large #picture { display: block; }
    ReviewScreen.-page.-large #page { display: none; }
    ReviewScreen #standing { height: auto; min-height: 2; max-height: 6; }
    ReviewScreen.-narrow #standing { min-height: 3; }
    ReviewScreen #note { text-style: bold; }
    ReviewScreen.-flat #standing, ReviewScreen.-flat #name { display: none; }
    """
    BINDINGS: ClassVar = [
        action("review.yes", "y", "say(True)", "yes, it shows that"),
        action("review.no", "n", "say(False)", "no, it does not"),
        action("review.unsure", "u", "say(None)", "unsure: leave it out"),
        action("review.back", "b", "before", "back to the picture before, to change the answer"),
        action("review.page", "g", "page", "a page of thumbnails, or one picture"),
        action("review.save", "ctrl+s,enter", "save", "save the page, or the fit that was tried"),
        action("review.audit", "a", "audit", "audit: pictures drawn by chance, for precision and recall"),
        action("review.next_attribute", "N", "next_attribute", "the attribute where a label is worth most"),
        action("review.choose", "c", "choose", "choose the attribute"),
        action("review.more", "plus", "more", "ten more questions"),
        action("review.fit", "f", "fit", "move the cut by the labels: first what that would change"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0
        """How many answers back the question is; 0: it is a new one."""
        self._seen: Path | None = None
        """The file whose picture, or the reason why there is none, is on the screen."""

    def compose_body(self) -> ComposeResult:
        yield TextLine(id="question")
        yield Picture(id="picture")
        yield JudgedGrid(id="page")
        yield TextLine(id="name")
        yield TextLines(id="standing")
        yield TextLine(id="note")

    @property
    def question(self) -> dict[str, Any] | None:
        """What is asked; None where the budget is used up, or nothing is left."""
        found = self._asked.question if self._asked is not None else None
        if found is None or self._steps or found.get("look"):
            return found
        return found if self._answered < self._budget else None

    def session_ready(self) -> None:
        self.hint(_ONE_HINT)
        self.begin_where_asked()

    def resumed(self) -> None:
        self.begin_where_asked()

    def snapshot_changed(self) -> None:
        if self._asked is None and not self._busy and self._asking is not None and self.is_current:
            self.ask_next()  # what stood in the way may be gone

    def go_back(self) -> bool:
        if self._tried:
            self._tried = False
            self.tell_change("the fit was not saved")
        elif self._large is not None:
            self._close_large()
        elif self.has_class("-page"):
            self.action_page()
        else:
            return False
        return True

    # asking

    def ask_next(self) -> None:
        asking = self._asking
        if asking is None:
            return
        self._busy, self._steps = True, 0
        if self.has_class("-page"):
            count = max(1, min(self.page.capacity, self._budget - self._answered))
            self.background("review", partial(asking.page, count), self._show, failed=self._not_asked)
        else:
            self.background("review", asking.first, self._show, failed=self._not_asked)

    def _show(self, asked: Asked) -> None:
        self._busy, self._asked, self._tried = False, asked, False
        self._show_standing(asked)
        if self.has_class("-page"):
            self._show_page(asked)
        else:
            self._show_question(asked)

    def _show_standing(self, asked: Asked) -> None:
        standing = standing_words(asked.standing, audit=self._asking is not None and self._asking.audit)
        lines = [part for line in standing for part in wrap(keyed(self, line), max(20, self.size.width - 2))]
        self.query_one("#standing", TextLines).show(tuple(f" {line}" for line in lines))

    def on_resize(self) -> None:
        if self._asked is not None:
            self._show_standing(self._asked)

    def _show_question(self, asked: Asked) -> None:
        question = self.question
        if question is None:
            self._show_done(asked, exhausted=asked.question is None)
            self.picture.show(None)
            return
        self._head(asked, place_words(question, self._answered, self._budget))
        self.tell_change(_DOUBT if question.get("look") and not self._steps else "")
        self.query_one("#name", TextLine).tell(f" {question['shown']}")
        path = Path(question["file"]) if question["file"] else None
        if path is None or self.picture.path != path:
            self._seen = None
        self.picture.show(path, None if path else _IMPORTED, clear=True)

    def _not_asked(self, error: Exception) -> None:
        self._busy = False
        self.cannot_ask(error)

    def tell_problem(self, words: str) -> None:
        self._asked, words = None, keyed(self, words)
        self.query_one("#question", TextLine).tell(f" {self.code or 'review'}: nothing can be asked")
        self.query_one("#name", TextLine).tell("")
        self.tell_change(words if self.has_class("-page") else "")
        self.query_one("#standing", TextLines).show(())
        self.picture.show(None, words)
        self.page.show(())
        self.warn(words)

    def on_picture_shown(self, message: Picture.Shown) -> None:
        self._seen = message.path

    # answering

    def action_say(self, present: bool | None) -> None:
        if self.has_class("-page"):
            self._judge(present)
            return
        question, asking = self.question, self._asking
        if self._busy:
            self.say("the answer before is still being saved")
        elif question is None or asking is None:
            self.say("nothing is asked now")
        elif self.is_read_only():
            return
        elif question["file"] and self._seen != Path(question["file"]):
            self.say("the picture is not there yet")
        elif question["file"] and self.picture.reason and present is not None:
            self.warn(
                f"there is no picture to judge ({self.picture.reason}): {{review.unsure:u}} leaves it out"
            )
        else:
            self._busy = True
            work = partial(asking.answer, question, present)
            again = bool(self._steps or question.get("look"))
            self.background("review", work, partial(self._answer_saved, again), failed=self.has_failed)

    def _answer_saved(self, again: bool, asked: Asked) -> None:
        self._answered += not again
        self._steps = 0
        self._show(asked)

    def has_failed(self, error: Exception) -> None:
        self._busy = False
        self.ask_next()
        self.fail(error)

    def action_before(self) -> None:
        if self.has_class("-page"):
            self.say("{review.back:b} goes back from picture to picture; {review.page:g} shows one")
        elif self._asking is not None and not self._busy and self._asked is not None:
            self._busy = True
            self.background(
                "review", partial(self._asking.back, self._steps + 1), self._went_back, failed=self._not_asked
            )

    def _went_back(self, asked: Asked) -> None:
        self._busy = False
        if asked.question is None:
            self.say("there is no answer before this")
        else:
            self._steps += 1
            self._show(asked)

    # a page

    def action_page(self) -> None:
        if self._asking is None:
            self.warn("no attribute is chosen: {review.choose:c} chooses one")
            return
        self._large = None
        self.remove_class("-large")
        self.toggle_class("-page")
        paged = self.has_class("-page")
        self.hint(_PAGE_HINT if paged else _ONE_HINT)
        if paged:
            self.page.show(())
            self.call_after_refresh(self.page.focus)
        else:
            self.set_focus(None)
        if self._asking is not None:
            self.call_after_refresh(self.ask_next)

    def action_save(self) -> None:
        if self._tried:
            self.save_fit()
        elif self._large is not None:
            self._close_large()
        elif not self.has_class("-page"):
            self.say("every answer is saved as it is given")
        elif not self.is_read_only() and self._asked is not None and not self._busy:
            self._save_page(self._asked)
