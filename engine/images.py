"""Image files on disk: walking a root folder, and the names of what is found there."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colonnade.engine.columns import TABLES
from colonnade.engine.errors import InputError

__all__ = [
    "EXTENSIONS",
    "FileEntry",
    "Problem",
    "file_path",
    "mtime_us_of",
    "name_of",
    "one_line",
    "reason_of",
    "uuid_of",
    "walk",
]

EXTENSIONS = frozenset(
    ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "tif", "tiff", "bmp", "avif", "heic", "heif")
)
"""Lower-case file name extensions of what is taken for an image; what the bytes hold decides afterwards."""

REASON_CHARACTERS = 300

_SUFFIXES = frozenset(b"." + extension.encode() for extension in EXTENSIONS)
_STORE_MARK = b"colonnade.toml"
_STORE_NAMES = frozenset(name.encode() for name in (*TABLES, "live", "_snap", "_tables", "_stage", "jobs"))
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LOOKS_ESCAPED = re.compile(rb"\\x[89a-f][0-9a-f]")
# Years 1 to 9999: some file systems store any 64-bit number of seconds, which no timestamp column holds.
_MTIME_US = (-62_135_596_800_000_000, 253_402_300_799_000_000)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file that by its name is an image: what `stat` says about it."""

    path: str
    """Relative to the root, `/` between names, unique in its root; a printable stand-in if `path_bytes`."""
    size: int
    """Bytes."""
    mtime_us: int
    """Microseconds since 1970, UTC."""
    path_bytes: bytes | None = None
    """The path as the file system has it, where that is not UTF-8 text (or reads like a stand-in)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something under a root that could not be looked at."""

    path: str
    """Relative to the root, as in `FileEntry`; empty for the root itself."""
    reason: str
    blind: bool = True
    """What is at or under `path` is unknown, so that images known there are not to be taken for vanished."""


@dataclass(frozen=True, slots=True)
class _Folder:
    raw: bytes
    text: str
    verbatim: bool
    linked: bool = False

    def child(self, name: bytes, *, linked: bool = False) -> _Folder:
        text, verbatim = name_of(name)
        return _Folder(
            self.raw + b"/" + name if self.raw else name,
            f"{self.text}/{text}" if self.text else text,
            self.verbatim and verbatim,
            linked,
        )


def name_of(name: bytes) -> tuple[str, bool]:
    """The text that stands for a file name, and whether it is the name itself.

    A name that is not UTF-8 gets backslash escapes (`caf\\xe9.jpg`). So does one that reads like such an
    escape, because no two names may have the same text.
    """
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace"), False
    if b"\\" in name and _LOOKS_ESCAPED.search(name):
        return text.replace("\\", "\\\\"), False
    return text, True


def file_path(root: str | Path, path: str, path_bytes: bytes | None = None) -> Path:
    """Where the file of an images row is. Raises InputError for a path that would leave the root."""
    raw = path.encode("utf-8", "surrogateescape") if path_bytes is None else path_bytes
    if not raw or b"\0" in raw or raw.startswith(b"/") or b".." in raw.split(b"/"):
        raise InputError(
            f"image path {one_line(path)!r} does not stay inside its root folder; `forget` that row"
        )
    return Path(root) / os.fsdecode(raw)


def uuid_of(path: str) -> str | None:
    """The UUID that the file is named by, in lower case (`X/0B5E...-....jpg`), or None."""
    stem = path.rpartition("/")[2].rpartition(".")[0].lower()
    return stem if _UUID.fullmatch(stem) else None


def one_line(text: str, limit: int = REASON_CHARACTERS) -> str:
    """`text` on one line, without characters that do not print, cut to `limit` characters."""
    words = " ".join(text[: 8 * limit].split())
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def walk(root: Path) -> Iterator[FileEntry | Problem]:
    """Every image file under `root`, folder by folder in a stable order, with what could not be looked at.

    Hidden names, special files and the insides of a store are passed over. Links are followed, after all that
    is there without them: each folder is listed once, under its own path if that lies under `root`. Memory is
    that of the largest folder. Raises nothing: a root that cannot be listed is a Problem with an empty path.
    """
    top = os.fsencode(root)
    pending = [_Folder(b"", "", True)]
    links: deque[_Folder] = deque()
    listed: set[tuple[int, int]] = set()
    while pending or links:
        folder = pending.pop() if pending else links.popleft()
        place = top + b"/" + folder.raw if folder.raw else top
        try:
            status = os.stat(place)  # noqa: PTH116 (bytes)
            if (status.st_dev, status.st_ino) in listed:
                continue
            with os.scandir(place) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            if (
                not gone or folder.linked or not folder.raw
            ):  # a plain folder that went away meanwhile has vanished
                yield Problem(folder.text, reason_of(error))
            continue
        listed.add((status.st_dev, status.st_ino))
        in_store = any(entry.name == _STORE_MARK for entry in entries)
        below: list[_Folder] = []
        for entry in entries:
            name = entry.name
            if name.startswith(b".") or (in_store and name in _STORE_NAMES):
                continue
            found = _look(entry, folder)
            if isinstance(found, _Folder):
                (links if found.linked else below).append(found)
            elif found is not None:
                yield found
        pending.extend(reversed(below))


def _look(entry: os.DirEntry[bytes], folder: _Folder) -> _Folder | FileEntry | Problem | None:
    name = entry.name
    is_image = name[name.rfind(b".") :].lower() in _SUFFIXES
    linked = False
    try:
        linked = entry.is_symlink()
        if not linked and entry.is_dir(follow_symlinks=False):
            return folder.child(name)
        if not (linked or is_image):
            return None
        status = entry.stat()
    except OSError as error:
        if not linked and isinstance(error, FileNotFoundError):
            return None
        # A link to nowhere may be a folder on a disk that is not there, unless it is named as an image.
        blind = not (is_image and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP))
        return Problem(folder.child(name).text, reason_of(error), blind)
    if linked and stat.S_ISDIR(status.st_mode):
        return folder.child(name, linked=True)
    if not (is_image and stat.S_ISREG(status.st_mode)):
        return None
    file = folder.child(name)
    return FileEntry(file.text, status.st_size, mtime_us_of(status), None if file.verbatim else file.raw)


def mtime_us_of(status: os.stat_result) -> int:
    """Modification time in microseconds since 1970, kept within the years 1 to 9999."""
    return min(max(status.st_mtime_ns // 1000, _MTIME_US[0]), _MTIME_US[1])


def reason_of(error: OSError) -> str:
    """An operating system error in a few words, without the path."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "not there (a link to nothing, or a disk that is not mounted)"
    return one_line((error.strerror or type(error).__name__).lower())
