"""What the session changes: rules, the vocabulary, queries, and what its helper processes do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_stores import planted_store
from query_stores import build_store
from session_stores import VOCABULARY, expressions, names, small_content
from sound_stores import sound_store

from colonnade.engine.errors import ConflictError, InputError
from colonnade.engine.tag import tag
from colonnade.engine.vocabulary import Rule, parse_vocabulary
from colonnade.tui.helper_errors import HelperError
from colonnade.tui.session import Session
from colonnade.tui.vocabulary_move import move_attribute
from colonnade.vocab import shipped, shipped_source


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("earth", Rule(("earth",))),
        ("earth and moon and not sun?", Rule(("earth", "moon"), (), ("sun",))),
        ("(earth or moon) and not sun?", Rule((), ("earth", "moon"), ("sun",))),
        ("not (earth? or moon?)", Rule((), (), ("earth", "moon"))),
        ("earth >= 0.8 and moon >= .9 and sun < 0.5", Rule(("earth", "moon"), (), ("sun",))),
        ("not earth >= 0.5 and not (sun < 0.8)", Rule(("sun",), (), ("earth",))),
        ("true and both and @kept", Rule(("both", "earth"))),
    ],
)
def test_an_expression_as_a_rule(kept: Session, text: str, rule: Rule) -> None:
    draft = kept.draft_rule(text)
    assert (draft.rule, draft.problems) == (rule, ())
    assert bool(draft.notes) == (">=" in text or "<" in text)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path = tmp_path_factory.mktemp("kept") / "s"
    session = Session(build_store(path, small_content(), vocabulary=VOCABULARY).path)
    session.save_query("kept", "earth")
    assert session.notice()
    session.marks = {1, 2}
    return session


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("earth?", "`earth?`: a rule asks for accepted (`earth`), not for tentative"),
        ("not earth", "`not earth`: a rule leaves out what is at least tentative: `not earth?`"),
        ("earth and earth >= 0.7", "`earth >= 0.7`: a rule goes by earth's own thresholds"),
        ("width > 100 and earth", "`width > 100`: a rule knows attributes, not columns"),
        ("not in_set(chosen)", "`not in_set(chosen)`: a rule knows attributes, not sets"),
        ("(earth or moon) and (sun or empty)", "`sun or empty`: a rule has one choice (any_of)"),
        ("earth or not moon", "`not moon`: in a choice (`or`) a rule takes accepted attributes alone"),
        ("not (earth? and moon?)", "`not (earth? and moon?)`: a rule is accepted"),
        (
            "in_selection(marks) and earth",
            "`in_selection(marks)`: a rule knows attributes; save the selection as a set",
        ),
        (
            "not in_selection(marks)",
            "`not in_selection(marks)`: a rule knows attributes; save the selection as a set",
        ),
        ("logit(earth) > 3", "`logit(earth) > 3`: a rule is accepted"),
        ("", "a rule needs an attribute"),
        ("true", "a rule needs an attribute"),
        ("earth and", "the expression ends too early"),
    ],
)
def test_what_a_rule_cannot_say(kept: Session, text: str, said: str) -> None:
    draft = kept.draft_rule(text)
    assert draft.rule is None
    assert draft.problems[0].startswith(said)
    with pytest.raises(InputError):
        kept.save_derived("fresh", text)


def test_no_query_keeps_a_selection(kept: Session) -> None:
    before = kept.named_queries()
    with pytest.raises(InputError) as caught:
        kept.save_query("few", "earth or in_selection(marks)")
    assert str(caught.value) == (
        "in_selection(marks) is known to the running app alone, so no query can keep it: save the selection as a set "
        "first, and write in_set(NAME)"
    )
    assert kept.only_here("earth or in_selection(marks)") == str(caught.value)
    assert kept.only_here("earth") is None
    assert kept.only_here("earth or") is None
    kept.notice()
    assert kept.named_queries() == before


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            names, names.map(lambda n: f"not {n}?"), st.tuples(names, names).map(lambda p: f"({p[0]} or {p[1]})"),
            st.tuples(names, names).map(lambda p: f"not ({p[0]}? or {p[1]}?)"), expressions,
        ),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_a_rule_finds_what_its_expression_finds(kept: Session, parts: list[str]) -> None:
    text = " and ".join(f"({part})" for part in parts)
    rule = kept.draft_rule(text).rule
    if rule is not None:
        said = [*rule.all_of, *(f"not {code}?" for code in rule.none_of)]
        said += [f"({' or '.join(rule.any_of)})"] if rule.any_of else []
        assert kept.find(text).ids() == kept.find(" and ".join(said)).ids()


def test_the_vocabulary_is_edited_in_place(tmp_path: Path) -> None:
    text = "# mine\n" + VOCABULARY
    session = Session(build_store(tmp_path / "s", small_content(), vocabulary=text).path)
    rule = session.save_derived("lit", "sun and not moon?", description="Sun without the Moon")
    assert rule == Rule(("sun",), (), ("moon",))
    assert session.notice()
    assert session.vocabulary().attribute("lit").description == "Sun without the Moon"
    tried = session.edit_vocabulary("edit", save=False, code="sun", label="Our star", prompts=["the sun"])
    assert not tried.saved
    assert any(line.startswith("+") and "Our star" in line for line in tried.diff)
    both = session.edit_vocabulary("rename", source=tried.after, save=False, code="moon", new="luna")
    session.save_vocabulary(tried.before, both.after)
    session.notice()
    found = session.vocabulary()
    assert (found.attribute("sun").label, "luna" in found, "moon" in found) == ("Our star", True, False)
    assert session.vocabulary_source().startswith(b"# mine\n")
    with pytest.raises(ConflictError):
        session.save_vocabulary(tried.before, tried.after)
    session.edit_vocabulary("duplicate", code="sun", new="star")
    session.edit_vocabulary("group", codes=["sun", "star"], type="sky")
    session.edit_vocabulary("add", code="comet", description="a comet", accepted=0.7)
    session.edit_vocabulary("remove", code="empty")
    session.edit_vocabulary("move", code="comet", before="earth")
    assert session.vocabulary_source().index(b"comet") < session.vocabulary_source().index(b"earth")
    session.edit_vocabulary("import", other="space")
    session.notice()
    found = session.vocabulary()
    assert (found.attribute("star").type, "empty" in found, len(found.codes) > 20) == ("sky", False, True)
    assert found.attribute("comet").thresholds.accepted == 0.7  # type: ignore[union-attr]
    for op, values in (
        ("nothing", {}),
        ("add", {"code": "Wrong!", "description": "x"}),
        ("edit", {"code": "sun", "x": 1}),
    ):
        with pytest.raises(InputError):
            session.edit_vocabulary(op, **values)
    assert session.vocabulary_faults(b"base_attributes: 7\n")[0].line == 1
    assert session.vocabulary_faults() == ()
    assert session.lint()
    session.close()


MOVABLE = b"""\
# head
thresholds: {accepted: 0.7}
base_attributes:
  # about one
  - code: one
    label: One   # here
    description: d1

  - code: two
    label: Two
    description: d2
    # in two
  # about three
  # and more
  - {code: three, label: Three, description: d3}

derived_attributes:
- code: x
  label: X
  description: dx
  rule: {all_of: [one]}
- code: y
  label: Y
  description: dy
  rule:
    any_of: [two, x]"""


def test_attributes_are_moved_with_their_comments() -> None:
    def order(source: bytes) -> list[str]:
        return list(parse_vocabulary(source, "v").codes)

    moved = move_attribute(MOVABLE, "three", "one", "v")
    assert order(moved) == ["three", "one", "two", "x", "y"]
    assert moved.index(b"# and more") < moved.index(b"code: three") < moved.index(b"# about one")
    assert sorted(moved.split()) == sorted(MOVABLE.split())
    assert order(move_attribute(MOVABLE, "one", None, "v")) == ["two", "three", "one", "x", "y"]
    assert order(move_attribute(MOVABLE, "y", "x", "v")) == ["one", "two", "three", "y", "x"]
    back = move_attribute(move_attribute(MOVABLE, "two", "one", "v"), "one", "two", "v")
    assert order(back) == order(MOVABLE)
    assert move_attribute(MOVABLE, "two", "three", "v") == MOVABLE
    for code, before in (("one", "x"), ("none", None), ("one", "none")):
        with pytest.raises(InputError):
            move_attribute(MOVABLE, code, before, "v")
    flow = b"base_attributes: [{code: a, label: A, description: d}, {code: b, label: B, description: d}]"
    with pytest.raises(InputError, match="by hand"):
        move_attribute(flow, "b", "a", "v")


@pytest.mark.parametrize("name", shipped())
def test_shipped_vocabularies_are_movable(name: str) -> None:
    source = shipped_source(name)
    for listed in (parse_vocabulary(source, name).base, parse_vocabulary(source, name).derived):
        codes = [attribute.code for attribute in listed]
        if len(codes) > 2:
            moved = move_attribute(source, codes[2], codes[0], name)
            moved = move_attribute(moved, codes[0], None, name)
            found = [code for code in parse_vocabulary(moved, name).codes if code in codes]
            assert found == [codes[2], codes[1], *codes[3:], codes[0]]


def test_queries_are_saved(tmp_path: Path) -> None:
    session = Session(build_store(tmp_path / "s", small_content(), vocabulary=VOCABULARY).path)
    session.save_query("good", "earth and moon")
    assert session.notice()
    assert session.named_queries() == {"good": "earth and moon"}
    assert session.find("@good").count == session.find("earth and moon").count
    for name, text in (("Bad name", "earth"), ("worse", "earth and"), ("loop", "@loop")):
        with pytest.raises(InputError):
            session.save_query(name, text)


@pytest.mark.slow
def test_the_helpers_behind_a_session(tmp_path: Path) -> None:
    session = Session(sound_store(tmp_path / "s").path)
    try:
        assert {row.code: row.state for row in session.attributes()} == {"earth": "", "moon": "", "both": ""}
        assert session.refresh_states()
        assert not session.refresh_states()
        assert {row.state for row in session.attributes()} == {"fresh"}
        session.edit_vocabulary("edit", code="moon", accepted=0.7)
        assert session.notice()
        assert {row.state for row in session.attributes()} == {""}
        session.refresh_states()
        assert {row.code: row.state for row in session.attributes()}["moon"] == "stale: thresholds changed"
        assert any("moon" in line for line in session.plan(scan=False)["lines"])
        assert session.save_set("mine", [3, 1]) == 2
        assert session.notice()
        assert session.find("in_set(mine)").ids() == [1, 3]
        number = session.snapshot
        assert session.restore(number - 1) == number + 1
        session.notice()
        assert "mine" not in session.sets()
        near = session.similar(4, limit=300)
        assert near.count == 39
        assert near.position_of(near.ids(2, 3)[0]) == 2
        assert near.columns == ("image_id", "path", "cosine", "logit")
        assert near.block(0)[0][1].endswith(".jpg")
        assert near.block(1) == []
        assert session.explain(4, "both")["lines"]
        with pytest.raises(HelperError) as caught:
            session.search_text("what has no vector")
        assert caught.value.kind == "model"
        started = session.start_job(["tag"], wait_s=60)
        assert started.job is not None
        session.warm()
    finally:
        session.close()


@pytest.mark.slow
def test_a_wording_is_tried_before_it_is_saved(tmp_path: Path) -> None:
    store = sound_store(tmp_path / "s")
    session = Session(store.path)
    try:
        same = session.try_wording("earth")
        assert (same.images, same.embedded, same.method) == (40, 40, "fixed")
        assert same.before == same.accepted == session.find("earth").count
        assert same.tentative == session.find("earth? and not earth").count
        assert (same.entering, same.leaving) == (0, 0)
        assert sum(same.logits) == sum(same.confidences) == 40
        assert [image.image_id for image in same.best] == session.find("", sort="earth").ids(0, 24)
        assert same.best[0].path == session.image_row(same.best[0].image_id).path
        assert [code for code, _ in same.nearest] == ["moon"]
        loose = session.try_wording("earth", accepted=0.1, tentative=0.05, limit=5)
        assert loose.entering == loose.accepted - same.accepted > 0
        assert len(loose.entering_images) == 5
        other = session.try_wording("earth", prompts=["a photo of the moon"])
        assert [image.image_id for image in other.best] == session.find("", sort="moon").ids(0, 24)
        gone = session.find("earth and not moon").ids()
        assert {image.image_id for image in other.leaving_images} >= set(gone[:3])
        fresh = session.try_wording(description="the moon")
        assert (fresh.before, fresh.entering, fresh.prompts) == (None, 0, ("a photo of the moon",))
        for wrong in ({}, {"description": " "}, {"prompts": ["x" * 3000]}):
            with pytest.raises(HelperError) as caught:
                session.try_wording(**wrong)
            assert caught.value.kind == "input"
        with pytest.raises(HelperError) as caught:
            session.try_wording("earth", description="what the model never saw")
        assert caught.value.kind == "model"
    finally:
        session.close()


@pytest.mark.slow
def test_a_tried_wording_is_what_tagging_makes(tmp_path: Path) -> None:
    store = planted_store(tmp_path / "p", 400)
    session = Session(store.path)
    try:
        before = {code: session.try_wording(code, limit=50) for code in ("cat", "dog", "ghost")}
        assert {code: found.method for code, found in before.items()} == {
            "cat": "auto", "dog": "auto", "ghost": "no signal",
        }  # fmt: skip
        tag(store)
        session.notice()
        for code, found in before.items():
            assert found.accepted == session.find(code).count
            assert [image.confidence for image in found.best] == pytest.approx(
                [row[0] for row in session.find("", sort=code, columns=[code]).block(0)[:50]], abs=1e-6
            )
        swapped = session.try_wording("cat", prompts=["dog"], limit=200)
        assert swapped.accepted == before["dog"].accepted
        cats, dogs = set(session.find("cat").ids()), set(session.find("dog").ids())
        assert {image.image_id for image in swapped.entering_images} == dogs - cats
        assert {image.image_id for image in swapped.leaving_images} == cats - dogs
        session.refresh_states()
        assert {row.code: row.state for row in session.attributes()}["ghost"] == "no signal"
        placed = session.distribution("cat")
        assert placed.axis.column == "log_odds"
        assert placed.counts(placed.accepted_at, placed.tentative_at)[0] == len(cats)
        fewer = float(placed.values[-5]) - 1e-4
        session.save_cut(placed, fewer)
        session.notice()
        assert session.find("cat").count == 5
        assert session.distribution("cat").accepted_at == pytest.approx(fewer)
        ghost = session.distribution("ghost")
        assert ghost.counts(ghost.accepted_at, ghost.tentative_at) == (0, 0, 400)
        session.save_cut(ghost, float(ghost.values[-3]) - 1e-4)
        session.notice()
        assert session.find("ghost").count == 3
    finally:
        session.close()


@pytest.mark.slow
def test_a_cut_is_moved(tmp_path: Path) -> None:
    session = Session(sound_store(tmp_path / "s").path)
    try:
        found = session.distribution("earth")
        accepted, tentative = session.find("earth").count, session.find("earth? and not earth").count
        assert found.counts(found.accepted_at, found.tentative_at) == (
            accepted,
            tentative,
            40 - accepted - tentative,
        )
        assert (found.axis.column, found.count) == ("logit", 40)
        by_logit = session.find("", sort="earth.logit").ids()
        above, below = found.near(found.accepted_at, 3)
        assert above == by_logit[:accepted][::-1][:3]
        assert below == by_logit[accepted : accepted + 3]
        place = float(found.values[-10]) - 1e-6
        tried = session.save_cut(found, place, dry_run=True)
        assert not tried["changed"]
        assert tried["changes"][0]["after"]["accepted"] == 10
        assert (tried["changes"][0]["entering"], tried["changes"][0]["leaving"]) == found.changed(place)
        assert session.save_cut(found, place)["changed"] == ["earth"]
        assert session.notice()
        assert session.find("earth").ids() == sorted(by_logit[:10])
        moved = session.distribution("earth")
        assert moved.accepted_at == pytest.approx(place)
        row = session.calibration_table(["earth"])[0]
        assert row["accepted"] == 10
        assert row["cells"]["attribute"] == "earth"
        assert session.calibration_receipt("earth")["lines"]
        with pytest.raises(HelperError) as caught:
            session.distribution("both")
        assert caught.value.kind == "input"
        assert session.fit_attributes(["earth"], "fixed", dry_run=True)["changes"]
        assert session.restore(found.snapshot)
        session.notice()
        assert session.find("earth").count == accepted
    finally:
        session.close()


@pytest.mark.slow
def test_a_review(tmp_path: Path) -> None:
    session = Session(sound_store(tmp_path / "s").path)
    session.reviewer = "bob"
    try:
        state = session.review("moon")
        asked = []
        for number in range(6):
            question = state["question"]
            while question["said"] is not None:  # other answers speak against it: a second look
                assert question["image_id"] in asked
                state = session.review_answer("moon", question, question["said"]["present"])
                question = state["question"]
            assert question["image_id"] not in asked
            asked.append(question["image_id"])
            state = session.review_answer("moon", question, number % 2 == 0)
            assert state["standing"]["labels"] == number + 1
        back = session.review_back("moon", steps=2)["question"]
        assert (back["image_id"], back["said"]) == (asked[-2], {"present": True})
        state = session.review_answer("moon", back, False)
        assert (state["standing"]["yes"], state["standing"]["no"]) == (2, 4)
        assert session.review_back("moon", steps=99)["question"] is None
        page = session.review_page("moon", count=5)["questions"]
        assert len({question["image_id"] for question in page} - set(asked)) == 5
        assert session.review_answer("moon", page[3], None, ask=False)["question"] is None
        image = next(i for i in range(40) if i not in (*asked, page[3]["image_id"]))
        session.label("moon", image, True, session.image_row(image).content_hash)
        with pytest.raises(HelperError, match="changed or gone"):
            session.label("moon", image, True, "f" * 64)
        (row,) = session.labels(["moon"])
        assert (row["yes"], row["no"], row["unsure"], row["reviewers"]) == (3, 4, 1, ["bob"])
        assert {row["code"] for row in session.labels_worth()} == {"earth", "moon"}
        drawn = session.review("moon", audit=True)["question"]
        assert drawn["policy"] == "audit"
        assert session.review_answer("moon", drawn, True, audit=True)["standing"]["audit"]["audited"] >= 1
        for wrong in ({}, {"image_id": "x"}, {**drawn, "policy": None, "image_id": -5}):
            with pytest.raises(HelperError):
                session.review_answer("moon", wrong, True)
        with pytest.raises(HelperError):
            session.review("both")
        assert session.review("moon")["question"]
    finally:
        session.close()


def test_a_store_made_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    session = Session(tmp_path / "new")
    with pytest.raises(HelperError) as caught:
        session.create([tmp_path / "nowhere"], "space", "hash")
    assert caught.value.kind == "input"
    session.create([tmp_path / "photos"], "space", "hash")
    assert session.overview().roots == 1
    (tmp_path / "more").mkdir()
    assert session.add_root(tmp_path / "more") == "more"
    assert session.use_model("demo") == "demo"
    assert session.notice()
    assert session.model == "demo"
    session.close()
