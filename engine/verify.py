"""Checking a store: every link, name, checksum and invariant. Reads only, takes no lock, follows nothing outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from colonnade.engine.durable import store_errors
from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Fault, Findings
from colonnade.engine.garbage import check_layout, leftovers
from colonnade.engine.settings import Settings, read_settings
from colonnade.engine.snapshots import Snapshot, list_snapshots, live_advice, live_number
from colonnade.engine.verify_files import Shelf, check_checksums, check_snapshot, check_top
from colonnade.engine.verify_history import check_history
from colonnade.engine.verify_rows import check_rows
from colonnade.engine.vocabulary import VocabularyError, parse_vocabulary

__all__ = ["Fault", "Report", "verify"]

_RESTORE = "restore it from a backup, or go back with `colonnade restore N`"


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found."""

    faults: tuple[Fault, ...]
    more_faults: int
    """Faults beyond those listed."""
    notes: tuple[str, ...]
    """What is not wrong but good to know, as leftovers of a crash."""
    snapshots: int
    files: int
    """Distinct data files, of all snapshots."""
    bytes: int
    rows: int
    """Rows of the live snapshot, which were read one by one."""

    @property
    def sound(self) -> bool:
        return not self.faults


def verify(store: Path, *, progress: Callable[[int, int], None] | None = None) -> Report:
    """Check everything that a store promises.

    Links, names and checksums are checked in every snapshot that is kept, rows in the live one.

    Args:
        progress: called with (bytes done, bytes in all).

    Raises:
        StoreError: there is no store, or the disk does not let it be read.
    """
    store = Path(store).absolute()
    findings, shelf = Findings(), Shelf()
    with store_errors(store):
        settings = _settings(store, findings)
        try:
            live = live_number(store)
            check_layout(store)
            numbers = list_snapshots(store)
        except StoreError as error:
            if settings is None and not (store / "live").is_symlink():
                raise
            what = str(error).removesuffix(f"; {live_advice(store)}")
            findings.fault("live", _short(StoreError(what), store, "live"), _live_anew(store))
            return _report(findings, shelf, 0, 0)
        check_top(store, findings)
        shelf.live = live
        snapshots = {number: Snapshot(store, number) for number in numbers}
        if live not in snapshots:
            findings.fault("live", f"leads to snapshot {live}, which is missing", _live_anew(store))
            return _report(findings, shelf, len(numbers), 0)
        tables = {number: check_snapshot(snapshots[number], findings, shelf) for number in reversed(numbers)}
        highest = _check_facts(snapshots, findings)
        _check_vocabulary(snapshots[live], findings)
        check_history(snapshots, tables, live, findings)
        in_use = [file for files in tables[live].values() for file in files]
        meter = _Meter(progress, shelf.bytes + sum(_size(file.path) for file in in_use))
        check_checksums(store, shelf, in_use, findings, meter.add)
        rows = check_rows(store, tables[live], highest, settings, findings, meter.add)
        _note_leftovers(store, live, findings)
    return _report(findings, shelf, len(numbers), rows)


class _Meter:
    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, count: int) -> None:
        self._done = min(self._total, self._done + count)
        if self._progress:
            self._progress(self._done, self._total)


def _report(findings: Findings, shelf: Shelf, snapshots: int, rows: int) -> Report:
    return Report(
        faults=tuple(findings.faults),
        more_faults=findings.more,
        notes=tuple(findings.notes),
        snapshots=snapshots,
        files=len(shelf.files),
        bytes=shelf.bytes,
        rows=rows,
    )


def _live_anew(store: Path) -> str:
    return live_advice(store) or "restore the store from a backup"


def _settings(store: Path, findings: Findings) -> Settings | None:
    try:
        return read_settings(store)
    except StoreError as error:
        advice = "restore it from a backup, or compare with docs/store.md"
        findings.fault("colonnade.toml", _short(error, store, "colonnade.toml"), advice)
        return None


def _check_facts(snapshots: dict[int, Snapshot], findings: Findings) -> int:
    """`snapshot.json` of each snapshot; returns the live one's next image id."""
    highest = 0
    for number, snapshot in snapshots.items():
        where = f"_snap/{snapshot.path.name}/snapshot.json"
        try:
            own, parent = snapshot.next_image_id, snapshot.facts.get("parent")
        except StoreError as error:
            if snapshot.path.exists():
                findings.fault(where, _short(error, snapshot.store, where), _RESTORE)
            continue
        if own < highest:
            what = (
                f"next_image_id {own} is below an earlier snapshot's {highest}; ids would be given out twice"
            )
            findings.fault(where, what, _RESTORE)
        highest = max(highest, own)
        if not (parent is None or (type(parent) is int and 0 < parent < number)):
            findings.fault(where, f"its parent is {str(parent)[:40]!r}", _RESTORE)
        if not snapshot.dated:
            findings.fault(where, "does not say when it was made", _RESTORE)
    return highest


def _check_vocabulary(live: Snapshot, findings: Findings) -> None:
    where = f"_snap/{live.path.name}/vocabulary.yaml"
    try:
        parse_vocabulary(live.vocabulary_bytes(), where)
    except VocabularyError as error:
        findings.fault(where, str(error).splitlines()[0].removeprefix(f"{where}:"), _RESTORE)
    except StoreError as error:
        findings.fault(where, _short(error, live.store, where), _RESTORE)


def _note_leftovers(store: Path, live: int, findings: Findings) -> None:
    found = leftovers(store, live)
    for path in found[:20]:
        findings.note(
            f"{path.relative_to(store)}: left by a crash, or being written now; `colonnade gc` removes it"
        )
    if len(found) > 20:
        findings.note(f"{len(found) - 20} more such leftovers")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _short(error: StoreError, store: Path, where: str = "") -> str:
    """The message without the place, which the fault names, and without its advice."""
    text = str(error).replace(f"{store}/", "").replace(f"{store}: ", "").removeprefix(f"{where}: ")
    for advice in ("; run `colonnade verify`", ", run `colonnade verify`", "; compare with docs/store.md"):
        text = text.removesuffix(advice)
    return text
