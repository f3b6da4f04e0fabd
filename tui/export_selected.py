"""Writing what a query finds that names a selection: a process of its own, which is told the images on stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["export_selected", "main"]


def export_selected(store: Path, output: Path, request: Mapping[str, Any]) -> int:
    """Write the hits of an expression as `colonnade query --output` does; gives how many.

    Args:
        output: its ending says the format: csv, json, jsonl or parquet.
        request: `expression`, `sort` (None: by id), `selections` (name -> image ids).

    Raises:
        InputError: the expression or the sort order is wrong.
        StoreError: the store cannot be read, or the file not be written.
    """
    from colonnade.engine.query import run_query
    from colonnade.tui.results import Format, write_file
    from colonnade.tui.session import Session

    names = Session(store)._names()
    result = run_query(
        names.snapshot,
        request["expression"],
        names.codes,
        names.sets,
        sort=request["sort"],
        saved=names.saved,
        selections=request["selections"],
    )
    return write_file(result, Format(output.suffix.lower().removeprefix(".")), output)


def main(words: Sequence[str]) -> int:
    """`STORE OUTPUT`, and the request as JSON on stdin; 1 where it could not be done, with a line on stderr."""
    from colonnade.engine.errors import ColonnadeError
    from colonnade.tui.without_pandas import hide_pandas

    hide_pandas()
    try:
        export_selected(Path(words[0]), Path(words[1]), json.load(sys.stdin))
    except ColonnadeError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
