"""A store's images in a stock Textual DataTable, as one would write it: all rows are read and added when it starts.

python bench/tui_datatable.py STORE CODE CODE CODE
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
from textual.app import App, ComposeResult
from textual.widgets import DataTable, Footer, Header

__all__ = ["TableApp", "results_sql"]


def results_sql(store: Path, codes: Sequence[str]) -> str:
    """The rows of the app's results, as plain SQL over the store's Parquet files."""
    live = store.resolve() / "live"
    joins = [
        f"JOIN read_parquet('{live}/scores/attribute_code={code}/*.parquet') {code} ON {code}.image_id = i.image_id"
        for code in codes
    ]
    values = ", ".join(f"round({code}.confidence, 2) AS {code}" for code in codes)
    images = f"read_parquet('{live}/images/*.parquet') i"
    return f"SELECT i.path, {values} FROM {images} {' '.join(joins)} WHERE i.state = 'ok' ORDER BY i.image_id"


class TableApp(App[None]):
    """A header, the table, a footer."""

    def __init__(self, store: Path, codes: Sequence[str]) -> None:
        super().__init__()
        self._store, self._codes = store, codes

    def compose(self) -> ComposeResult:
        yield Header()
        yield DataTable(cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        rows = duckdb.execute(results_sql(self._store, self._codes)).fetchall()
        table = self.query_one(DataTable)
        table.add_columns("path", *self._codes)
        table.add_rows(rows)
        table.focus()


if __name__ == "__main__":
    TableApp(Path(sys.argv[1]), sys.argv[2:]).run()
