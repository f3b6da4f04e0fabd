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

from colonnade.engine.decode import Cause, Version
from colonnade.engine.embed_commit import commit_batch
from colonnade.engine.embed_copies import Copies, selected, share_stored
from colonnade.engine.errors import ModelError
from colonnade.engine.images import one_line
from colonnade.engine.model_files import fingerprint, known_model
from colonnade.engine.pending import Pending, any_as_scanned, as_scanned, pending_images, within_reach
from colonnade.engine.scan_known import TRIED_AGAIN
from colonnade.engine.settings import Model, Settings, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.store import Store
from colonnade.engine.tables import read_table

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder
    from colonnade.engine.pipeline import EmbeddedBatch

__all__ = ["EmbedOutcome", "embed"]

COMMIT_IMAGES = 4096
COMMIT_SECONDS = 30.0
_File = tuple[int, Path, Version | None, str | None]
AGAIN = "; run `colonnade embed --retry` to try again"
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
    retry: bool = False,
    load: Callable[[str], Embedder] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
    on_failure: Callable[[str, str], None] | None = None,
    outcome: EmbedOutcome | None = None,
) -> EmbedOutcome:
    """Embed every image that has no vector of the store's model; loads the model only if one has to be decoded.

    An image of the same bytes as one that has a vector gets that one. Finished images are committed in the background
    every 30 s or 4,096 images, and at any interruption.

    Args:
        batch: images per forward pass.
        limit: decode at most so many; their copies come along, and files that are not there do not count.
        force: embed again what has a vector already or could not be decoded.
        retry: only the images that could not be decoded, for whatever reason.
        load: gives the model; by default `load_embedder`.
        progress: called with (done, total, failures).
        on_failure: called with the path of each file that cannot be decoded, and why.
        outcome: filled in as it goes, so that it is known what was done where this raises.

    Raises:
        ModelError: the model cannot be loaded.
    """
    snapshot, settings = store.snapshot(), store.settings
    outcome = EmbedOutcome() if outcome is None else outcome
    tell, narrate = progress or _ignore, on_conflict or _ignore
    known = known_model(settings)
    pending = _to_embed(snapshot, known, force, retry)
    if known is None and settings.active is not None and not within_reach(pending, settings).any():
        known = settings.active  # other vectors than those there are cannot be had now
        pending = _to_embed(snapshot, known, force, retry)
    if not len(pending):
        return outcome
    if not settings.spec:
        raise ModelError(
            f"model {settings.model_key}: its vectors were imported, so it cannot embed {len(pending)} image files; "
            "choose one that can with `colonnade model use ARCH/TAG`"
        )
    if known is not None and not force:
        pending, outcome.shared = share_stored(store, known, pending, narrate)
        if outcome.shared:
            tell(outcome.shared, outcome.shared + len(pending), 0)
        if not len(pending):
            return outcome
    if not any_as_scanned(settings, pending):
        outcome.left = len(pending)
        return outcome
    from colonnade.engine.embedder import load_embedder

    embedder = (load or load_embedder)(settings.spec)
    model = _model_of(embedder, settings)
    if model != settings.active:
        # Another model may have been chosen while this one was loading.
        update_settings(
            store.path, lambda current: current.with_model(model, activate=current.spec == settings.spec)
        )
        pending = _to_embed(store.snapshot(), model, force, retry)
        if not force:
            pending, shared = share_stored(store, model, pending, narrate)
            outcome.shared += shared
        if not len(pending):
            return outcome
    run = _Run(store, model, pending, force, outcome, tell, narrate, on_failure or _ignore)
    return run.run(embedder, batch, limit)


def _to_embed(snapshot: Snapshot, model: Model | None, force: bool, retry: bool) -> Pending:
    if not retry:
        return pending_images(snapshot, model.key if model else None, force=force)
    images = read_table("images", snapshot.files("images"), ["image_id", "state"])
    failed = images["image_id"].to_numpy()[images["state"].to_numpy() == "unreadable"]
    readable = pending_images(snapshot, None, force=True)
    return selected(readable, np.isin(readable.ids, failed))


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
        outcome: EmbedOutcome,
        progress: Callable[[int, int, int], None],
        on_conflict: Callable[[str], None],
        on_failure: Callable[[str, str], None],
    ) -> None:
        self.store, self.pending, self.outcome = store, pending, outcome
        self.progress, self.on_failure = progress, on_failure
        # Bytes may have been replaced unseen since; a digest costs a thirtieth of decoding and embedding.
        others = set(store.snapshot().partitions("embeddings")) - {model.key}
        self.hashed_before = force or bool(others)
        self.row_of = {int(image_id): row for row, image_id in enumerate(pending.ids)}
        hashes = dict(zip(pending.ids.tolist(), pending.hashes, strict=True))
        self.commit = partial(commit_batch, store, model, hashes, on_conflict)
        self.copies = Copies(hashes)
        self.aside: list[int] = []
        """Images whose own file is to blame, so that another copy is decoded in their place."""
        self.left: list[int] = []
        self.given = 0

    def run(self, embedder: Embedder, batch: int | None, limit: int | None) -> EmbedOutcome:
        from colonnade.engine.pipeline import embed_files

        started = time.monotonic()
        items, done = self.copies.first, self.outcome.shared
        total = done + len(items[:limit]) + self.copies.count(items[:limit])
        ready: list[tuple[np.ndarray, np.ndarray]] = []
        failed: list[tuple[int, str]] = []
        waiting, last = 0, time.monotonic()
        options = {} if batch is None else {"batch_size": batch}

        def take(ids: np.ndarray, vectors: np.ndarray) -> int:
            """Queue vectors, and those of their copies; returns how many."""
            ready.append(self.copies.with_copies(ids, vectors))
            self.outcome.shared += len(ready[-1][0]) - len(ids)
            return len(ready[-1][0])

        with ThreadPoolExecutor(1, thread_name_prefix="commit") as writer:
            commit: Future[None] | None = None
            try:
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
                    items, self.aside = self.copies.stand_ins(self.aside), []
            finally:
                if commit is not None:
                    commit.result()
                self.commit(ready, failed)
                self.outcome.left = len(self.left)
                self.outcome.seconds = time.monotonic() - started
        return self.outcome

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
                alike += self.copies.take(image_id)
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
        return as_scanned(settings, self.pending, self.row_of[image_id])
