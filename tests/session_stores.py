"""A small store with holes, and random expressions over it, for the tests of the session."""

from __future__ import annotations

from datetime import datetime

from hypothesis import strategies as st
from query_stores import Content, Score, image

CODES = ("earth", "moon", "sun", "empty")
VOCABULARY = """\
thresholds: {accepted: 0.8, tentative: 0.5}
base_attributes:
  - {code: earth, label: Earth, description: the earth}
  - {code: moon, label: Moon, description: the moon, thresholds: {accepted: 0.9}}
  - {code: sun, label: Sun, description: the sun}
  - {code: empty, label: Empty, description: never scored}
derived_attributes:
  - {code: both, label: Both, description: earth and moon, rule: {all_of: [earth, moon]}}
"""


def status(confidence: float | None) -> str | None:
    if confidence is None:
        return None
    return "accepted" if confidence >= 0.8 else "tentative" if confidence >= 0.5 else "rejected"


def score(confidence: float | None) -> Score:
    return (None if confidence is None else 20 + 10 * confidence, confidence, status(confidence))


def small_content() -> Content:
    """600 images in two shards' worth of ids, some unreadable, with holes in every attribute."""
    images = [
        image(
            i,
            path=f"{i % 7}/{i:04d}.jpg",
            width=None if i % 11 == 0 else 100 + i % 13,
            state="unreadable" if i % 50 == 49 else "ok",
            taken=None if i % 3 else datetime(2020, 1, 1 + i % 28),
        )
        for i in range(600)
    ]
    return Content(
        images,
        {
            "earth": {i: score((i * 37 % 101) / 100) for i in range(600)},
            "moon": {i: score((i * 53 % 97) / 96) for i in range(0, 600, 2)},
            "sun": {i: score(None if i % 5 == 0 else (i % 10) / 10) for i in range(100, 500)},
        },
        {"chosen": list(range(0, 600, 7)), "best of": [1, 2, 3]},
    )


numbers = st.sampled_from(["0", "0.5", "0.8", "0.80001", "1", "0.3", "1e300", "-1", "22.5"])
names = st.sampled_from(CODES)
signs = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
leaves = st.one_of(
    names,
    names.map(lambda name: f"{name}?"),
    st.tuples(names, signs, numbers).map(" ".join),
    st.tuples(names, signs, numbers).map(lambda parts: f"logit({parts[0]}) {parts[1]} {parts[2]}"),
    st.tuples(names, numbers, numbers).map(lambda p: f"{p[0]} between {p[1]} and {p[2]}"),
    st.tuples(names, numbers, numbers).map(lambda p: f"{p[0]} not between {p[1]} and {p[2]}"),
    st.tuples(names, numbers, numbers).map(lambda p: f"{p[0]} in ({p[1]}, {p[2]})"),
    st.tuples(names, numbers, numbers).map(lambda p: f"logit({p[0]}) not in ({p[1]}, {p[2]})"),
    names.map(lambda name: f"{name} is null"),
    names.map(lambda name: f"logit({name}) is not null"),
    names.map(lambda name: f"status({name}) != 'rejected'"),
    names.map(lambda name: f"source({name}) = 'clip_zero_shot'"),
    st.sampled_from(
        [
            "true", "false", "width > 105", "width is null", "path like '3/%'", "path not like '%9.jpg'",
            "taken >= '2020-01-15'", "state = 'ok'", "state = 'unreadable'", "in_set(chosen)", 'in_set("best of")',
            "image_id between 100 and 300", "root = 'photos'", "format in ('JPEG', 'PNG')", "mtime < '2024'",
        ]
    ),
)  # fmt: skip
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(lambda part: f"not ({part})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " and ".join(parts) + ")"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + " or ".join(parts) + ")"),
    ),
    max_leaves=5,
)
