"""What stands in the way of a result, and what to do next: a line each, the most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from colonnade.engine.errors import ColonnadeError, StoreError
from colonnade.tui.plan_text import NO_FOLDER, NO_MODEL
from colonnade.tui.session_damage import ADVICE, damage_words, missing_scores
from colonnade.tui.session_model import Overview

if TYPE_CHECKING:
    from colonnade.engine.snapshots import Snapshot

__all__ = ["damages", "first_line", "lacking", "problems"]


def first_line(error: BaseException) -> str:
    """What an error says in one line, and how many more there are."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


def lacking(overview: Overview) -> str:
    """Why no image has a vector, and what to do next; '' where some have one."""
    if not overview.images:
        return "no images yet: scan the folders (Jobs, or `colonnade sync`)" if overview.roots else NO_FOLDER
    if not overview.ok:
        return "no image can be read: see the outcomes of the last scan in Jobs"
    if not overview.embedded:
        return (
            "no image is embedded yet: run sync (Jobs, or `colonnade sync`)" if overview.model else NO_MODEL
        )
    return ""


def damages(snapshot: Snapshot, damage: str) -> Iterator[StoreError]:
    """What is damaged of a snapshot, as far as that shows without reading its tables.

    Args:
        damage: what was found while the images were read, or ''.
    """
    try:
        if damage:
            yield StoreError(damage)
        else:
            for code in missing_scores(snapshot):
                yield StoreError(f"the scores of {code} cannot be read, their files are gone: {ADVICE}")
        _ = snapshot.facts
    except StoreError as error:
        yield StoreError(damage_words(error) or str(error))


def problems(
    overview: Overview, *, scored: bool, writable: bool, faults: Sequence[ColonnadeError | None]
) -> Overview:
    """The overview with its problems."""
    return replace(overview, problems=tuple(_problems(overview, scored, writable, faults)))


def _problems(
    overview: Overview, scored: bool, writable: bool, faults: Sequence[ColonnadeError | None]
) -> Iterator[str]:
    yield from (first_line(fault) for fault in faults if fault is not None)
    if not writable:
        yield "the store is read-only for you: look and search; to change it, copy it to a place of your own"
    yield from (
        f"{folder}: not there; mount it, or `colonnade root move` it to where the images are now"
        for folder in overview.absent_roots
    )
    if overview.damage:
        return  # whether there are images, vectors or scores is not known
    if lacks := lacking(overview):
        yield lacks
    if not overview.attributes:
        yield "the vocabulary has no attributes: add one in Vocabulary, or `colonnade vocab import space`"
    elif overview.embedded and not scored:
        yield "no attribute is scored yet: tag them (Jobs, or `colonnade tag`)"
