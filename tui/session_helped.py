"""What the session has its helper processes do: small writes, plans, nearest images, trying words."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.tui.session_base import SessionBase
from colonnade.tui.session_model import SupersededError

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord
    from colonnade.tui.helper_client import HelperClient, Progress
    from colonnade.tui.job_start import Started
    from colonnade.tui.session_model import TryResult
    from colonnade.tui.session_ranked import Ranked

__all__ = ["Helped"]

_WRITE_S = 120.0
_MODEL_S = 600.0
_LIMIT = 1000


class Helped(SessionBase):
    """Work for other processes. A helper that dies is a HelperError; the next call starts another.

    `helper_idle_s` is how long one waits for the next call before it ends; set it before the first call.
    """

    helper_idle_s: float = 900.0

    def helper(self, name: str) -> HelperClient:
        """The helper `writer` (small writes, plans) or `model` (embeddings and the model)."""
        from colonnade.tui.helper_client import HelperClient

        with self._lock:
            if self._closed:
                raise SupersededError("the session was closed")
            if name not in self._helpers:
                self._helpers[name] = HelperClient(self.path, name, idle_s=self.helper_idle_s)
            return self._helpers[name]

    def close(self) -> None:
        """End what runs for this session. Jobs go on."""
        with self._lock:
            helpers, self._helpers, self._closed = list(self._helpers.values()), {}, True
        for helper in helpers:
            helper.close()
        super().close()

    def _write(self, op: str, **args: Any) -> Any:
        return self.helper("writer").call(op, timeout=_WRITE_S, **args)

    # Making and filling a store

    def create(self, roots: Sequence[Path | str], vocabulary: str, model: str) -> None:
        """Make the store that this session is of.

        Args:
            vocabulary: one that ships (`space`, `photography`, `demo`), or a file.
            model: `demo`, `ARCH/TAG` and so on, see `colonnade model use --help`.
        """
        self._write("create_store", roots=[str(root) for root in roots], vocabulary=vocabulary, model=model)

    def add_root(self, folder: Path | str) -> str:
        """Make a folder of images a root of the store; gives its name."""
        return str(self._write("add_root", folder=str(folder))["name"])

    def use_model(self, name: str) -> str:
        """Make another model the active one; gives its key, or how it will be loaded."""
        return str(self._write("use_model", name=name))

    def save_set(self, name: str, ids: Iterable[int], *, replace: bool = True) -> int:
        """Store images under a name, for `in_set(name)`; gives how many.

        Raises:
            HelperError: kind `input`: the name cannot be used, or is taken and `replace` is False.
        """
        return int(
            self._write("save_set", name=name, ids=[int(image_id) for image_id in ids], replace=replace)
        )

    def remove_set(self, name: str) -> None:
        """Remove a stored set."""
        self._write("remove_set", name=name)

    def restore(self, number: int) -> int:
        """Make a new snapshot that equals an older one (undo); gives its number."""
        return int(self._write("restore", number=number))

    # What is stale, and jobs

    def plan(self, *, scan: bool = True) -> dict[str, Any]:
        """What a sync would do: `lines` for people, `empty`, and the facts of `colonnade plan --json`.

        Args:
            scan: look at the image folders, too, which takes as long as listing them.
        """
        found: dict[str, Any] = self.helper("writer").call("plan", timeout=_MODEL_S, scan=scan)
        return found

    def refresh_states(self) -> bool:
        """Have the helper find out which attributes are stale, for `attributes`; whether any state changed.

        Raises:
            HelperError: the vocabulary is wrong, or the store damaged.
        """
        mark = self._now().mark
        found: dict[str, str] = self._write("states")
        with self._lock:
            before = self._states
            self._states = (mark, found)
        return before is None or before[1] != found

    def explain(self, image_id: int, code: str | None = None) -> dict[str, Any]:
        """Why scores of an image are what they are: `lines` for people, and facts per attribute."""
        found: dict[str, Any] = self._write("explain", image_id=image_id, code=code)
        return found

    def jobs(self) -> tuple[JobRecord, ...]:
        """The jobs that the store remembers, newest first."""
        from colonnade.engine.jobs import list_jobs

        return tuple(list_jobs(self.path))

    def job_log(self, job: str) -> str:
        """The log of a job, its last MiB."""
        from colonnade.engine.jobs import read_log

        return read_log(self.path, job)

    def job_printed(self, job: JobRecord) -> list[str]:
        """What a job that an app started has printed; nothing for others."""
        from colonnade.tui.job_start import printed

        return printed(self.path, job)

    def start_job(self, words: Sequence[str], *, wait_s: float = 3.0) -> Started:
        """Start a command (`("tag", "earth")`) as a process that outlives the app.

        Raises:
            InputError: the same is running already; it says who holds it.
            StoreError: it ended at once with an error.
        """
        from colonnade.tui.job_start import start_job

        return start_job(self.path, words, wait_s=wait_s)

    def stop_job(self, job: str) -> bool:
        """Ask a running job to stop and keep what it finished; False if it was not running."""
        from colonnade.engine.jobs import stop_job

        return stop_job(self.path, job)

    # Nearest images

    def warm_model(self, progress: Progress | None = None) -> str:
        """Load the active model in the helper, so that words are encoded at once; gives its key."""
        return str(self.helper("model").call("load_model", timeout=_MODEL_S, progress=progress))

    def search_text(self, text: str, *, limit: int = _LIMIT, progress: Progress | None = None) -> Ranked:
        """The images nearest to some words, best first; of searches that wait, the newest is answered.

        Raises:
            HelperError: kind `model`: the words have no vector and the model cannot be loaded; `superseded`.
        """
        return self._ranked(text, "search_text", progress, text=text, limit=limit)

    def similar(self, image_id: int, *, limit: int = _LIMIT, progress: Progress | None = None) -> Ranked:
        """The images that look most like one of the store, best first, without itself."""
        shown = f"similar to image {image_id}"
        return self._ranked(shown, "similar", progress, image_id=image_id, limit=limit)

    def similar_to_file(self, file: Path, *, limit: int = _LIMIT, progress: Progress | None = None) -> Ranked:
        """The images that look most like any image file, best first."""
        return self._ranked(f"similar to {file}", "similar_to_file", progress, file=str(file), limit=limit)

    def try_wording(
        self,
        code: str | None = None,
        *,
        description: str | None = None,
        prompts: Sequence[str] | None = None,
        accepted: float | None = None,
        tentative: float | None = None,
        limit: int = 24,
        group: str = "try",
        progress: Progress | None = None,
    ) -> TryResult:
        """What a wording would do before it is saved; of tries that wait in a `group`, the newest is answered.

        Args:
            code: the saved attribute that it is compared with; None for a new one.
            description: goes through the vocabulary's templates, unless there are `prompts`.
            accepted: thresholds to try; by default those of the attribute.
            limit: the most images in each list.
            group: another for the second of two wordings side by side.

        Raises:
            HelperError: kind `model`: it cannot be encoded; `superseded`; `input`: nothing to try.
        """
        from colonnade.tui.session_tries import tried

        started = time.perf_counter()
        found = self.helper("model").call(
            "try_wording",
            timeout=_MODEL_S,
            progress=progress,
            group=group,
            code=code,
            description=description,
            prompts=None if prompts is None else list(prompts),
            accepted=accepted,
            tentative=tentative,
            limit=limit,
        )
        snapshot = self._now().snapshot
        with self._reading() as cursor:
            return tried(self._columns, cursor, snapshot, found, time.perf_counter() - started)

    def _ranked(self, shown: str, op: str, progress: Progress | None, **args: Any) -> Ranked:
        from colonnade.tui.session_ranked import rank

        started = time.perf_counter()
        found = self.helper("model").call(op, timeout=_MODEL_S, progress=progress, group="search", **args)
        snapshot = self._now().snapshot
        with self._reading() as cursor:
            return rank(self._columns, cursor, snapshot, found, shown, time.perf_counter() - started)
