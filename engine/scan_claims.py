"""Which row each file that was read stands for: that of its path, that of a picture found again, or a new one.

A file under a known path may be the picture of another row: files were renumbered, swapped, or moved onto one
another. Which it is cannot be told before the files were read that may be those pictures, so a file may have to
wait for others. What waits is little: files are compared by content, and before that by size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from colonnade.engine.facts import ImageFacts
from colonnade.engine.images import FileEntry
from colonnade.engine.scan_diff import Gone, Moves
from colonnade.engine.settings import Root

__all__ = ["Claims", "Decided", "Job"]

Job = tuple[Root, FileEntry, int | None]
"""(root, file, the id of the row that has its path, if one does)"""

WAITING = 1 << 17
"""So many edited files at most wait for others of their old size; beyond, they keep their rows (60 MB)."""


class Decided(NamedTuple):
    """What a file turned out to be."""

    job: Job
    facts: ImageFacts
    found: Gone | None = None
    """The row of its picture, where that was under another path."""
    own: bool = False
    """Whether it is the row of its path, whatever its content. With neither it is a new image."""


class Claims:
    """Decides file by file, in the order that they are read.

    Args:
        jobs: all files that will be read.
    """

    def __init__(self, moves: Moves, jobs: Iterable[Job]) -> None:
        self.claimed: set[int] = set()
        """Rows whose picture was found under another path."""
        self._moves = moves
        self._unread = dict.fromkeys(moves.held_sizes, 0)
        for _, entry, _ in jobs if self._unread else ():
            if entry.size in self._unread:
                self._unread[entry.size] += 1
        self._for_content: dict[str, deque[tuple[Job, ImageFacts]]] = {}
        """By content: files that may be the picture of a row whose own file was not read yet."""
        self._for_size: dict[int, list[tuple[Job, ImageFacts]]] = {}
        """By size of what they were: edited files whose former picture may be among the unread ones."""
        self._waiting = 0
        self._decided: list[Decided] = []

    def add(self, job: Job, facts: ImageFacts, *, same_name: bool = False) -> list[Decided] | None:
        """A file was read. Returns what is decided by that, of it and of others.

        Args:
            same_name: take no row but of that file name; None if there is none, and the file is to come again.
        """
        content, image_id = facts.content_hash, job[2]
        known = None if image_id is None else self._moves.held_row(image_id)
        if same_name and content is not None:
            found = self._find(job, content, same_name=True)
            if found is None:
                return None
            self._decided.append(Decided(job, facts, found))
        elif image_id is not None and known is not None and known[0] == content:
            self._moves.keep(image_id)
            self._decided.append(Decided(job, facts, own=True))
            self._retry(known[0])
        else:
            if image_id is not None and known is not None:
                self._moves.release(image_id)
                self._retry(known[0])
            if facts.state != "missing":  # else it is gone since it was listed: the next scan's business
                self._place(job, facts)
        self._count(job[1].size)
        decided, self._decided = self._decided, []
        return decided

    def rest(self) -> list[Decided]:
        """All has been read: what the files are that still wait."""
        for queue in self._for_content.values():
            for job, facts in queue:
                self._stay(job, facts)
        self._for_content.clear()
        self._settle(list(self._for_size))
        decided, self._decided = self._decided, []
        return decided

    def _find(self, job: Job, content: str | None, *, same_name: bool = False) -> Gone | None:
        root, entry, _ = job
        if content is None:
            return None
        found = self._moves.take(root.name, entry.path, content, same_name=same_name)
        if found is not None:
            self.claimed.add(found.image_id)
        return found

    def _place(self, job: Job, facts: ImageFacts) -> None:
        content = facts.content_hash
        found = self._find(job, content)
        if found is not None:
            self._decided.append(Decided(job, facts, found))
        elif content is not None and self._moves.holds(content):
            self._for_content.setdefault(content, deque()).append((job, facts))
        else:
            self._unfound(job, facts)

    def _unfound(self, job: Job, facts: ImageFacts) -> None:
        """A file's content is no other row's: it has its path's row, unless the picture of that is elsewhere."""
        known = None if job[2] is None else self._moves.held_row(job[2])
        if known is not None and job[2] not in self.claimed and self._unread[known[1]]:
            self._for_size.setdefault(known[1], []).append((job, facts))
            self._waiting += 1
            if self._waiting > WAITING:
                self._settle(list(self._for_size))
        else:
            self._stay(job, facts)

    def _stay(self, job: Job, facts: ImageFacts) -> None:
        image_id = job[2]
        own = image_id is not None and image_id not in self.claimed
        if own and image_id is not None and self._moves.held_row(image_id) is not None:
            self._moves.keep(image_id)
        self._decided.append(Decided(job, facts, own=own))

    def _retry(self, content: str) -> None:
        """A row of that content was released or kept: look again at the files that wait for one."""
        queue = self._for_content.get(content)
        while queue:
            found = self._find(queue[0][0], content)
            if found is not None:
                self._decided.append(Decided(*queue.popleft(), found))
            elif self._moves.holds(content):
                return
            else:
                self._unfound(*queue.popleft())

    def _count(self, size: int) -> None:
        if size in self._unread:
            self._unread[size] -= 1
            if not self._unread[size]:
                self._settle([size])

    def _settle(self, sizes: list[int]) -> None:
        for size in sizes:
            waiting = self._for_size.pop(size, [])
            self._waiting -= len(waiting)
            for job, facts in waiting:
                self._stay(job, facts)
