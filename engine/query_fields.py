"""What a result can show and be sorted by: columns of the images, and things of an attribute."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from colonnade.engine.columns import IMAGE_COLUMNS
from colonnade.engine.errors import InputError
from colonnade.engine.expression_binding import unknown

__all__ = ["SCORE_FIELDS", "Field", "SortKey", "parse_columns", "parse_sort"]

SCORE_FIELDS = {
    "confidence": ("confidence", "FLOAT"),
    "logit": ("logit", "FLOAT"),
    "source": ("label_source", "VARCHAR"),
    "status": ("status", "VARCHAR"),
}
"""Kind of operand -> (column of the scores table, type)."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a result: of the images (`kind` is `image`), or something of an attribute."""

    kind: str
    name: str

    @property
    def label(self) -> str:
        """The column's name in the result: `path`, `earth`, `earth.status`."""
        return self.name if self.kind in ("image", "confidence") else f"{self.name}.{self.kind}"

    @property
    def type(self) -> str:
        return IMAGE_COLUMNS[self.name] if self.kind == "image" else SCORE_FIELDS[self.kind][1]


@dataclass(frozen=True, slots=True)
class SortKey:
    field: Field
    descending: bool


def parse_columns(names: Iterable[str], codes: Collection[str]) -> tuple[Field, ...]:
    """The columns of a result: image columns, codes (their confidence), `code.status|logit|source`.

    Raises:
        InputError: an unknown name.
    """
    fields: dict[Field, None] = {}
    for name in names:
        fields[_field(name.strip(), codes)] = None
    if not fields:
        raise InputError("no columns were named; leave --columns out for the usual ones")
    return tuple(fields)


def _field(name: str, codes: Collection[str]) -> Field:
    if name in IMAGE_COLUMNS:
        return Field("image", name)
    code, dot, kind = name.partition(".")
    if code not in codes:
        raise InputError(unknown("column", name, [*codes, *IMAGE_COLUMNS]))
    if dot and kind not in SCORE_FIELDS:
        raise InputError(
            f"{unknown('column', name, [])}; of an attribute there are {', '.join(SCORE_FIELDS)}"
        )
    return Field(kind if dot else "confidence", code)


def parse_sort(text: str, codes: Collection[str]) -> tuple[SortKey, ...]:
    """A sort order: names separated by commas, each with `-` before it, or `desc` or `asc` after it.

    Confidences and logits go from high to low, everything else from low to high; `-` turns that around.

    Raises:
        InputError: an unknown name.
    """
    keys = []
    for part in text.split(","):
        words = part.split()
        direction = words.pop().lower() if len(words) == 2 and words[1].lower() in ("asc", "desc") else None
        if len(words) != 1:
            raise InputError(
                f"--sort {text!r}: write a column, -column or `column desc`, separated by commas"
            )
        name = words[0].removeprefix("-")
        key = _field(name, codes)
        natural = key.kind in ("confidence", "logit")
        descending = direction == "desc" if direction else natural != (name != words[0])
        keys.append(SortKey(key, descending))
    return tuple(keys)
