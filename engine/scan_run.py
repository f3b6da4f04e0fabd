"""The working half of a scan: files are read in worker processes, and their rows committed in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from colonnade.engine.facts import ImageFacts, hash_file, read_item
from colonnade.engine.images import file_path
from colonnade.engine.isolate import IsolatedPool, Outcome
from colonnade.engine.scan_claims import Claims, Decided, Job
from colonnade.engine.scan_commit import Committer
from colonnade.engine.scan_diff import Moves
from colonnade.engine.scan_rows import Edit, image_row

__all__ = ["FAILURES_KEPT", "ScanRun"]

Item = tuple[int, str, int]
"""What a worker gets: (number, path, bytes)"""

BYTES_PER_SECOND = 4_000_000
AHEAD = 256
FAILURES_KEPT = 1000
MARKS_PER_COMMIT = 1 << 17


class ScanRun:
    """One scan under way: the batch that is not committed yet, and the counts so far.

    Args:
        total: how many files will be read.
        batch_files, batch_s: a batch is committed after that many files or seconds.
    """

    def __init__(
        self,
        committer: Committer,
        moves: Moves,
        *,
        total: int,
        progress: Callable[[int, int, int], None] | None,
        on_failure: Callable[[str, str], None] | None,
        batch_files: int,
        batch_s: float,
    ) -> None:
        self.counts = dict.fromkeys(
            ("new", "moved", "changed", "touched", "returned", "vanished", "unreadable", "commits"), 0
        )
        self.failures: list[tuple[str, str]] = []
        self._committer = committer
        self._moves = moves
        self._total = total
        self._done = 0
        self._progress = progress
        self._on_failure = on_failure
        self._batch_files = batch_files
        self._batch_s = batch_s
        self._waiting: dict[int, tuple[Job, ImageFacts]] = {}  # read, but one before them is not
        self._claims = Claims(moves, ())
        self._rows: list[dict[str, Any]] = []
        self._edits: list[Edit] = []
        self._displaced: dict[int, Edit] = {}  # rows whose path another took, while their picture is nowhere
        self._due = time.monotonic() + batch_s
        self._committing = False
        self._workers: int | None = None
        self._timeout_s = 0.0

    def read(
        self,
        lookalikes: Sequence[Job],
        others: Sequence[Job],
        *,
        max_pixels: int,
        workers: int | None,
        timeout_s: float,
    ) -> None:
        """Read files and commit their rows.

        Args:
            lookalikes: new files with the name and size of one that is gone. They come first, so that each
                has the first claim on the row of its own name.
        """
        self._workers, self._timeout_s = workers, timeout_s
        self._claims = Claims(self._moves, (*lookalikes, *others))
        pool: IsolatedPool[Item, ImageFacts] = IsolatedPool(
            partial(read_item, max_pixels=max_pixels),
            workers=workers,
            timeout=lambda item: timeout_s + item[2] / BYTES_PER_SECOND,
            ahead=AHEAD,
        )
        with pool:
            try:
                strangers = [
                    (job, facts)
                    for job, facts in self._read(pool, lookalikes)
                    if not self._take(job, facts, same_name=True)
                ]
                for job, facts in strangers:
                    self._take(job, facts)
                for job, facts in self._read(pool, others):
                    self._take(job, facts)
                for decided in self._claims.rest():
                    self._place(decided)
            except BaseException:  # above all Ctrl-C: what was read stays, but for what waits for other files
                if not self._committing:
                    for _, (job, facts) in sorted(self._waiting.items(), key=lambda item: item[0]):
                        self._take(job, facts)
                    self.finish()
                raise

    def mark(self, kind: Literal["returned", "vanished"], root: str, rows: Sequence[tuple[int, str]]) -> None:
        """Note rows (id, path) whose file is gone, or there again as it was, but for those found moved."""
        for image_id, path in rows:
            if image_id not in self._claims.claimed:
                self._edits.append(Edit(image_id, root, path, kind))
                if len(self._edits) >= MARKS_PER_COMMIT:
                    self.finish()

    def finish(self) -> None:
        """Commit the batch."""
        self._due = time.monotonic() + self._batch_s
        if not self._rows and not self._edits:
            return
        self._committing = True
        new, edited = self._committer.commit(self._rows, [*self._edits, *self._displaced.values()])
        self._committing = False
        self._rows, self._edits, self._displaced = [], [], {}
        self.counts["new"] += new
        for outcome in ("moved", "changed", "touched", "returned", "vanished"):
            self.counts[outcome] += len(getattr(edited, outcome))
        self.counts["commits"] += bool(new or edited)

    def _read(
        self, pool: IsolatedPool[Item, ImageFacts], jobs: Sequence[Job]
    ) -> Iterator[tuple[Job, ImageFacts]]:
        def items() -> Iterator[Item]:
            for number, (root, entry, _) in enumerate(jobs):
                yield number, str(file_path(root.path, entry.path, entry.path_bytes)), entry.size

        following = 0  # in the order of the jobs, so that ids are the same however the reading went
        hung: dict[int, Outcome[Item, ImageFacts]] = {}  # they come last
        for outcome in pool.run(items()):
            number = outcome.item[0]
            if outcome.value is None:
                hung[number] = outcome
            else:
                self._waiting[number] = jobs[number], outcome.value
            self._done += 1
            while following in self._waiting or following in hung:
                if following in self._waiting:
                    yield self._waiting.pop(following)
                following += 1
                if len(self._rows) + len(self._edits) >= self._batch_files or time.monotonic() >= self._due:
                    self.finish()
            if self._progress is not None:
                self._progress(self._done, self._total, self.counts["unreadable"])
        if hung:
            self.finish()  # what was read need not wait for what may hang again
            yield from ((jobs[number], facts) for number, facts in self._hashed(hung))

    def _hashed(self, hung: Mapping[int, Outcome[Item, ImageFacts]]) -> list[tuple[int, ImageFacts]]:
        """The facts of files that hung or crashed a worker: at least the hash, lest they be read in every scan.

        Where that hangs too, as on a disk that does not answer, the hash stays null and the next scan tries again.
        """
        sizes = {outcome.item[1]: outcome.item[2] for outcome in hung.values()}
        pool: IsolatedPool[str, str | None] = IsolatedPool(
            hash_file,
            workers=self._workers,
            timeout=lambda path: self._timeout_s + sizes[path] / BYTES_PER_SECOND,
        )
        with pool:
            hashes = {outcome.item: outcome.value for outcome in pool.run(iter(sizes))}
        return [
            (number, ImageFacts("unreadable", f"reading it {outcome.error}", hashes[outcome.item[1]]))
            for number, outcome in sorted(hung.items())
        ]

    def _take(self, job: Job, facts: ImageFacts, *, same_name: bool = False) -> bool:
        """Add a file to the batch, and what it decides of others; False if it may have moved, but not from a
        file of that name."""
        decided = self._claims.add(job, facts, same_name=same_name)
        for each in decided or ():
            self._place(each)
        return decided is not None

    def _place(self, decided: Decided) -> None:
        (root, entry, image_id), facts, found, own = decided
        row = image_row(root.name, entry, facts)
        if found is not None:
            self._displaced.pop(found.image_id, None)
            self._edits.append(Edit(found.image_id, found.root, found.path, "moved", row))
            if image_id is not None and image_id not in self._claims.claimed:
                self._displaced[image_id] = Edit(image_id, root.name, entry.path, "vanished")
        elif own and image_id is not None:
            self._edits.append(Edit(image_id, root.name, entry.path, "read", row))
        else:
            self._rows.append(row)
        if facts.state == "unreadable":
            self.counts["unreadable"] += 1
            failure = f"{root.name}/{entry.path}", facts.error or "unreadable"
            if self._on_failure is not None:
                self._on_failure(*failure)
            if len(self.failures) < FAILURES_KEPT:
                self.failures.append(failure)
