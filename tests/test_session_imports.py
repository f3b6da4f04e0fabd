"""The app's process never loads what is heavy, whatever is asked of the session."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sound_stores import sound_store

EVERYTHING = """
import sys
from pathlib import Path
from colonnade.engine.errors import ColonnadeError
from colonnade.tui.session import Session

session = Session(sys.argv[1])
hits = session.find("earth? and width > 1 and in_set(\\"best of\\")", sort="-path", columns=["path", "earth.source"])
source = session.vocabulary_source()
question = session.review("earth")["question"]
distribution = session.distribution("earth")
calls = {
    "notice": lambda: session.notice(),
    "overview": lambda: session.overview(),
    "attributes": lambda: session.attributes(),
    "refresh_states": lambda: session.refresh_states(),
    "warm": lambda: session.warm(),
    "check": lambda: session.check("earth and"),
    "complete": lambda: session.complete("not ea", 6),
    "conditions": lambda: session.conditions("earth"),
    "step": lambda: session.step("", "earth", 0.01),
    "cycle": lambda: session.cycle("earth", "earth"),
    "select": lambda: session.select("map", [1, 2]),
    "is_asked": lambda: session.is_asked(hits),
    "only_here": lambda: session.only_here("in_selection(map)"),
    "find": lambda: (hits.block(0), hits.position_of(1), hits.ids(), session.find("path like '%1%'").block(0)),
    "facets": lambda: session.facets(hits),
    "sets": lambda: session.sets(),
    "named_queries": lambda: session.named_queries(),
    "image_row": lambda: session.image_row(1),
    "scores": lambda: session.scores(1),
    "explain": lambda: session.explain(1, "both"),
    "vocabulary": lambda: session.vocabulary(),
    "vocabulary_source": lambda: session.vocabulary_source(),
    "vocabulary_faults": lambda: session.vocabulary_faults(b"x: ["),
    "lint": lambda: session.lint(),
    "edit_vocabulary": lambda: session.edit_vocabulary("edit", code="earth", label="E"),
    "save_vocabulary": lambda: session.save_vocabulary(session.vocabulary_source(), source),
    "draft_rule": lambda: session.draft_rule("earth"),
    "save_derived": lambda: session.save_derived("lit", "earth and not moon?"),
    "save_query": lambda: session.save_query("kept", "earth"),
    "save_set": lambda: session.save_set("mine", [1, 2]),
    "remove_set": lambda: session.remove_set("mine"),
    "restore": lambda: session.restore(session.snapshot - 1),
    "create": lambda: session.create([], "space", "hash"),
    "add_root": lambda: session.add_root(Path(sys.argv[1]).parent / "photos"),
    "use_model": lambda: session.use_model("toy"),
    "jobs": lambda: session.jobs(),
    "start_job": lambda: session.start_job(["derive"], wait_s=20),
    "job_log": lambda: session.job_log(session.jobs()[0].id),
    "job_printed": lambda: session.job_printed(session.jobs()[0]),
    "made_of": lambda: session.made_of("both"),
    "stop_job": lambda: session.stop_job(session.jobs()[0].id),
    "plan": lambda: session.plan(),
    "search_text": lambda: session.search_text("a photo of the earth").block(0),
    "similar": lambda: session.similar(1).block(0),
    "similar_to_file": lambda: session.similar_to_file(Path("/dev/null")),
    "try_wording": lambda: session.try_wording("earth", prompts=["a photo of the moon"]),
    "warm_model": lambda: session.warm_model(),
    "calibration_table": lambda: session.calibration_table(),
    "calibration_receipt": lambda: session.calibration_receipt("earth"),
    "distribution": lambda: distribution.near(distribution.accepted_at, 3),
    "save_cut": lambda: session.save_cut(distribution, distribution.accepted_at + 1),
    "fit_attributes": lambda: session.fit_attributes(["earth"], "fixed"),
    "labels": lambda: session.labels(),
    "label": lambda: session.label("earth", 7, True, session.image_row(7).content_hash),
    "labels_worth": lambda: session.labels_worth(),
    "review": lambda: session.review("earth"),
    "review_page": lambda: session.review_page("earth"),
    "review_answer": lambda: session.review_answer("earth", question, True),
    "review_back": lambda: session.review_back("earth"),
    "helper": lambda: session.helper("writer").call("ping"),
    "close": lambda: session.close(),
}
methods = {name for name in dir(session) if not name.startswith("_") and callable(getattr(session, name))}
assert methods == set(calls), methods ^ set(calls)
failed = {}
for name, call in calls.items():
    try:
        call()
    except ColonnadeError as error:
        failed[name] = str(error)
assert set(failed) == {"create", "similar_to_file"}, failed
heavy = {"torch", "open_clip", "umap", "pyarrow", "pandas", "textual", "PIL"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.slow
def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "store")
    (tmp_path / "photos").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING, str(store.path)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
