"""Edits of the store's vocabulary file, written or shown as a diff, and taking over another vocabulary's attributes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.commands.setup import vocabulary_source
from colonnade.tui.console import StoreOption, emit, open_store, say

if TYPE_CHECKING:
    from colonnade.engine.store import Store

__all__ = ["DryRunOption", "apply_edit", "vocab_import"]

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the change as a diff; write nothing.")]


def vocab_import(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A vocabulary file, or one that ships.")],
    store: StoreOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Add the attributes of another vocabulary that this one does not have; exit 1 where some say otherwise here.

    The templates and default thresholds stay those of the store.

    Example: colonnade vocab import photography
    """
    from colonnade.engine.vocabulary import parse_vocabulary
    from colonnade.engine.vocabulary_edit import Imported, import_vocabulary

    other = parse_vocabulary(*vocabulary_source(file))
    results: list[Imported] = []

    def edit(source: bytes, name: str) -> bytes:
        results.append(import_vocabulary(source, other, name))
        return results[0].source

    opened = open_store(store)
    apply_edit(opened, edit, dry_run)
    merged = results[0]
    would = "would be " if dry_run else ""
    say(f"{len(merged.added):,} {would}added, {len(merged.identical):,} the same already")
    if merged.added and other.templates != opened.vocabulary().templates:
        say(f"{file} has other templates; the descriptions are used with those of the store")
    if merged.conflicts:
        say(f"{len(merged.conflicts):,} say something else here and were left: {', '.join(merged.conflicts)}")
        raise typer.Exit(1)


def apply_edit(store: Store, edit: Callable[[bytes, str], bytes], dry_run: bool) -> bool:
    """Edit the store's vocabulary file; False where only the diff was to be shown."""
    from colonnade.engine.vocabulary import read_source
    from colonnade.engine.vocabulary_edit import save_vocabulary

    path = store.vocabulary_path
    before = read_source(path)
    after = edit(before, str(path))
    if dry_run:
        _print_diff(before, after, str(path))
        return False
    save_vocabulary(path, before, after)
    return True


def _print_diff(before: bytes, after: bytes, name: str) -> None:
    from difflib import unified_diff

    old, new = (source.decode("utf-8").splitlines() for source in (before, after))
    for line in unified_diff(old, new, name, f"{name} as edited", n=2, lineterm=""):
        emit(line)
