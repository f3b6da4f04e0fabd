"""Embedding the images that have no vector yet, committing what is finished as it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from colonnade.engine.columns import SHARD_BITS
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError, InputError, ModelError
from colonnade.engine.images import file_path
from colonnade.engine.settings import Model, Settings, update_settings
from colonnade.engine.snapshots import Snapshot
from colonnade.engine.stage import Stage, conflict_retries, open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files, read_table, vectors_of

if TYPE_CHECKING:
    from colonnade.engine.embedder import Embedder

__all__ = ["EmbedOutcome", "Pending", "embed", "image_path", "pending_images"]

COMMIT_IMAGES = 4096
COMMIT_SECONDS = 30.0


@dataclass(frozen=True)
class Pending:
    """The images to embed: columns of equal length, in the order of their ids."""

    ids: np.ndarray
    roots: list[str]
    paths: list[str]
    path_bytes: list[bytes | None]
    hashes: list[str]

    def __len__(self) -> int:
        return len(self.ids)


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
    """Images whose file or root folder is not there now; they stay to be embedded."""
    seconds: float = 0.0


def pending_images(snapshot: Snapshot, model_key: str | None, *, force: bool = False) -> Pending:
    """The readable files without an embedding of the model (all, for `force` or without a model)."""
    columns = ["image_id", "root", "path", "path_bytes", "content_hash", "source", "state"]
    data = read_table("images", snapshot.files("images"), columns)
    wanted = np.asarray(data["state"].to_numpy() == "ok") & np.asarray(data["source"].to_numpy() == "file")
    ids = data["image_id"].to_numpy()
    if model_key is not None and not force:
        files = snapshot.files("embeddings", model_key)
        have = read_files(files, ["image_id"])["image_id"].to_numpy() if files else np.empty(0, np.int64)
        wanted &= ~np.isin(ids, have, assume_unique=True)
    data = data.filter(pa.array(wanted))
    return Pending(
        data["image_id"].to_numpy(),
        data["root"].to_pylist(),
        data["path"].to_pylist(),
        data["path_bytes"].to_pylist(),
        data["content_hash"].to_pylist(),
    )


def image_path(settings: Settings, root: str | None, path: str, path_bytes: bytes | None) -> Path | None:
    """Where an image's file is; None if its root is not among the store's roots, or its path leaves the root."""
    folder = settings.root(root) if root is not None else None
    if folder is None:
        return None
    try:
        return file_path(folder.path, path, path_bytes)
    except InputError:
        return None


def embed(
    store: Store,
    *,
    batch: int | None = None,
    limit: int | None = None,
    force: bool = False,
    load: Callable[[str], Embedder] | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    on_conflict: Callable[[str], None] | None = None,
) -> EmbedOutcome:
    """Embed every image that has no vector of the store's model; loads the model only if there is one.

    Finished images are committed in the background every 30 s or 4,096 images, and at any interruption.

    Args:
        batch: images per forward pass.
        limit: embed at most so many.
        force: embed again what has a vector already.
        load: gives the model; by default `load_embedder`.
        progress: called with (done, total, failures).

    Raises:
        ModelError: the model cannot be loaded.
    """
    snapshot, settings = store.snapshot(), store.settings
    known = settings.active if settings.active and settings.active.spec == settings.spec else None
    pending = pending_images(snapshot, known.key if known else None, force=force)
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
        update_settings(store.path, lambda current: current.with_model(model, activate=True))
        pending = pending_images(snapshot, model.key, force=force)
    run = _Run(store, model, pending, force, progress or (lambda *_: None), on_conflict or (lambda _: None))
    return run.run(embedder, batch, limit)


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
    return Model(
        key=embedder.key,
        spec=settings.spec,
        dimension=embedder.dimension,
        logit_scale=embedder.logit_scale,
        logit_bias=embedder.logit_bias,
        context_length=embedder.context_length,
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
    ) -> None:
        self.store, self.model, self.pending, self.force = store, model, pending, force
        self.progress, self.on_conflict = progress, on_conflict
        self.outcome = EmbedOutcome()
        self.row_of = {int(image_id): row for row, image_id in enumerate(pending.ids)}

    def run(self, embedder: Embedder, batch: int | None, limit: int | None) -> EmbedOutcome:
        from colonnade.engine.pipeline import embed_files

        started = time.monotonic()
        representatives, copies = self._group(limit)
        items, shared = self._reuse_stored(representatives)
        total = len(items) + len(shared) + sum(len(ids) for ids in copies.values())
        ready: list[tuple[np.ndarray, np.ndarray]] = []
        failed: list[tuple[int, str]] = []
        waiting, last = 0, time.monotonic()
        done = 0

        def take(ids: np.ndarray, vectors: np.ndarray) -> int:
            """Queue vectors, and those of their copies; returns how many."""
            extra = [(copy, row) for row, i in enumerate(ids) for copy in copies.get(int(i), ())]
            self.outcome.shared += len(extra)
            if extra:
                ids = np.concatenate([ids, np.array([copy for copy, _ in extra], dtype=np.int64)])
                vectors = np.concatenate([vectors, vectors[[row for _, row in extra]]])
            ready.append((ids, vectors))
            return len(ids)

        with ExitStack() as files, ThreadPoolExecutor(1, thread_name_prefix="commit") as writer:
            commit: Future[None] | None = None
            try:
                if shared:
                    self.outcome.shared += len(shared)
                    done += take(np.array(list(shared), dtype=np.int64), np.stack(list(shared.values())))
                    waiting += done
                options = {} if batch is None else {"batch_size": batch}
                stream = files.enter_context(closing(embed_files(embedder, self._paths(items), **options)))
                for finished in stream:
                    count = take(finished.ids, finished.vectors) if len(finished.ids) else 0
                    self.outcome.embedded += len(finished.ids)
                    failed += finished.failures
                    self.outcome.failed += len(finished.failures)
                    done += count + len(finished.failures)
                    waiting += count + len(finished.failures)
                    self.progress(done, total, self.outcome.failed)
                    due = waiting >= COMMIT_IMAGES or time.monotonic() - last >= COMMIT_SECONDS
                    if due and (commit is None or commit.done()):
                        if commit is not None:
                            commit.result()
                        commit = writer.submit(self._commit, ready, failed)
                        ready, failed, waiting, last = [], [], 0, time.monotonic()
            finally:
                files.close()
                if commit is not None:
                    commit.result()
                self._commit(ready, failed)
                self.outcome.seconds = time.monotonic() - started
        return self.outcome

    def _group(self, limit: int | None) -> tuple[list[int], dict[int, list[int]]]:
        """One image of each content, and its copies, which share its vector."""
        first: dict[str, int] = {}
        copies: dict[int, list[int]] = {}
        for image_id, content in zip(self.pending.ids[:limit].tolist(), self.pending.hashes, strict=False):
            owner = first.setdefault(content or f"id {image_id}", image_id)
            if owner != image_id:
                copies.setdefault(owner, []).append(image_id)
        return list(first.values()), copies

    def _reuse_stored(self, ids: list[int]) -> tuple[list[int], dict[int, np.ndarray]]:
        """Those of `ids` to be decoded, and stored vectors of the same content for the others."""
        snapshot = self.store.snapshot()
        files = snapshot.files("embeddings", self.model.key)
        if self.force or not files:
            return ids, {}
        wanted = {self.pending.hashes[self.row_of[i]]: i for i in ids if self.pending.hashes[self.row_of[i]]}
        images = read_table("images", snapshot.files("images"), ["image_id", "content_hash"])
        embedded = read_files(files, ["image_id"])["image_id"].to_numpy()
        stored = images.filter(pa.array(np.isin(images["image_id"].to_numpy(), embedded)))
        twins = {
            twin: wanted[content]
            for twin, content in zip(
                stored["image_id"].to_pylist(), stored["content_hash"].to_pylist(), strict=True
            )
            if content in wanted
        }
        if not twins:
            return ids, {}
        shared: dict[int, np.ndarray] = {}
        for shard in {twin >> SHARD_BITS for twin in twins}:
            data = read_files(snapshot.cell("embeddings", self.model.key, shard))
            own = data["image_id"].to_numpy()
            vectors = vectors_of(data["embedding"])
            for twin in (t for t in twins if t >> SHARD_BITS == shard):
                shared[twins[twin]] = vectors[np.searchsorted(own, twin)].copy()
        return [i for i in ids if i not in shared], shared

    def _paths(self, ids: Sequence[int]) -> Iterator[tuple[int, Path]]:
        settings = self.store.settings
        for image_id in ids:
            path = self._path(settings, image_id)
            if path is None:
                self.outcome.left += 1
            else:
                yield image_id, path

    def _path(self, settings: Settings, image_id: int) -> Path | None:
        row = self.row_of[image_id]
        return image_path(
            settings, self.pending.roots[row], self.pending.paths[row], self.pending.path_bytes[row]
        )

    def _commit(self, ready: list[tuple[np.ndarray, np.ndarray]], failed: list[tuple[int, str]]) -> None:
        failed = self._unreadable(failed)
        if not ready and not failed:
            return
        ids = np.concatenate([ids for ids, _ in ready]) if ready else np.empty(0, np.int64)
        vectors = (
            np.concatenate([vectors for _, vectors in ready])
            if ready
            else np.empty((0, self.model.dimension), np.float32)
        )
        for _ in conflict_retries():
            try:
                with open_stage(self.store.path, command="embed") as stage:
                    self._stage_rows(stage, self.store.snapshot(), ids, vectors, failed)
                    stage.commit()
                return
            except ConflictError as error:
                self.on_conflict(f"{error}; changed meanwhile, retrying")

    def _unreadable(self, failed: list[tuple[int, str]]) -> list[tuple[int, str]]:
        """Failures of files that are there; a file that is gone is for the next scan to judge."""
        settings, kept = self.store.settings, []
        for image_id, reason in failed:
            path = self._path(settings, image_id)
            if path is None or not path.exists():
                self.outcome.failed -= 1
                self.outcome.left += 1
                continue
            kept.append((image_id, reason))
            if len(self.outcome.failures) < 1000:
                self.outcome.failures.append((self.pending.paths[self.row_of[image_id]], reason))
        return kept

    def _stage_rows(
        self,
        stage: Stage,
        snapshot: Snapshot,
        ids: np.ndarray,
        vectors: np.ndarray,
        failed: list[tuple[int, str]],
    ) -> None:
        bad = dict(failed)
        touched = np.concatenate([ids, np.array(list(bad), dtype=np.int64)])
        for shard in np.unique(touched >> SHARD_BITS).tolist():
            images = snapshot.cell("images", None, shard)
            rows = read_table("images", images)
            current = dict(zip(rows["image_id"].to_pylist(), rows["content_hash"].to_pylist(), strict=True))
            stage.require("images", None, shard, read=images)
            mine = np.flatnonzero((ids >> SHARD_BITS) == shard)
            mine = mine[
                [current.get(i, -1) == self.pending.hashes[self.row_of[i]] for i in ids[mine].tolist()]
            ]
            if len(mine):
                add_vectors(stage, snapshot, self.model, shard, ids[mine], vectors[mine])
            reasons = {i: bad[i] for i in bad if i >> SHARD_BITS == shard and i in current}
            if reasons:
                stage.replace("images", None, shard, _with_errors(rows, reasons), read=images)


def _with_errors(rows: pa.Table, reasons: dict[int, str]) -> pa.Table:
    ids = rows["image_id"].to_pylist()
    state = [
        ("unreadable" if i in reasons else old) for i, old in zip(ids, rows["state"].to_pylist(), strict=True)
    ]
    error = [reasons.get(i, old) for i, old in zip(ids, rows["error"].to_pylist(), strict=True)]
    rows = rows.set_column(rows.schema.get_field_index("state"), "state", pa.array(state, pa.string()))
    return rows.set_column(rows.schema.get_field_index("error"), "error", pa.array(error, pa.string()))
