"""The session: everything that the screens know of a store, without a terminal.

    session = Session(path)                     does no work; nothing here imports torch, umap or pyarrow
    session.path, .name, .snapshot, .model, .writable
    session.query, .sort, .attribute, .image, .marks             the selection that all screens share
    session.notice() -> bool                    whether the store changed; a readlink and three stats
    session.overview() -> Overview              .problems: what stands in the way, a line each
    session.attributes() -> tuple[AttributeRow, ...]
    session.check(text) -> Checked              session.complete(text, position) -> Completions
    session.conditions(text) -> {code: Condition}
    session.step(text, code, delta) -> text     session.cycle(text, code) -> text
    session.find(text, sort, columns) -> Hits   .count .columns .block(k) .position_of(id) .ids(a, b)
    session.facets(hits) -> {code: images accepted among the hits}
    session.image_row(id) -> ImageRow           session.scores(id) -> tuple[ScoreRow, ...]
    session.vocabulary() -> Vocabulary          session.sets(), session.named_queries()
    session.jobs(), .job_log(id), .stop_job(id)

Every method blocks and may be called from any thread. What fails raises a ColonnadeError of one line that says what to
do next (a vocabulary's and an expression's faults take more lines), or SupersededError from `find` when a newer search
began: ignore that one. Text comes as it is stored; the widgets make it safe to show.
"""

from __future__ import annotations

from colonnade.tui.session_queries import Queries
from colonnade.tui.session_reads import Reads

__all__ = ["Session"]


class Session(Reads, Queries):
    """A store that is open in the app. See the module for what it offers.

    Args:
        path: the store's folder; whether there is one shows when something is asked of it.
    """
