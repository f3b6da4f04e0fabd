"""Numbers with their nouns and units, for people."""

from __future__ import annotations

__all__ = ["bytes_of", "count_of"]


def count_of(number: int, noun: str) -> str:
    """`1 file`, `1,234 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def bytes_of(count: int) -> str:
    """`512 B`, `3.4 MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
