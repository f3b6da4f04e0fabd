"""Where a review goes: which attribute, by policy or audit, and from its labels to a fit."""

from __future__ import annotations

from functools import partial
from typing import Any

from colonnade.tui.review_asking import Asking, ChosenAsking, PolicyAsking
from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.screens.calibration_saving import Done, fit, is_refused
from colonnade.tui.screens.review_request import take_request
from colonnade.tui.session_damage import damage_words

__all__ = ["ReviewGoing"]

BUDGET = 20
_ELSEWHERE = (
    "{review.choose:c} chooses an attribute,"
    " {review.next_attribute:N} takes the one where a label is worth most"
)


class ReviewGoing(BaseScreen):
    """The part of the review screen that begins and ends reviews."""

    def __init__(self) -> None:
        super().__init__()
        self._asking: Asking | None = None
        self._budget = BUDGET
        self._answered = 0
        self._tried = False

    @property
    def code(self) -> str | None:
        """The attribute that is reviewed."""
        return self._asking.code if self._asking is not None else None

    def begin(self, asking: Asking) -> None:
        """Begin a review, or begin it anew."""
        self._asking = asking
        self.session.attribute = asking.code
        self._budget, self._answered, self._tried = BUDGET, 0, False
        self.ask_next()

    def begin_where_asked(self) -> None:
        """Begin with what another screen asked for, else with the attribute that is shared."""
        request = take_request(self.session)
        if request is not None:
            self.begin(ChosenAsking(self.session, request.code, request.ids, request.why))
        elif self.session.attribute is None:
            self.tell_problem(f"no attribute is chosen: {_ELSEWHERE}")
        elif self.session.attribute != self.code:
            self.begin(PolicyAsking(self.session, self.session.attribute))

    def ask_next(self) -> None:
        """Have the next question or page read, and show it."""

    def tell_problem(self, words: str) -> None:
        """Show why nothing can be asked, and what to do."""

    def tell_change(self, words: str) -> None:
        """Show what a fit would change."""

    def cannot_ask(self, error: Exception) -> None:
        """Say why the review cannot go on."""
        overview = self.colonnade.overview
        problems = [line for line in (overview.problems if overview else ()) if "read-only" not in line]
        words = one_line(error)
        if damage_words(error) is not None:
            self.tell_problem(words)
        elif problems and problems[0].startswith(words):
            self.tell_problem(problems[0])
        else:
            self.tell_problem(f"{words} - {problems[0] if problems else _ELSEWHERE}")

    def action_next_attribute(self) -> None:
        self.say("looking where a label is worth most ...")
        self.background("worth", self.session.labels_worth, self._go_where_worth)

    def _go_where_worth(self, found: list[dict[str, Any]]) -> None:
        best = next((row for row in found if row["worth"]), None)
        if best is None:
            why = next((row["why"] for row in found if row["why"]), "no attribute has images in doubt")
            self.warn(f"no label would tell anything now: {why}")
            return
        known = f"{best['labels']:,} so far"
        if best["code"] == self.code:
            self.say(f"{best['code']}: a label is worth most here ({known})")
        else:
            self.say(f"{best['code']}: a label is worth most there ({known})")
            self.begin(PolicyAsking(self.session, best["code"]))

    def action_audit(self) -> None:
        if self._asking is None:
            self.warn(f"no attribute is chosen: {_ELSEWHERE}")
            return
        audit = not self._asking.audit
        self.begin(PolicyAsking(self.session, self._asking.code, audit=audit))
        self.say(
            "audit: drawn by chance, for precision and recall" if audit else "images where a label says most"
        )

    def action_choose(self) -> None:
        self.background("codes", self.session.attributes, self._choose)

    def _choose(self, rows: Any) -> None:
        known = [(row.code, row.label) for row in rows if not row.derived]

        def choices(typed: str) -> list[tuple[str, str]]:
            word = typed.strip().casefold()
            return [(code, label) for code, label in known if word in f"{code} {label}".casefold()]

        def chosen(code: str) -> None:
            if code.strip():
                self.begin(PolicyAsking(self.session, code.strip()))

        self.ask("review which attribute?", chosen, choices=choices)

    def action_more(self) -> None:
        self._budget += 10
        self.say(f"a budget of {self._budget} answers")
        if self._asking is not None:
            self.ask_next()

    # from labels to a fit

    def action_fit(self) -> None:
        if self.code is None:
            self.warn(f"no attribute is chosen: {_ELSEWHERE}")
        elif not self.is_read_only():
            self._fit(self.code, dry_run=True)

    def save_fit(self) -> None:
        """Save the fit that was tried."""
        self._tried = False
        if self.code is not None:
            self._fit(self.code, dry_run=False)

    def _fit(self, code: str, *, dry_run: bool) -> None:
        self.say(f"{code}: {'trying a fit' if dry_run else 'fitting'} with the labels ...")
        work = partial(fit, self.session, code, "labels", lambda *_: None, dry_run=dry_run)
        then = partial(self._fit_tried, code) if dry_run else self._fitted
        self.background("fit", work, then, failed=self._not_fitted)

    def _fit_tried(self, code: str, words: str) -> None:
        if code != self.code:
            return
        self._tried = True
        self.say("a fit was tried; nothing is saved yet")
        self.tell_change(f"not saved: {words} - {{review.save:^S}} saves, {{app.back:Esc}} drops it")

    def _fitted(self, done: Done) -> None:
        self.tell_change(done.words)
        self.say("saved; Calibration ({app.calibration:3}) shows the line")

    def _not_fitted(self, error: Exception) -> None:
        self._tried = False
        (self.warn if is_refused(error) else self.fail)(one_line(error))
