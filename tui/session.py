"""The session: everything that the screens know of a store, without a terminal.

    session = Session(path)              does no work yet; no torch, open_clip, umap or pyarrow comes into this process
    .path .name .snapshot .model .writable               .query .sort .attribute .image .marks: shared by all screens
    .select(name, ids) .selections       images in memory: `in_selection(map)`, and `in_selection(marks)` of the marked
    .notice() -> bool                    whether the store changed since it was looked at: a readlink and three stats
    .overview() -> Overview              its .problems say what stands in the way, a line each
    .attributes() -> (AttributeRow, ...) counts at once; states once .refresh_states() (helper) was asked
    .warm()                              reads ahead what the first scattered page of a large store would wait for

    .check(text) -> Checked              .complete(text, position) -> Completions
    .is_asked(hits) -> bool              .only_here(text) -> why it cannot be kept, or None
    .conditions(text) -> {code: Condition}    .step(text, code, delta) -> text    .cycle(text, code) -> text
    .find(text, sort, columns) -> Hits   .count .seconds .warnings .columns .types .blocks .block(k) .ids(a, b) .matched
                                         .position_of(id) .nearest_position(id)
    .facets(hits) -> {code: accepted among the hits}
    .sets() .named_queries() .image_row(id) .scores(id) .explain(id, code)

    .vocabulary() .vocabulary_source() .vocabulary_faults(source) .lint()
    .edit_vocabulary(op, save=..., **values) -> Edited   .save_vocabulary(expected, source)
    .draft_rule(text) -> RuleDraft       .save_derived(code, text) .save_query(name, text)
    .save_set(name, ids) .remove_set(name) .restore(number) .create(...) .add_root(folder) .use_model(name)

    .jobs() .job_log(id) .job_printed(record) .start_job(words) -> Started .stop_job(id) .plan() -> {"lines", ...}
    .search_text(words) -> Ranked        .similar(id) .similar_to_file(file): read like Hits, nearest first
    .try_wording(code, description=..., prompts=...) -> TryResult
    .calibration_table() .calibration_receipt(code) .fit_attributes(codes, method, dry_run=...)
    .distribution(code) -> Distribution  in this process: .counts(x, y) .changed(x) .near(x, n)
    .save_cut(distribution, x)           .labels() .label(code, id, present) .labels_worth()
    .review(code) .review_page(code) .review_answer(code, question, present) .review_back(code)
    .warm_model() .helper("writer" | "model").call(op, ...)

Every method blocks and may be called from any thread. What fails raises a ColonnadeError whose first line says what to
do next (`session_problems.first_line`): a HelperError where a helper process did the work, and SupersededError (from
`find`) or a HelperError of kind `superseded` where a newer request took its place: ignore those. Text comes as it is
stored; the widgets make it safe to show.
"""

from __future__ import annotations

from colonnade.tui.session_judging import Judging
from colonnade.tui.session_queries import Queries
from colonnade.tui.session_reads import Reads
from colonnade.tui.session_vocabulary import VocabularyEdits

__all__ = ["Session"]


class Session(Reads, Queries, VocabularyEdits, Judging):
    """A store that is open in the app. See the module for what it offers.

    Args:
        path: the store's folder; whether there is one shows when something is asked of it.
    """
