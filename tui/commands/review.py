"""The command that asks a person: picture by picture on a terminal, or as a list to be judged elsewhere."""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.console import JsonOption, StoreOption, emit, emit_json, open_store, print_table, say
from colonnade.tui.plan_text import count

if TYPE_CHECKING:
    from colonnade.engine.fit_run import FitRun
    from colonnade.engine.review import Question, Review, Standing
    from colonnade.engine.review_worth import AttributeWorth
    from colonnade.engine.store import Store
    from colonnade.tui.review_session import Sitting

__all__ = ["register"]

MAX_REVIEWER = 200
_SHOWN = 3


def review(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="A base attribute; with --next it may be left out.")
    ] = None,
    store: StoreOption = None,
    budget: Annotated[
        int, typer.Option("--budget", min=1, max=10_000, metavar="N", help="How many pictures to ask about.")
    ] = 20,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit", help="Draw pictures by chance, to learn precision and recall, not to move the cut."
        ),
    ] = False,
    list_: Annotated[
        bool,
        typer.Option("--list", help="Print the pictures in order instead of asking; see `labels import`."),
    ] = False,
    next_: Annotated[
        bool, typer.Option("--next", help="The attribute of which one more label is worth most.")
    ] = False,
    reviewer: Annotated[
        str | None,
        typer.Option("--reviewer", metavar="NAME", help="Who answers; by default your login name."),
    ] = None,
    no_fit: Annotated[bool, typer.Option("--no-fit", help="Keep the labels for later: move no cut.")] = False,
    json_: JsonOption = False,
) -> None:
    """Judge pictures of an attribute one by one: y yes, n no, u unsure, b back, q stop.

    The pictures nearest to the cut come first, for they tell most: 20 answers go a long way. Each answer is saved at
    once; run it again to go on where you stopped. At the end the cut moves to where the answers put it, once there are
    two of each kind or five in all; a cut that you set by hand stays. --audit asks about pictures drawn by chance, from
    which precision and recall of the accepted ones follow, with 90 % intervals, and moves no cut. Several people can
    review: one question in five is about a picture that another has judged, and most of them decide.

    An answer that all your others speak against is asked for once more, besides the budget: what you say then stands.
    Only one that you changed, and that they speak against again, is asked for again.

    Elsewhere, --list gives the paths (with --json one JSON object a line, with the chance of each picture to be
    drawn); add `present` to each and bring them back with `colonnade labels import FILE`. With --reviewer it lists
    second looks too, with what was `said`.

    Without a code, --next starts with the attribute where one more label is worth most; when its output is no terminal
    it prints that code.

    Example: colonnade review earth --budget 20
    """
    from colonnade.engine.review import Review as Questions
    from colonnade.tui.review_terminal import is_terminal

    if code is None and not next_:
        raise typer.BadParameter("name an attribute, or add --next", param_hint="CODE")
    if code is not None and next_:
        raise typer.BadParameter("--next chooses the attribute; leave out the code", param_hint="--next")
    who = _reviewer(reviewer)
    asking = is_terminal() and not list_
    if not (asking or list_ or next_):
        raise typer.BadParameter(
            "there is no terminal to ask on; use --list, judge the pictures elsewhere, and bring the answers with "
            "`colonnade labels import FILE`"
        )
    opened = open_store(store)
    if next_:
        ranked = _ranked(opened)
        code = ranked[0].code
        if not list_ and (json_ or not asking or not sys.stdout.isatty()):
            _print_worth(ranked, json_=json_)
            return
        say(f"{code}: one more label is worth most")
    assert code is not None
    questions = Questions(opened, code, reviewer=who, audit=audit)
    if list_:
        _print_list(questions, budget, named=reviewer is not None, json_=json_)
        return
    _ask(opened, questions, budget, audit=audit, fit=not no_fit, json_=json_)


def _reviewer(name: str | None) -> str:
    if name is None:
        try:
            return getpass.getuser()[:MAX_REVIEWER]
        except (KeyError, OSError, ImportError):
            return ""
    if len(name) > MAX_REVIEWER or not name.isprintable():
        raise typer.BadParameter(f"at most {MAX_REVIEWER} printable characters", param_hint="--reviewer")
    return name


def _ranked(store: Store) -> list[AttributeWorth]:
    """The attributes that can be reviewed, the most worth first."""
    from colonnade.engine.errors import InputError
    from colonnade.engine.review_worth import worth_by_attribute

    every = worth_by_attribute(store, store.snapshot(), store.vocabulary())
    without = [item for item in every if item.doubt is None]
    for item in without[:_SHOWN]:
        say(f"left out: {item.why}")
    if len(without) > _SHOWN:
        say(f"... and {len(without) - _SHOWN:,} more attributes that are not scored as they would be now")
    found = [item for item in every if item.doubt is not None]
    if not found:
        raise InputError(f"{store.path}: no attribute can be reviewed yet; run colonnade sync")
    return found


def _print_worth(ranked: list[AttributeWorth], *, json_: bool) -> None:
    if not json_:
        emit(ranked[0].code)
        return
    emit_json(
        [
            {
                "code": item.code,
                "labels": item.labels,
                "worth": item.doubt.worth,
                "in_doubt": {
                    "now": item.doubt.now,
                    "after_one_more": item.doubt.expected,
                    "at_stake": item.doubt.at_stake,
                },
            }
            for item in ranked
            if item.doubt is not None
        ]
    )


def _print_list(questions: Review, budget: int, *, named: bool, json_: bool) -> None:
    from colonnade.tui.results import pipe
    from colonnade.tui.review_text import question_json

    # Where it is not known who judges elsewhere, nobody can be asked for a second look.
    found = list(questions.listing(budget, again=named, own=named))
    who = {"reviewer": questions.reviewer} if named else {}
    with pipe():
        for question in found:
            if json_:
                sys.stdout.write(json.dumps(question_json(question) | who, ensure_ascii=True) + "\n")
            else:
                emit(_full_path(question))
    if not found:
        say(f"{questions.code}: nothing left to judge")


def _full_path(question: Question) -> str:
    return str(question.file) if question.file is not None else question.path


def _ask(store: Store, questions: Review, budget: int, *, audit: bool, fit: bool, json_: bool) -> None:
    from colonnade.tui.review_session import ask
    from colonnade.tui.review_text import standing_json, standing_lines

    try:
        sitting = ask(questions, budget=budget, audit=audit)
    finally:
        sys.stderr.write("\n")  # ends the line of the question, also before an error
    for line in sitting.refused:
        say(line)
    questions = _read_again(store, questions, audit=audit)  # others may have answered meanwhile
    standing = questions.standing()
    run, stays = None, ""
    if fit and standing.ready and (sitting.given or not _fitted_on(questions, standing)):
        stays = _why_it_stays(questions, audit=audit)
        if not stays and (run := _fit(store, questions.code)) is not None:
            questions = _read_again(store, questions, audit=audit)
            standing = questions.standing()
    if json_:
        emit_json(
            {
                "code": questions.code,
                "reviewer": questions.reviewer,
                "answered": sitting.images,
                "looked_again": sitting.looks,
                "complete": sitting.complete,
                "standing": standing_json(standing),
                "fit": _fit_json(run),
            }
        )
        return
    _say_sitting(questions, sitting)
    for line in standing_lines(standing, audit=audit):
        say(line)
    if run is not None:
        _print_fit(run)
    elif stays:
        say(stays)
    elif fit and not audit and not standing.ready:
        say("two labels of each kind or five in all move the cut")


def _read_again(store: Store, questions: Review, *, audit: bool) -> Review:
    """The same review of the store as it is now; as it was where its scores are not there yet."""
    from colonnade.engine.errors import ColonnadeError

    try:
        return type(questions)(store, questions.code, reviewer=questions.reviewer, audit=audit)
    except ColonnadeError:
        return questions


def _why_it_stays(questions: Review, *, audit: bool) -> str:
    """Why enough labels do not move the cut by themselves, in words; "" where they do."""
    code, now = questions.code, questions.places.fit
    moves = f"colonnade calibration fit {code} moves it by the labels"
    if now.moved or (now.method == "fixed" and now.chosen):
        return f"{code}: the cut stays where you set it; {moves}"
    return f"{code}: an audit leaves the cut where it is; {moves}" if audit else ""


def _fitted_on(questions: Review, standing: Standing) -> bool:
    """Whether the fit there is rests on as many labels already."""
    part = questions.places.fit.labels
    return part is not None and (part.present, part.absent) == (standing.yes, standing.no)


def _say_sitting(questions: Review, sitting: Sitting) -> None:
    said = f"{questions.code}: {count(sitting.images, 'picture')} judged by {questions.reviewer or 'nobody'}, all saved"
    said += f", {sitting.looks:,} of them at a second look" if sitting.looks else ""
    if not sitting.complete:
        say(f"{said}; colonnade review {questions.code} goes on")
    else:
        say(said)


def _fit(store: Store, code: str) -> FitRun | None:
    """The fit that the labels ask for; None where it cannot be made now, which is said."""
    from colonnade.engine.errors import ColonnadeError
    from colonnade.engine.fit_run import fit_attributes

    try:
        return fit_attributes(store, [code], "labels", on_conflict=say)
    except ColonnadeError as error:
        say(f"the labels are saved, but the cut stays where it is: {error}")
        return None


def _print_fit(run: FitRun) -> None:
    from colonnade.tui.calibration_text import CHANGE_COLUMNS, change_cells

    rows = [change_cells(outcome) for outcome in run.outcomes]
    print_table(CHANGE_COLUMNS, rows, right=set(CHANGE_COLUMNS) - {"attribute", "method"})
    if run.written:
        say(f"made anew: {', '.join(run.written)}")


def _fit_json(run: FitRun | None) -> dict[str, Any] | None:
    from colonnade.tui.calibration_text import outcome_json

    if run is None:
        return None
    return outcome_json(run.outcomes[0]) | {"written": list(run.written)}


def register(app: typer.Typer) -> None:
    """Add `review`."""
    app.command()(review)
