"""What the calibration screen has done off the event loop: reading, saving, fitting and taking back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from colonnade.tui.screens.base import one_line
from colonnade.tui.widgets.grid import GridItem

if TYPE_CHECKING:
    from colonnade.tui.cut_lines import CutLines
    from colonnade.tui.session import Session

__all__ = ["Done", "Opened", "fit", "is_refused", "near_items", "read_attribute", "save_lines", "take_back"]


@dataclass(frozen=True, eq=False)
class Opened:
    """What is known of an attribute that was opened."""

    label: str
    found: Any
    """Its Distribution; None where there is none."""
    why: str = ""
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class Done:
    """A change that was saved, and what undoes it."""

    code: str
    words: str
    before: int
    after: int
    """Numbers of the snapshots before and after it; the same where nothing was written."""
    threshold: float | None = None
    """The tentative threshold that the vocabulary had; None where it was not touched."""


def read_attribute(session: Session, code: str) -> Opened:
    """An attribute's distribution, or why it has none."""
    from colonnade.engine.errors import ColonnadeError
    from colonnade.tui.helper_errors import HelperError

    row = next((row for row in session.attributes() if row.code == code), None)
    label = row.label if row is not None else code
    if row is not None and row.derived:
        return Opened(label, None, "derived from others by its rule: it has no line of its own; open those")
    try:
        return Opened(label, session.distribution(code))
    except (ColonnadeError, HelperError) as error:
        return Opened(label, None, one_line(error))


def near_items(
    session: Session, lines: CutLines, place: float, count: int
) -> tuple[list[GridItem], list[GridItem]]:
    """The images just above and just below a place, nearest first."""
    above, below = lines.found.near(place, count)
    return [_item(session, image_id) for image_id in above], [_item(session, image_id) for image_id in below]


def _item(session: Session, image_id: int) -> GridItem:
    from colonnade.engine.errors import InputError
    from colonnade.tui.screens.browse_preview import no_picture

    try:
        row = session.image_row(image_id)
    except InputError as error:
        return GridItem(image_id, None, str(image_id), str(error))
    return GridItem(image_id, row.file, row.shown.rpartition("/")[2], no_picture(row))


def save_lines(session: Session, lines: CutLines) -> Done:
    """Save the lines: the tentative one in the vocabulary, the accepted one as the cut, which makes scores anew."""
    before = _live(session)
    code, threshold, words = lines.found.code, None, []
    if lines.threshold_moved:
        session.edit_vocabulary("edit", code=code, tentative=lines.tentative)
        threshold = lines.found.axis.tentative
        words.append(f"tentative from {lines.tentative:g} on, in the vocabulary")
    if lines.cut_moved:
        run = session.save_cut(lines.found, lines.accepted_at)
        words.append(_outcome(code, run))
    else:
        session.start_job(["tag", code], wait_s=0.0)
        words.append("tag makes its scores anew (Jobs)")
    return Done(code, f"{code}: " + "; ".join(words), before, _live(session), threshold)


def fit(
    session: Session, code: str, method: str, progress: Callable[[str, int, int], None], *, dry_run: bool
) -> Any:
    """Fit an attribute: what that would change, or (not `dry_run`) the Done of it."""
    from colonnade.tui.cut_lines import change_words

    before = _live(session)
    run = session.fit_attributes([code], method, dry_run=dry_run, progress=progress)
    words = change_words(run)
    return words if dry_run else Done(code, f"saved: {words}", before, _live(session))


def is_refused(error: Exception) -> bool:
    """Whether nothing went wrong, for the attribute or the model has no such fit."""
    return getattr(error, "kind", "") == "input"


def take_back(session: Session, done: Done) -> str:
    """Undo a change, if nothing else was written since; gives what was done, in words."""
    from colonnade.engine.errors import InputError

    live = _live(session)
    if done.after not in (done.before, live):
        raise InputError(
            f"snapshot {live} is newer than that change ({done.after}): "
            f"`colonnade restore {done.before}` would take back all that came since"
        )
    if done.threshold is not None:
        session.edit_vocabulary("edit", code=done.code, tentative=done.threshold)
    if done.after != done.before:
        session.restore(done.before)
    elif done.threshold is not None:
        session.start_job(["tag", done.code], wait_s=0.0)
    return f"{done.code}: as it was before"


def _live(session: Session) -> int:
    """The newest snapshot, whether the session has noticed it or not."""
    from colonnade.engine.snapshots import open_snapshot

    return open_snapshot(session.path).number


def _outcome(code: str, run: dict[str, Any]) -> str:
    changes: Sequence[dict[str, Any]] = run.get("changes", ())
    if not run.get("changed"):
        return "nothing changed"
    change = next(change for change in changes if change["code"] == code)
    others = [name for name in run.get("written", ()) if name != code]
    also = f"; made anew, too: {', '.join(others)}" if others else ""
    return f"{change['entering']:,} entered, {change['leaving']:,} left{also} - {{calibration.undo:u}} takes it back"
