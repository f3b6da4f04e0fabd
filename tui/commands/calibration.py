"""Commands on calibrations: the table, and the fits behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from colonnade.tui.commands.calibration_export import export
from colonnade.tui.commands.calibration_set import set_
from colonnade.tui.console import (
    AtOption,
    JsonOption,
    StoreOption,
    add_group,
    emit,
    emit_json,
    open_store,
    print_table,
    progress,
    say,
)
from colonnade.tui.fit_report import DryRunOption, report

if TYPE_CHECKING:
    from colonnade.engine.store import Store

__all__ = ["register"]

_HELP = """The calibration table, and the fits behind it: how logits become confidences. Alone or with codes: as
`calibration show`.

Example: colonnade calibration
"""


class Method(StrEnum):
    """How an attribute is fitted."""

    FIXED = "fixed"
    AUTO = "auto"
    LABELS = "labels"


_CodesArgument = Annotated[list[str] | None, typer.Argument(metavar="[CODE]...", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add `calibration` with show, set, fit and export."""
    commands = {"show": show, "set": set_, "fit": fit, "export": export}
    add_group(app, "calibration", _HELP, commands, alone=_show_all)
    app.registered_groups[-1].cls = _CodesShow


class _CodesShow(TyperGroup):
    """`calibration CODE` is `calibration show CODE`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            ctx.obj = tuple(self.commands)  # one of these may have been meant
            return "show", self.commands["show"], args
        return super().resolve_command(ctx, args)


def show(
    context: typer.Context,
    codes: _CodesArgument = None,
    store: StoreOption = None,
    at: AtOption = None,
    json_: JsonOption = False,
) -> None:
    """Per attribute: its logits, the fit that cuts them, and what comes of it. Of one attribute: the receipt in full.

    min to std and the histogram are of the logits. `cut` is where `accepted` begins: a logit for the method
    fixed and for labels without an auto fit below them, else log odds. `precision` and `recall` of the accepted
    images, with 90 % intervals, come from images that people judged (`review --audit`). `on` is the number of
    images that the fit was made on, `drift` how far today's images lie from those (0 to 1). `no signal`:
    nothing that it was fitted on shows the attribute, so only an image that stands out is accepted. `note` says
    why an attribute has the model's fixed calibration, and when a new fit is proposed.

    The receipt says what the fit does, which phrases competed with the attribute, which images lie just above and just
    below the cut, and what the last fit changed.

    Example: colonnade calibration show earth
    """
    from colonnade.engine.errors import InputError

    opened = open_store(store)
    try:
        _show(opened, codes or None, at, json_=json_)
    except InputError:
        if codes and context.obj:
            _check_word(opened, codes[0], at, commands=context.obj)
        raise


def _show_all(*, store: Path | None, json_: bool) -> None:
    _show(open_store(store), None, None, json_=json_)


def _check_word(store: Store, word: str, at: int | None, *, commands: Sequence[str]) -> None:
    """Refuse a word that is no attribute: it may be a mistyped command."""
    from colonnade.engine.errors import InputError
    from colonnade.engine.nearest import nearest

    vocabulary = store.vocabulary(store.snapshot(at) if at is not None else None)
    if word not in vocabulary:
        near = nearest(word, (*commands, *vocabulary.codes))
        hint = f"did you mean {near}?" if near else "`colonnade vocab list` shows the attributes"
        raise InputError(
            f"calibration {word[:64]}: neither a command ({', '.join(commands)}) nor an attribute; {hint}"
        ) from None


def _show(store: Store, codes: Sequence[str] | None, at: int | None, *, json_: bool) -> None:
    from colonnade.engine.calibration_table import calibration_table
    from colonnade.tui.calibration_text import COLUMNS, as_cells, as_json

    if codes is not None and len(codes) == 1 and store.settings.active is not None:
        _show_receipt(store, codes[0], at, json_=json_)
        return
    snapshot = store.snapshot(at)
    vocabulary = store.vocabulary(snapshot if at is not None else None)
    table = calibration_table(store, snapshot, vocabulary, codes)
    if json_:
        emit_json([as_json(row) for row in table])
        return
    if not table:
        say("the vocabulary has no base attributes")
        return
    left = {"attribute", "histogram", "method", "precision", "recall", "fitted", "state", "note"}
    print_table(COLUMNS, [as_cells(row, units=True) for row in table], right=set(COLUMNS) - left)


def _show_receipt(store: Store, code: str, at: int | None, *, json_: bool) -> None:
    from colonnade.engine.calibration_receipt import receipt
    from colonnade.tui.receipt_text import receipt_json, receipt_lines

    found = receipt(store, code, at=at)
    if json_:
        emit_json([receipt_json(found)])
        return
    for line in receipt_lines(found):
        emit(line)


def fit(
    codes: _CodesArgument = None,
    store: StoreOption = None,
    method: Annotated[
        Method | None,
        typer.Option("--method", help="By default labels where there are enough, else auto, else fixed."),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=200, metavar="N", help="Look at N images at most.  [default: 50000]"),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31 - 1, metavar="N", help="Which images are drawn then.")
    ] = 0,
    dry_run: DryRunOption = False,
    json_: JsonOption = False,
) -> None:
    """Fit attributes anew (all of them, if none is named), in the place of what is stored or was chosen for them.

    auto needs no labels: it compares each attribute with everyday phrases on the same image, looks for a direction
    that its likeliest images share, and cuts where few images lie. It needs 200 images and vectors of those phrases.
    labels moves that cut by people's answers: two of each kind, or five in all. fixed is the model's own sigmoid.
    Shown is what changes: method, cut and images before and after.

    Example: colonnade calibration fit earth --dry-run
    """
    from colonnade.engine.fit_run import fit_attributes
    from colonnade.engine.fits import SAMPLE

    opened = open_store(store)
    with _job(opened, codes or [], dry_run=dry_run) as tick:
        run = fit_attributes(
            opened,
            codes or None,
            method.value if method is not None else None,
            sample=sample or SAMPLE,
            seed=seed,
            dry_run=dry_run,
            progress=tick,
            on_conflict=say,
        )
    if not run.outcomes:
        why = "no attribute has labels enough, two of each kind or five in all; colonnade review CODE"
        say(f"nothing to fit: {why if method is Method.LABELS else 'the vocabulary has no base attributes'}")
    report(run, dry_run=dry_run, json_=json_)


@contextmanager
def _job(store: Store, codes: Sequence[str], *, dry_run: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress line and, unless nothing is written, a recorded job."""
    from colonnade.engine.jobs import record_job

    with ExitStack() as stack:
        line = stack.enter_context(progress("fit"))
        if dry_run:
            yield line.update
            return
        job = stack.enter_context(record_job(store.path, ["calibration", "fit", *codes]))

        def tick(done: int, total: int) -> None:
            job.update("fit", done, total)
            line.update(done, total)

        yield tick
