"""Keeping `STORE/views.sql`, the views for the plain duckdb shell, in step with the store."""

from __future__ import annotations

from pathlib import Path

from colonnade.engine.durable import atomic_write
from colonnade.engine.errors import StoreError
from colonnade.engine.snapshots import open_snapshot
from colonnade.engine.views import views_sql

__all__ = ["refresh_views"]


def refresh_views(store: Path) -> bool:
    """Write `views.sql` if it is not what the live snapshot calls for; says whether it was written.

    The file is a convenience: where it cannot be written, what was just committed stands all the same.
    """
    path = store / "views.sql"
    try:
        text = views_sql(store, open_snapshot(store)).encode()
        if path.is_file() and path.stat().st_size == len(text) and path.read_bytes() == text:
            return False
        atomic_write(path, text)
    except (StoreError, OSError):
        return False
    return True
