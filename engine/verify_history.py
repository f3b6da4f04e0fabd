"""Partitions of what nobody can make anew that an earlier snapshot has and that no command took away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Findings
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.store_names import partition_folder

__all__ = ["check_history"]

_ADDING = {
    "embeddings": ("embed", "import", "compact"),
    "labels": ("review ", "labels import", "compact"),
}
"""Table -> how the commands begin that write it and never take the last row of a partition."""


def check_history(
    snapshots: Mapping[int, Snapshot],
    tables: Mapping[int, Mapping[str, Sequence[DataFile]]],
    live: int,
    findings: Findings,
) -> None:
    """Tell of partitions that the live snapshot lacks, where the commit that left them out only ever adds.

    Nothing can be told where that commit's snapshot, or the one before it, is not kept any more.

    Args:
        tables: snapshot -> table -> its files, as `check_snapshot` found them.
    """
    for table, adding in _ADDING.items():
        lost: dict[str, tuple[int, int]] = {}
        for before, after in pairwise(sorted(snapshots)):
            if table not in tables[before] or table not in tables[after]:
                continue
            had, has = (_partitions(tables[number][table]) for number in (before, after))
            if _follows(snapshots[after], before) and snapshots[after].command.startswith(adding):
                lost |= dict.fromkeys(had - has, (before, after))
        if table not in tables[live]:
            continue
        for partition in sorted(lost.keys() - _partitions(tables[live][table])):
            before, after = lost[partition]
            what = (
                f"lost: snapshot {before} has it, and `{snapshots[after].command[:40]}`, which made snapshot {after} "
                "of that, takes nothing away"
            )
            advice = (
                f"`colonnade restore {before}`, or go back to a backup; only where its data is given up, "
                "let the earlier snapshots go with `colonnade gc --keep-snapshots 1 --keep-seconds 0`"
            )
            findings.fault(f"{table}/{partition_folder(table, partition)}", what, advice)


def _partitions(files: Sequence[DataFile]) -> set[str]:
    return {file.partition for file in files if file.partition is not None}


def _follows(snapshot: Snapshot, before: int) -> bool:
    try:
        return snapshot.facts.get("parent") == before
    except StoreError:
        return False
