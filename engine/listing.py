"""Codes in a line of text: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SHOWN", "some"]

SHOWN = 8
"""How many are named."""


def some(codes: Sequence[str]) -> str:
    """`cat, dog`; of many, the first eight: `..., ... and 4 more`."""
    more = len(codes) - SHOWN
    return ", ".join(codes[:SHOWN]) + (f", ... and {more:,} more" if more > 0 else "")
