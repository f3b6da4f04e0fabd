"""Work on blocks of arrays by a few threads. NumPy and pyarrow let go of the interpreter while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["in_order", "one_behind", "one_blas_thread", "workers"]

_MOST = 8
_BEHIND = 4
T = TypeVar("T")
R = TypeVar("R")


def workers() -> int:
    """How many threads to use: as many as there are cores for this process, up to 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(_MOST, cores))


def in_order(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`work` of each item, in the order of the items; a few are under way at a time, and no more are fetched."""
    count = workers()
    with ThreadPoolExecutor(count) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_behind(work: Callable[..., None]) -> Iterator[Callable[..., None]]:
    """Calls of `work` made in another thread, one after the other, while the caller goes on; a few wait at most.

    All are done when the block ends. What one raises is raised by a later call, or by the end; the few that wait behind
    it may be made all the same.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: deque[Future[None]] = deque()

        def call(*arguments: object) -> None:
            waiting.append(pool.submit(work, *arguments))
            if len(waiting) > _BEHIND:
                waiting.popleft().result()

        try:
            yield call
            while waiting:
                waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep each matrix product in the thread that asked for it: several such threads would wait for one another, and
    the last bits of a product would depend on the number of cores."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield
