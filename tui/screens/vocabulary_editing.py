"""Editing one attribute: the form is opened, what is typed is tried, and it becomes edits of the file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from colonnade.engine.vocabulary_model import Rule
from colonnade.tui.screens.base import superseded
from colonnade.tui.screens.vocabulary_draft import Draft, FieldError, draft_of, steps_of
from colonnade.tui.screens.vocabulary_form import Field, Form
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
        self._tried: dict[int, object] = {}

    def focus_list(self) -> None:
        """Put the focus into the list."""

    def tell_plan(self, text: str) -> None:
        """Show a text as the plan."""

    def before_form(self) -> None:
        """Make room for the form."""

    def close_which(self) -> bool:
        """Close the list of images that enter and leave; False where it is not open."""
        return False

    def tell_keys(self) -> None:
        """Show the keys that act now."""

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
            self._nothing(
                "the file has faults: mend them first ({vocabulary.editor:E} opens it in your editor)"
            )
            return
        fresh = Draft(None, rule=rule)
        kept = self.drafts.get(fresh.slot)
        if kept is not None and kept.rule is not None and rule is not None:  # what is marked is added to it
            known = kept.rule.codes
            more = tuple(code for code in rule.all_of if code not in known)
            kept = replace(kept, rule=replace(kept.rule, all_of=kept.rule.all_of + more))
        self._open(kept or fresh)

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
        if (form := self.form) is not None:
            self._settle(form, saving=False)

    def save_all(self) -> None:
        """Save what is edited, what stands in the form as well."""
        if (form := self.form) is None:
            self.save()
        else:
            self._settle(form, saving=True)

    def closing(self) -> None:
        """Keep what stands in the form as well: a connection that is lost asks nobody."""
        form, work = self.form, self.work
        if form is not None and work is not None and not form.draft.is_blank:
            self.drafts[form.draft.slot] = form.draft
            with suppress(ValueError):  # half an attribute is no edit: it is kept as it is
                steps = (*self.steps, *steps_of(form.draft, work.attribute(form.draft.old)))
                folded = fold(self.session, work.base, steps, work)
                if not folded.refused:
                    self.work = folded.work
                    del self.drafts[form.draft.slot]
        super().closing()

    def _remove_form(self) -> None:
        self.close_which()
        for widget in (self.form, self.tries):
            if widget is not None:
                widget.remove()
        self.remove_class("-editing")
        self.tell_keys()
        for group in ("try-0", "try-1", "preview"):
            self.forget(group)
        self.focus_list()
        self.tell_plan(self.plan_line())

    def _settle(self, form: Form, *, saving: bool) -> None:
        """Make what is typed an edit and close the form; where it can be none, it is told and nothing is lost."""
        assert self.work is not None
        draft = form.draft

        def leave() -> None:
            self.drafts.pop(draft.slot, None)
            if form is self.form:
                self._remove_form()
            if saving:
                self.save()
            elif draft.given_up:
                self.warn(draft.given_up)

        try:
            steps = [] if draft.is_blank else steps_of(draft, self.work.attribute(draft.old))
        except FieldError as error:
            self.drafts[draft.slot] = draft
            self.fail(str(error))
            form.query_one(f"#{error.field}", Field).focus()
            return
        except ValueError as error:
            self.drafts[draft.slot] = draft
            if saving:
                self.fail(str(error))
            else:
                self._remove_form()
                self.warn(f"{error}; what is typed is kept: {draft.key} goes on with it")
            return
        if not steps:
            leave()
            return
        self.drafts[draft.slot] = draft
        goes_on = "" if saving else f"; what is typed is kept: {draft.key} goes on with it"
        self.add_steps(steps, leave, lambda why: self.fail(f"{why}{goes_on}"))
        if not saving:
            self._remove_form()

    def renamed(self, code: str, new: str) -> None:
        """What was begun goes by the new code."""
        for slot, draft in list(self.drafts.items()):
            del self.drafts[slot]
            follows = draft.renamed(code, new)
            self.drafts[follows.slot] = follows

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

        column.tell("trying it ...")
        vocabulary = self.work.vocabulary if self.work is not None else None
        work = partial(try_draft, session, draft, which, progress, vocabulary=vocabulary)
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
        self._tried.pop(which, None)
        if not superseded(error) and (tries := self.tries) is not None:
            tries.column(which).explain(failure_lines(error))


_NOTHING_TYPED = ("type a description or prompts: what they would find shows here, before anything is saved",)
_NOTHING_PICKED = (
    "{rule.cycle:space} on a code puts it into the rule: what the rule finds shows here, before it is saved",
)
