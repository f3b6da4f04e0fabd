"""The store as names and bytes: links, folders, data files and their checksums. Nothing outside is followed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import StoreError
from colonnade.engine.findings import Findings
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.store_names import parse_data_file, partition_name

__all__ = ["Shelf", "check_checksums", "check_snapshot", "check_top"]

_MAX_FILE_BYTES = 16 << 30
_RESTORE = "restore it from a backup, or go back with `colonnade restore N`"
_LET_GO = (
    "the live snapshot does without it: restore it from a backup, or let the earlier ones go with "
    "`colonnade gc --keep-snapshots 1 --keep-seconds 0`"
)
_EMPTY = (
    "go back to a snapshot that has it (`colonnade snapshots`, `restore N`), or to a backup; only where its data is "
    "given up, remove the empty folder"
)
_EMPTY_SCORES = "`colonnade sync` makes anew what the vocabulary has; of other scores, "
_FOREIGN = "move it out of the store"


@dataclass(slots=True)
class Shelf:
    """The data files of the versions looked at so far."""

    live: int = 0
    """The number of the live snapshot, which is to be looked at before the others."""
    versions: dict[tuple[str, str], tuple[DataFile, ...]] = field(default_factory=dict)
    """(table, version) -> its regular, well-named files."""
    files: dict[tuple[int, int, str], tuple[DataFile, int]] = field(default_factory=dict)
    """(device, inode, name) -> one of its names and its size in bytes; versions share files by hard links."""

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files.values())


def check_top(store: Path, findings: Findings) -> None:
    """The links that tables have in the store's own folder."""
    for table in TABLES:
        try:
            target = os.readlink(store / table)
        except OSError as error:
            findings.fault(
                table, f"not a link ({error.strerror})", f"make it anew: ln -s live/{table} {table}"
            )
            continue
        if target != f"live/{table}":
            advice = f"make it anew: ln -sfn live/{table} {table}"
            findings.fault(table, f"leads to {target!r} instead of live/{table}", advice)


def check_snapshot(snapshot: Snapshot, findings: Findings, shelf: Shelf) -> dict[str, tuple[DataFile, ...]]:
    """A snapshot's links and files; returns table -> files, of the tables whose link is sound."""
    found: dict[str, tuple[DataFile, ...]] = {}
    for table in TABLES:
        try:
            version = snapshot.version(table)
        except StoreError as error:
            if snapshot.path.exists():
                findings.fault(f"_snap/{snapshot.path.name}/{table}", _said(error, snapshot.store), _RESTORE)
            continue
        key = table, version.name
        if key not in shelf.versions:
            try:
                shelf.versions[key] = tuple(_version_files(snapshot, table, version, findings, shelf))
            except OSError as error:
                if snapshot.path.exists():
                    findings.fault(_name(snapshot.store, version), error.strerror or str(error), _RESTORE)
                continue
        found[table] = shelf.versions[key]
    _check_extra(snapshot, findings)
    return found


def _check_extra(snapshot: Snapshot, findings: Findings) -> None:
    known = {*TABLES, "snapshot.json", "vocabulary.yaml"}
    try:
        names = os.listdir(snapshot.path)
    except OSError:
        return
    for name in sorted(set(names) - known):
        findings.fault(f"_snap/{snapshot.path.name}/{name}", "not part of the store", _FOREIGN)
    if "vocabulary.yaml" not in names:
        findings.fault(f"_snap/{snapshot.path.name}/vocabulary.yaml", "missing", _RESTORE)


def _version_files(
    snapshot: Snapshot, table: str, version: Path, findings: Findings, shelf: Shelf
) -> list[DataFile]:
    live = snapshot.number == shelf.live
    if TABLES[table] is None:
        return _folder_files(snapshot.store, table, None, version, findings, shelf, live=live)
    files: list[DataFile] = []
    for name in sorted(os.listdir(version)):
        folder = version / name
        partition = partition_name(table, name)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            findings.fault(_name(snapshot.store, folder), _kind(folder, "a folder of the store"), _FOREIGN)
        elif partition is None:
            findings.fault(_name(snapshot.store, folder), "not the name of a partition", _FOREIGN)
        else:
            files += _folder_files(snapshot.store, table, partition, folder, findings, shelf, live=live)
    return files


def _folder_files(
    store: Path,
    table: str,
    partition: str | None,
    folder: Path,
    findings: Findings,
    shelf: Shelf,
    *,
    live: bool,
) -> list[DataFile]:
    files: list[DataFile] = []
    for name in sorted(os.listdir(folder)):
        path = folder / name
        facts = path.lstat()
        parsed = parse_data_file(name)
        if parsed is None:
            findings.fault(_name(store, path), "not the name of a data file", _FOREIGN)
        elif not stat.S_ISREG(facts.st_mode):
            findings.fault(_name(store, path), _kind(path, "a regular file"), _RESTORE)
        elif facts.st_size > _MAX_FILE_BYTES:
            findings.fault(_name(store, path), f"{facts.st_size:,} bytes are no data file of ours", _RESTORE)
        else:
            file = DataFile(table, partition, parsed[0], name, path)
            shelf.files.setdefault((facts.st_dev, facts.st_ino, name), (file, facts.st_size))
            files.append(file)
    if not files and partition is not None and folder.exists():
        # A version is built whole under another name, a folder with its first file: no crash leaves an empty one.
        advice = _EMPTY_SCORES + _EMPTY if table == "scores" else _EMPTY
        if not live:
            advice = _LET_GO
        findings.fault(_name(store, folder), "a partition without files: what it held is lost", advice)
    return files


def check_checksums(
    store: Path,
    shelf: Shelf,
    live: Collection[DataFile],
    findings: Findings,
    progress: Callable[[int], None],
) -> None:
    """That every file's content is what its name says; `progress` gets the bytes of each piece read.

    Args:
        live: the files of the live snapshot, by the names in `shelf`.
    """
    in_use = {file.path for file in live}
    for file, size in shelf.files.values():
        advice = _RESTORE if file.path in in_use else _LET_GO
        try:
            digest = _sha256(file.path, progress)
        except FileNotFoundError:
            progress(size)
            if (store / "_tables" / file.table / _version_name(store, file.path)).exists():
                findings.fault(_name(store, file.path), "missing", advice)
            continue
        except OSError as error:
            findings.fault(_name(store, file.path), f"cannot be read ({error.strerror})", advice)
            continue
        if not digest.startswith(file.digest):
            what = f"its content has the SHA-256 {digest[:12]}..., its name says {file.digest}"
            findings.fault(_name(store, file.path), what, advice)


def _version_name(store: Path, path: Path) -> str:
    return path.relative_to(store / "_tables").parts[1]


def _sha256(path: Path, progress: Callable[[int], None]) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    digest = hashlib.sha256()
    try:
        while chunk := os.read(descriptor, 1 << 20):
            digest.update(chunk)
            progress(len(chunk))
    finally:
        os.close(descriptor)
    return digest.hexdigest()


def _kind(path: Path, wanted: str) -> str:
    if path.is_symlink():
        return f"a link (to {os.readlink(path)!r}), not {wanted}; it is not followed"
    return f"not {wanted}"


def _name(store: Path, path: Path) -> str:
    return str(path.relative_to(store))


def _said(error: StoreError, store: Path) -> str:
    text = str(error).split(": ", 1)[-1]
    return re.sub(r"[;,] run `colonnade verify`$|; refused$", "", text).replace(f"{store}/", "")
