"""Bringing the images table up to date with the roots: a plan from names, sizes and times, then the work.

`plan_scan` reads no image; it tries whether files that the system refused can be opened now. `apply_scan` reads
those that the plan calls for, in worker processes, and commits as it goes, so that what is finished stays if it
is interrupted; files that vanished are marked last, when it is known which of them only moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from colonnade.engine.errors import InputError
from colonnade.engine.facts import MAX_PIXELS, can_open
from colonnade.engine.images import FileEntry, Problem, file_path, walk
from colonnade.engine.scan_claims import Job
from colonnade.engine.scan_commit import Committer
from colonnade.engine.scan_diff import KnownImages, Moves, RootDiff, diff_images
from colonnade.engine.scan_known import read_gone, read_known
from colonnade.engine.scan_run import FAILURES_KEPT, ScanRun
from colonnade.engine.settings import Root, Settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store

__all__ = ["RootPlan", "ScanOutcome", "ScanPlan", "apply_scan", "plan_scan"]


@dataclass(frozen=True)
class RootPlan:
    """What a scan would do in one root. Files that look moved are among the new ones until they are read."""

    root: Root
    """For rows of a root that the store no longer has: its name, and an empty path."""
    known: KnownImages
    diff: RootDiff
    likely: np.ndarray
    """int64 [len(diff.new)]: the id of the row that a new file seems to be, by size and time; -1 for none."""
    lookalike: np.ndarray
    """bool [len(diff.new)]: has the name and the size of a file that is gone, so that it is read first."""
    alike: int
    """Of the new files those that seem to be none, but have the size of one that is gone."""
    moved_away: int
    """Of the known files that are gone from their path those that new ones seem to be, in whatever root."""

    def named(self, rows: Sequence[int]) -> list[tuple[int, str]]:
        """(image_id, path) of some rows of `known`."""
        return [(int(self.known.ids[row]), self.known.paths[row]) for row in rows]

    @property
    def looks_moved(self) -> int:
        return int(np.count_nonzero(self.likely >= 0))

    @property
    def new(self) -> int:
        """New files without those that look moved."""
        return len(self.diff.new) - self.looks_moved

    @property
    def changed(self) -> int:
        return len(self.diff.changed)

    @property
    def same_size(self) -> int:
        """Of the changed files those that may only have been touched."""
        return len(self.touched)

    @property
    def touched(self) -> list[int]:
        """The ids of images whose file has another time but its former size, and may hold what it held."""
        known = self.known
        return [
            int(known.ids[row])
            for row, entry in self.diff.changed
            if known.sizes[row] == entry.size and known.mtimes[row] not in (-1, entry.mtime_us)
        ]

    @property
    def retried(self) -> int:
        """Files that are read in every scan until they can be: no permission so far, or no decoder."""
        return len(self.diff.retried)

    @property
    def returned(self) -> int:
        return len(self.diff.returned)

    @property
    def vanished(self) -> int:
        """Known files that are gone from their path, but for those that look moved."""
        return len(self.diff.vanished) - self.moved_away

    @property
    def unchanged(self) -> int:
        return self.diff.unchanged

    @property
    def unseen(self) -> int:
        """Known images under a folder or root that could not be looked at; they stay as they are."""
        return self.diff.unseen

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.diff.problems)


@dataclass(frozen=True)
class ScanPlan:
    """What a scan would do. Made from names, sizes and times; no file was read."""

    snapshot: int
    """The snapshot that it was compared with."""
    roots: tuple[RootPlan, ...]
    moves: Moves
    """The rows whose file is gone or differs, in all the roots; none if no file is to be read that may be one
    of theirs."""
    data_files: frozenset[str]
    """The images files that the plan knows."""

    @property
    def reads(self) -> int:
        """How many files would be read."""
        return sum(len(each.diff.new) + each.changed + each.retried for each in self.roots)

    @property
    def is_empty(self) -> bool:
        """Whether a scan would change nothing. Files that still cannot be read do not count."""
        return not any(each.diff.new or each.changed or each.returned or each.vanished for each in self.roots)

    def count(self, name: str) -> int:
        """The sum over the roots of `new`, `looks_moved`, `changed`, `same_size`, `retried`, `returned`,
        `vanished`, `unchanged`, `unseen` or `alike`."""
        return sum(int(getattr(each, name)) for each in self.roots)


@dataclass(frozen=True)
class ScanOutcome:
    """What a scan did: numbers of images."""

    new: int = 0
    moved: int = 0
    """Found again under another path: same id, embedding, scores and labels."""
    changed: int = 0
    """Content that no other row has, under the same path: embedding and scores were removed."""
    touched: int = 0
    """Same content, other time, or now (un)readable."""
    returned: int = 0
    vanished: int = 0
    unchanged: int = 0
    unseen: int = 0
    unreadable: int = 0
    """Of the files that were read, those that are no usable images. They are rows in state `unreadable`."""
    commits: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    """(root/path, reason) of unreadable files and of what could not be looked at; the first 1,000."""


def plan_scan(
    store: Store, roots: Sequence[str] | None = None, *, snapshot: Snapshot | None = None
) -> ScanPlan:
    """Compare the roots' files with the images table, by path, size and time.

    Images of roots that the store no longer has count as vanished: a `restore` may have brought them back.

    Args:
        roots: names of roots; by default all. A root whose folder is not there is a problem then, and its
            images stay as they are.
        snapshot: what to compare with; by default the live one.

    Raises:
        InputError: a root that was asked for by name is unknown, or its folder is not there.
    """
    snapshot = store.snapshot() if snapshot is None else snapshot
    settings = store.settings  # read after the snapshot: a root that has rows there is in it, or was removed
    chosen = _chosen(settings, roots)
    files = snapshot.files("images")
    by_root, left, elsewhere = read_known(
        files, [root.name for root in chosen], [root.name for root in settings.roots]
    )
    compared = []
    for root in chosen:
        known = by_root[root.name]
        compared.append((root, known, _permitted(root, known, diff_images(known, walk(root.path)))))
    for name, known in sorted(left.items()):
        compared.append((Root(name, Path()), known, RootDiff(vanished=list(range(len(known.ids))))))
    gone = [known.ids[diff.vanished + diff.absent] for _, known, diff in compared]
    changed = [known.ids[[row for row, _ in diff.changed]] for _, known, diff in compared if diff.changed]
    looking = bool(changed) or any(diff.new for *_, diff in compared)
    moves = read_gone(files, [elsewhere, *gone] if looking else [], changed)
    likely = moves.likely([entry for *_, diff in compared for entry in diff.new])
    planned, first = [], 0
    for root, known, diff in compared:
        own = likely[first : (first := first + len(diff.new))]
        alike = int(np.count_nonzero(moves.of_a_size(diff.new) & (own < 0)))
        away = int(np.isin(known.ids[diff.vanished], likely).sum())
        planned.append(RootPlan(root, known, diff, own, moves.lookalikes(diff.new), alike, away))
    return ScanPlan(snapshot.number, tuple(planned), moves, frozenset(file.name for file in files))


def _permitted(root: Root, known: KnownImages, diff: RootDiff) -> RootDiff:
    """With those files among the changed ones that the system refused so far and that can be opened now."""

    def opens(row: int, entry: FileEntry) -> bool:
        return bool(known.refused[row]) and can_open(file_path(root.path, entry.path, entry.path_bytes))

    if not diff.retried or not known.refused.any():
        return diff
    open_now = [opens(*each) for each in diff.retried]
    return replace(
        diff,
        changed=[*diff.changed, *compress(diff.retried, open_now)],
        retried=[each for each, opened in zip(diff.retried, open_now, strict=True) if not opened],
    )


def _chosen(settings: Settings, names: Sequence[str] | None) -> tuple[Root, ...]:
    if names is None:
        return settings.roots
    chosen = []
    for name in dict.fromkeys(names):
        root = settings.root(name)
        if root is None:
            known = ", ".join(each.name for each in settings.roots) or "none"
            raise InputError(f"no image root is named {name!r}; the roots are: {known}")
        if not Path(root.path).is_dir():
            raise InputError(
                f"{root.path}: the folder of the image root {name!r} is not there; mount its disk, "
                f"or say where it is now: colonnade root move {name} FOLDER"
            )
        chosen.append(root)
    return tuple(chosen)


def apply_scan(
    store: Store,
    plan: ScanPlan,
    progress: Callable[[int, int, int], None] | None = None,
    *,
    narrate: Callable[[str], None] | None = None,
    on_failure: Callable[[str, str], None] | None = None,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
    timeout_s: float = 30.0,
    batch_files: int = 20_000,
    batch_s: float = 30.0,
) -> ScanOutcome:
    """Read what the plan calls for and commit it; then mark what vanished.

    Files of roots that were removed or moved since the plan was made get no rows.

    Args:
        progress: called with (files read, files to read, unreadable so far).
        narrate: called with a line where there is something to say, such as a retry.
        on_failure: called with the path of each file that cannot be read, and why.
        max_pixels: larger images are refused.
        workers: processes that read; by default one a CPU.
        timeout_s: what one file may take, beside a second for each 4 MB.
        batch_files, batch_s: a commit after that many files or seconds, whichever comes first.

    Raises:
        ConflictError: others kept changing the same cells.
        StoreError: the disk refused. What was committed before stays.
    """
    lookalikes: list[Job] = []
    others: list[Job] = []
    for each in plan.roots:
        for entry, lookalike in zip(each.diff.new, each.lookalike.tolist(), strict=True):
            (lookalikes if lookalike else others).append((each.root, entry, None))
        for row, entry in (*each.diff.changed, *each.diff.retried):
            others.append((each.root, entry, int(each.known.ids[row])))
    run = ScanRun(
        Committer(store.path, [each.root for each in plan.roots], plan.data_files, narrate),
        plan.moves,
        total=plan.reads,
        progress=progress,
        on_failure=on_failure,
        batch_files=batch_files,
        batch_s=batch_s,
    )
    run.read(lookalikes, others, max_pixels=max_pixels, workers=workers, timeout_s=timeout_s)
    for each in plan.roots:
        run.mark("returned", each.root.name, each.named(each.diff.returned))
        run.mark("vanished", each.root.name, each.named(each.diff.vanished))
    run.finish()
    failures = list(run.failures)
    for each in plan.roots:
        for problem in each.diff.problems[:FAILURES_KEPT]:
            failures.append((f"{each.root.name}/{problem.path}".rstrip("/"), problem.reason))
    return ScanOutcome(
        **run.counts,
        unchanged=plan.count("unchanged"),
        unseen=plan.count("unseen"),
        failures=tuple(failures[:FAILURES_KEPT]),
    )
