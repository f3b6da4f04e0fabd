"""Keeping `STORE/views.sql`, the views for the plain duckdb shell, in step with the store."""

from __future__ import annotations

from pathlib import Path

from colonnade.engine.durable import atomic_write, store_errors
from colonnade.engine.errors import StoreError
from colonnade.engine.snapshots import open_snapshot
from colonnade.engine.views import views_sql

__all__ = ["refresh_views"]


def refresh_views(store: Path) -> bool:
    """Write `views.sql` if it is not what the live snapshot calls for; says whether it was written.

    Raises:
        StoreError: the disk refused.
    """
    path = store / "views.sql"
    try:
        text = views_sql(store, open_snapshot(store)).encode()
    except StoreError:
        return False
    with store_errors(path):
        if path.is_file() and path.read_bytes() == text:
            return False
        atomic_write(path, text)
    return True
