"""Editing one attribute: the form is opened, what is typed is tried, and it becomes edits of the file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from colonnade.engine.vocabulary_model import Rule
from colonnade.tui.screens.vocabulary_draft import Draft, draft_of, steps_of
from colonnade.tui.screens.vocabulary_form import Form
from colonnade.tui.screens.vocabulary_saving import VocabularySaving
from colonnade.tui.screens.vocabulary_try import Tries
from colonnade.tui.screens.vocabulary_trying import Tried, failure_lines, try_draft
from colonnade.tui.screens.vocabulary_work import Folded, fold

__all__ = ["VocabularyEditing"]

_TRY_SECONDS = 0.4
_RULE_SECONDS = 0.1


class VocabularyEditing(VocabularySaving):
    """The form and the tries below it."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: dict[str | None, Draft] = {}
        """What was typed and could not become an edit yet, by code; None: of a new attribute."""
        self._tried: dict[int, object] = {}

    def focus_list(self) -> None:
        """Put the focus into the list."""

    def tell_plan(self, text: str) -> None:
        """Show a text as the plan."""

    def before_form(self) -> None:
        """Make room for the form."""

    @property
    def form(self) -> Form | None:
        """The form, while it is open."""
        found = self.query(Form)
        return found.first() if found else None

    @property
    def tries(self) -> Tries | None:
        """The tries, while the form is open."""
        found = self.query(Tries)
        return found.first() if found else None

    # opening and leaving

    def edit(self, code: str) -> None:
        """Open the form on an attribute."""
        work = self.work
        attribute = work.attribute(code) if work is not None else None
        if attribute is None:
            self.warn(f"{code}: no longer in the vocabulary; `colonnade drop {code}` removes its scores")
            return
        kept = self.drafts.get(code)
        self._open(kept or draft_of(attribute))

    def add(self, rule: Rule | None = None) -> None:
        """Open the form on a new attribute; with a rule, on a derived one."""
        work = self.work
        if work is None or work.vocabulary is None:
            self.warn("the file has faults: mend them first (E opens it in your editor)")
            return
        kept = self.drafts.get(None)
        same = kept is not None and (kept.rule is None) == (rule is None)
        self._open(
            kept if kept is not None and same and not (rule and rule.codes) else Draft(None, rule=rule)
        )

    def _open(self, draft: Draft) -> None:
        if self.form is not None or self.work is None or self.work.vocabulary is None:
            return
        codes = [(a.code, a.label) for a in self.work.vocabulary.attributes if a.code != draft.old]
        self.add_class("-editing")
        self._tried = {}
        self.before_form()
        form = Form(draft, codes)
        self.mount(form, after="#list")
        self.opens(form)
        self.mount(Tries(), after="#form")
        self.call_after_refresh(self._begin_trying, draft)

    def _begin_trying(self, draft: Draft) -> None:
        if (tries := self.tries) is not None:
            tries.compare(len(draft.wordings) > 1, draft.chosen)
            for which in range(len(draft.wordings)):
                self._try(replace(draft, chosen=which), which, delay=0.0)

    def close_form(self) -> None:
        """Leave the form; what is typed becomes an edit, or is kept where it cannot."""
        form = self.form
        if form is not None:
            self._apply(form.draft, lambda: None)
            self._remove_form()

    def closing(self) -> None:
        """Keep what stands in the form as well: a connection that is lost asks nobody."""
        form, work = self.form, self.work
        if form is not None and work is not None:
            with suppress(ValueError):  # half an attribute is no edit
                steps = (*self.steps, *steps_of(form.draft, work.attribute(form.draft.old)))
                self.work = fold(self.session, work.base, steps, work).work
        super().closing()

    def _remove_form(self) -> None:
        for widget in (self.form, self.tries):
            if widget is not None:
                widget.remove()
        self.remove_class("-editing")
        for group in ("try-0", "try-1", "preview"):
            self.forget(group)
        self.focus_list()
        self.tell_plan(self.plan_line())

    def save_all(self) -> None:
        """Save what is edited, what stands in the form as well."""
        form = self.form
        if form is None:
            self.save()
        elif self._apply(form.draft, self.save):
            self._remove_form()

    def _apply(self, draft: Draft, then: Callable[[], None]) -> bool:
        """Make a draft an edit; False where it cannot be, which is told."""
        assert self.work is not None
        attribute = self.work.attribute(draft.old)
        if draft.is_blank:
            self.drafts.pop(draft.old, None)
            then()
            return True
        try:
            steps = steps_of(draft, attribute)
        except ValueError as error:
            self.drafts[draft.old] = draft
            self.fail(f"{error}; what is typed is kept")
            return False
        if not steps:
            self.drafts.pop(draft.old, None)
            then()
            return True
        self.drafts[draft.old] = draft

        def made() -> None:
            self.drafts.pop(draft.old, None)
            then()

        self.add_steps(steps, made)
        return True

    # what saving would redo

    def _preview(self, draft: Draft) -> None:
        """Tell in the plan what saving the draft would redo, or why it cannot be saved."""
        work, session = self.work, self.session
        if work is None:
            return
        try:
            steps = steps_of(draft, work.attribute(draft.old))
        except ValueError as error:
            self.forget("preview")
            self.tell_plan(f"not yet: {error}")
            return
        wanted = (*self.steps, *steps)
        look = partial(fold, session, work.base, wanted, work)
        self.background("preview", look, self._previewed, delay=_TRY_SECONDS)

    def _previewed(self, folded: Folded) -> None:
        if self.has_class("-editing"):
            refused = folded.refused
            self.tell_plan(f"not yet: {refused[-1][1]}" if refused else self.plan_line(folded.work))

    # trying

    def on_form_changed(self, event: Form.Changed) -> None:
        event.stop()
        draft, tries = event.draft, self.tries
        self._preview(draft)
        if tries is not None:
            tries.compare(len(draft.wordings) > 1, draft.chosen)
            for which in range(len(draft.wordings)):
                self._try(draft, which, delay=_TRY_SECONDS if draft.rule is None else _RULE_SECONDS)

    def _try(self, draft: Draft, which: int, *, delay: float) -> None:
        tries = self.tries
        wanted = (draft.wordings[which], draft.accepted, draft.tentative, draft.rule)
        if tries is None or self._tried.get(which) == wanted:
            return
        self._tried[which] = wanted
        column, group = tries.column(which), f"try-{which}"
        empty = draft.wordings[which].is_empty if draft.rule is None else not draft.rule.codes
        if empty:
            self.forget(group)
            column.explain(_NOTHING_TYPED if draft.rule is None else _NOTHING_PICKED)
            return
        session = self.session

        def progress(what: str, done: int, total: int) -> None:
            share = f" {done:,} of {total:,}" if total else ""
            self.post_message(self.Finished(partial(self._told, which, wanted, f"{what}{share} ...")))

        if draft.rule is None and not session.model_ready:
            column.tell("the model helper starts ...")
        else:
            column.tell("...")
        work = partial(try_draft, session, draft, which, progress)
        self.background(
            group, work, partial(self._show, which), failed=partial(self._not_tried, which), delay=delay
        )

    def _told(self, which: int, wanted: object, state: str) -> None:
        if self.tries is not None and self._tried.get(which) == wanted:
            self.tries.column(which).tell(state)

    def _show(self, which: int, tried: Tried) -> None:
        if (tries := self.tries) is not None:
            tries.column(which).show(tried)

    def _not_tried(self, which: int, error: Exception) -> None:
        superseded = type(error).__name__ == "SupersededError" or getattr(error, "kind", "") == "superseded"
        self._tried.pop(which, None)
        if not superseded and (tries := self.tries) is not None:
            tries.column(which).explain(failure_lines(error))


_NOTHING_TYPED = ("type a description or prompts: what they would find shows here, before anything is saved",)
_NOTHING_PICKED = (
    "space on a code puts it into the rule: what the rule finds shows here, before it is saved",
)
