"""Embedding the images that have no vector yet, committing what is finished as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from colonnade.engine.decode import Cause, Version, version_of
from colonnade.engine.embed_commit import commit_batch
from colonnade.engine.embedding_rows import vectors_of_content
from colonnade.engine.errors import ModelError
from colonnade.engine.images import one_line
from colonnade.engine.model_files import fingerprint, known_model
from colonnade.engine.pending import Pending, image_path, pending_images, within_reach
from colonnade.engine.scan_known import TRIED_AGAIN
from colonnade.engine.settings import Model, Settings, update_settings
from colonnade.engine.store import Store

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder
    from colonnade.engine.pipeline import EmbeddedBatch

__all__ = ["EmbedOutcome", "embed"]

COMMIT_IMAGES = 4096
COMMIT_SECONDS = 30.0
_File = tuple[int, Path, Version | None, str | None]
AGAIN = "; run `colonnade embed --force` to try again"
"""In the error of an image on which the decoder failed for a reason that may pass. No sync tries it by itself."""


@dataclass(slots=True)
class EmbedOutcome:
    """What an `embed` did."""

    embedded: int = 0
    shared: int = 0
    """Copies of other images, which got their vector without being decoded."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """(path, reason) of the first thousand images that could not be read."""
    failed: int = 0
    left: int = 0
    """Images whose file is not there now or not as it was scanned; they stay to be embedded."""
    seconds: float = 0.0


def embed(
    store: Store,
    *,
    batch: int | None = None,
    limit: int | None = None,
    force: bool = False,
    load: Callable[[str], Embedder] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
    on_failure: Callable[[str, str], None] | None = None,
) -> EmbedOutcome:
    """Embed every image that has no vector of the store's model; loads the model only if there is one.

    Finished images are committed in the background every 30 s or 4,096 images, and at any interruption.

    Args:
        batch: images per forward pass.
        limit: decode at most so many; their copies come along, and files that are not there do not count.
        force: embed again what has a vector already or could not be decoded.
        load: gives the model; by default `load_embedder`.
        progress: called with (done, total, failures).
        on_failure: called with the path of each file that cannot be decoded, and why.

    Raises:
        ModelError: the model cannot be loaded.
    """
    snapshot, settings = store.snapshot(), store.settings
    known = known_model(settings)
    pending = pending_images(snapshot, known.key if known else None, force=force)
    if known is None and settings.active is not None and not within_reach(pending, settings).any():
        known = settings.active  # other vectors than those there are cannot be had now
        pending = pending_images(snapshot, known.key, force=force)
    if not len(pending):
        return EmbedOutcome()
    if not settings.spec:
        raise ModelError(
            f"model {settings.model_key}: its vectors were imported, so it cannot embed {len(pending)} image files; "
            "choose one that can with `colonnade model use ARCH/TAG`"
        )
    from colonnade.engine.embedder import load_embedder

    embedder = (load or load_embedder)(settings.spec)
    model = _model_of(embedder, settings)
    if model != settings.active:
        # Another model may have been chosen while this one was loading.
        update_settings(
            store.path, lambda current: current.with_model(model, activate=current.spec == settings.spec)
        )
        pending = pending_images(snapshot, model.key, force=force)
        if not len(pending):
            return EmbedOutcome()
    run = _Run(
        store, model, pending, force, progress or _ignore, on_conflict or _ignore, on_failure or _ignore
    )
    return run.run(embedder, batch, limit)


def _ignore(*_: object) -> None:
    return None


def _model_of(embedder: Embedder, settings: Settings) -> Model:
    """The model to store vectors under: its own key, or the key that imported vectors gave the same model."""
    active = settings.active
    if active is not None and active.key == active.spec == settings.spec:
        if active.dimension != embedder.dimension:
            raise ModelError(
                f"{active.spec}: gives vectors of {embedder.dimension} numbers, but those imported as {active.key} "
                f"have {active.dimension}; choose another model with `colonnade model use`"
            )
        return active
    known = settings.model(embedder.key)
    return Model(
        key=embedder.key,
        spec=settings.spec,
        dimension=embedder.dimension,
        logit_scale=embedder.logit_scale,
        logit_bias=embedder.logit_bias,
        context_length=embedder.context_length,
        files=fingerprint(settings.spec, known.files if known else None),
    )


class _Run:
    def __init__(
        self,
        store: Store,
        model: Model,
        pending: Pending,
        force: bool,
        progress: Callable[[int, int, int], None],
        on_conflict: Callable[[str], None],
        on_failure: Callable[[str, str], None],
    ) -> None:
        self.store, self.model, self.pending, self.force = store, model, pending, force
        self.progress, self.on_failure = progress, on_failure
        # Bytes may have been replaced unseen since; a digest costs a thirtieth of decoding and embedding.
        others = set(store.snapshot().partitions("embeddings")) - {model.key}
        self.hashed_before = force or bool(others)
        self.outcome = EmbedOutcome()
        self.row_of = {int(image_id): row for row, image_id in enumerate(pending.ids)}
        self.hashes = dict(zip(pending.ids.tolist(), pending.hashes, strict=True))
        self.commit = partial(commit_batch, store, model, self.hashes, on_conflict)
        self.copies: dict[int, list[int]] = {}
        """Of an image to be decoded: those with the same bytes, which share what comes of it."""
        self.aside: list[int] = []
        """Images whose own file is to blame, so that another copy is decoded in their place."""
        self.left: list[int] = []
        self.given = 0

    def run(self, embedder: Embedder, batch: int | None, limit: int | None) -> EmbedOutcome:
        from colonnade.engine.pipeline import embed_files

        started = time.monotonic()
        items, shared = self._reuse_stored(self._group())
        total = len(items[:limit]) + len(shared)
        total += sum(len(self.copies.get(image_id, ())) for image_id in [*items[:limit], *shared])
        ready: list[tuple[np.ndarray, np.ndarray]] = []
        failed: list[tuple[int, str]] = []
        waiting, last = 0, time.monotonic()
        done = 0
        options = {} if batch is None else {"batch_size": batch}

        def take(ids: np.ndarray, vectors: np.ndarray) -> int:
            """Queue vectors, and those of their copies; returns how many."""
            extra = [(copy, row) for row, i in enumerate(ids) for copy in self.copies.get(int(i), ())]
            self.outcome.shared += len(extra)
            if extra:
                ids = np.concatenate([ids, np.array([copy for copy, _ in extra], dtype=np.int64)])
                vectors = np.concatenate([vectors, vectors[[row for _, row in extra]]])
            ready.append((ids, vectors))
            return len(ids)

        with ThreadPoolExecutor(1, thread_name_prefix="commit") as writer:
            commit: Future[None] | None = None
            try:
                if shared:
                    self.outcome.shared += len(shared)
                    done += take(np.array(list(shared), dtype=np.int64), np.stack(list(shared.values())))
                    waiting += done
                while items:
                    with closing(embed_files(embedder, self._files(items, limit), **options)) as stream:
                        for finished in stream:
                            count = take(finished.ids, finished.vectors) if len(finished.ids) else 0
                            self.outcome.embedded += len(finished.ids)
                            bad = self._failures(finished)
                            failed += bad
                            done += count + len(bad)
                            waiting += count + len(bad)
                            self.progress(done, total, self.outcome.failed)
                            due = waiting >= COMMIT_IMAGES or time.monotonic() - last >= COMMIT_SECONDS
                            if due and (commit is None or commit.done()):
                                if commit is not None:
                                    commit.result()
                                commit = writer.submit(self.commit, ready, failed)
                                ready, failed, waiting, last = [], [], 0, time.monotonic()
                    items = self._stand_ins()
            finally:
                if commit is not None:
                    commit.result()
                self.commit(ready, failed)
                self.outcome.left = len(self.left)
                self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _group(self) -> list[int]:
        """One image of each content; the others are its copies."""
        first: dict[str, int] = {}
        for image_id, content in self.hashes.items():
            owner = first.setdefault(content or f"id {image_id}", image_id)
            if owner != image_id:
                self.copies.setdefault(owner, []).append(image_id)
        return list(first.values())

    def _stand_ins(self) -> list[int]:
        """The next copy of each image that was put aside."""
        found = []
        for image_id in self.aside:
            copies = self.copies.pop(image_id, [])
            if copies:
                found.append(copies[0])
                self.copies[copies[0]] = copies[1:]
        self.aside = []
        return found

    def _reuse_stored(self, ids: list[int]) -> tuple[list[int], dict[int, np.ndarray]]:
        """Those of `ids` to be decoded, and stored vectors of the same content for the others."""
        if self.force:
            return ids, {}
        wanted = {self.hashes[i]: i for i in ids if self.hashes[i]}
        shared = vectors_of_content(self.store.snapshot(), self.model, wanted)
        return [i for i in ids if i not in shared], shared

    def _files(self, ids: Sequence[int], limit: int | None) -> Iterator[_File]:
        """Those of `ids` whose file is as it was scanned; the others are put aside. Runs in another thread."""
        settings = self.store.settings
        for image_id in ids:
            if limit is not None and self.given >= limit:
                return
            path = self._path(settings, image_id)
            if path is None:
                self.aside.append(image_id)
                self.left.append(image_id)
            else:
                self.given += 1
                row = self.row_of[image_id]
                content = self.pending.hashes[row] if self.hashed_before else None
                yield image_id, path, self.pending.versions[row], content

    def _failures(self, finished: EmbeddedBatch) -> list[tuple[int, str]]:
        """The failures of a batch as they are to be stored, with those of its images' copies.

        A file that is gone, or is another by now, has not failed: that is for the next scan to judge.
        """
        settings, kept = self.store.settings, []
        for image_id, reason in finished.failures:
            cause: Cause | None = finished.causes.get(image_id)
            if cause is not None:
                hint = TRIED_AGAIN if cause == "file" else AGAIN
                reason = one_line(reason, 300 - len(hint)) + hint
            alike = [image_id]
            if cause == "changed" or self._path(settings, image_id) is None:
                cause, alike = "changed", []
                self.left.append(image_id)
            if cause in ("changed", "file"):
                self.aside.append(image_id)
            else:
                alike += self.copies.pop(image_id, [])
            for one in alike:
                if self._path(settings, one) is None:
                    self.left.append(one)
                    continue
                kept.append((one, reason))
                path = self.pending.paths[self.row_of[one]]
                self.on_failure(path, reason)
                if len(self.outcome.failures) < 1000:
                    self.outcome.failures.append((path, reason))
        self.outcome.failed += len(kept)
        return kept

    def _path(self, settings: Settings, image_id: int) -> Path | None:
        """Where an image's file is; None if it is not there, or not as it was scanned."""
        row, pending = self.row_of[image_id], self.pending
        path = image_path(settings, pending.roots[row], pending.paths[row], pending.path_bytes[row])
        if path is None:
            return None
        try:
            found = version_of(path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:  # it is there as far as can be told; opening it will tell what is wrong
            return path
        return path if pending.versions[row] in (None, found) else None
