"""The library's front door: a store of images, their embeddings and their attributes.

>>> from colonnade.engine import Store
>>> store = Store("my-store")                       # doctest: +SKIP
>>> store.query("earth >= 0.8 and not diagram").pandas()   # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from colonnade.engine.errors import StoreError
from colonnade.engine.settings import Settings, new_root, read_settings
from colonnade.engine.snapshots import Snapshot, live_number, open_snapshot

if TYPE_CHECKING:
    from colonnade.engine.result import QueryResult
    from colonnade.engine.sync import Plan, SyncOutcome
    from colonnade.engine.vocabulary import Vocabulary

__all__ = ["Store"]


class Store:
    """A feature store on disk. Opening one reads its settings and writes nothing.

    Args:
        path: the store's folder.

    Raises:
        StoreError: there is no store, or one of another version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        read_settings(self.path)
        live_number(self.path)

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r})"

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        roots: Sequence[str | os.PathLike[str]] = (),
        vocabulary: bytes = b"base_attributes: []\n",
        model: str = "ViT-B-32/openai",
    ) -> Store:
        """Make a store with an empty first snapshot.

        Args:
            path: a folder that is empty or does not exist.
            roots: folders of images.
            vocabulary: the text of its vocabulary file.
            model: how to load the model, see `load_embedder`.

        Raises:
            InputError: a root is not a folder, or the vocabulary is wrong.
            StoreError: there is a store already, or the disk cannot hold one.
        """
        from colonnade.engine.create import create_store
        from colonnade.engine.views_file import refresh_views
        from colonnade.engine.vocabulary import parse_vocabulary

        parse_vocabulary(vocabulary, "vocabulary.yaml")
        settings = Settings(spec=model)
        for root in roots:
            settings = _with_root(settings, Path(root))
        create_store(Path(path).absolute(), settings=settings, vocabulary=vocabulary)
        refresh_views(Path(path).absolute())
        return cls(path)

    @property
    def settings(self) -> Settings:
        """What `colonnade.toml` says now."""
        return read_settings(self.path)

    @property
    def vocabulary_path(self) -> Path:
        return self.path / "vocabulary.yaml"

    def snapshot(self, at: int | None = None) -> Snapshot:
        """The live snapshot, or number `at`. Resolve one per piece of work."""
        return open_snapshot(self.path, at)

    def vocabulary(self, snapshot: Snapshot | None = None) -> Vocabulary:
        """The user's vocabulary as it is now, or as it was committed with a snapshot.

        Raises:
            VocabularyError: the file is wrong; every fault is named.
            StoreError: the file is missing.
        """
        from colonnade.engine.vocabulary import load_vocabulary, parse_vocabulary

        if snapshot is not None:
            return parse_vocabulary(snapshot.vocabulary_bytes(), f"{snapshot.path}/vocabulary.yaml")
        if not self.vocabulary_path.exists():
            raise StoreError(
                f"{self.vocabulary_path}: missing; restore it, or copy it from {self.path}/live/"
            )
        return load_vocabulary(self.vocabulary_path)

    def query(
        self,
        expression: str = "true",
        *,
        columns: Sequence[str] | None = None,
        sort: str | None = None,
        limit: int | None = None,
        at: int | None = None,
    ) -> QueryResult:
        """The images that match an expression; `.arrow()`, `.polars()`, `.pandas()`, `.count`, or iterate.

        Args:
            expression: such as `earth >= 0.8 and moon? and not diagram`, see docs/query.md.
            columns: image columns, codes (their confidence), `code.status`, `code.logit`.
            sort: a code or an image column; `-` before it turns the order around.
            at: a snapshot's number.

        Raises:
            ExpressionError: the expression is wrong; it says where.
        """
        from colonnade.engine.queries_file import read_queries
        from colonnade.engine.query import run_query

        snapshot = self.snapshot(at)
        codes = dict.fromkeys((*self.vocabulary().codes, *snapshot.partitions("scores")))
        saved = read_queries(self.path)
        return run_query(snapshot, expression, codes, columns=columns, sort=sort, limit=limit, saved=saved)

    def sql(self, statement: str, *, at: int | None = None) -> QueryResult:
        """Read-only DuckDB SQL over the views `images`, `scores`, `wide` and so on, confined to the store.

        Raises:
            InputError: not one reading statement, or DuckDB refused it.
        """
        from colonnade.engine.console import run_sql

        snapshot = self.snapshot(at)
        known = self.vocabulary().codes if "wide" in statement.lower() else ()
        return run_sql(snapshot, statement, [*dict.fromkeys((*known, *snapshot.partitions("scores")))])

    def plan(self) -> Plan:
        """What `sync` would do."""
        from colonnade.engine.sync import make_plan

        return make_plan(self)

    def sync(self, *, batch: int | None = None, device: str | None = None) -> SyncOutcome:
        """Scan, embed, tag and derive: only what is stale.

        Raises:
            ModelError: the model is needed and cannot be loaded.
        """
        from colonnade.engine.sync import make_plan, run_plan

        return run_plan(self, make_plan(self), batch=batch, device=device)


def _with_root(settings: Settings, path: Path) -> Settings:
    from dataclasses import replace

    return replace(settings, roots=(*settings.roots, new_root(settings, path)))
