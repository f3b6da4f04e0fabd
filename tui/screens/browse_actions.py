"""What Browse does with what was found: mark, keep, save, export, search by words or by a picture, tag."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from colonnade.tui.keys import action
from colonnade.tui.screens.base import superseded
from colonnade.tui.screens.browse_editing import EditScreen

if TYPE_CHECKING:
    from colonnade.tui.session_hits import Hits
    from colonnade.tui.session_ranked import Ranked
    from colonnade.tui.session_rules import RuleDraft

__all__ = ["BrowseActions", "write_ranked"]

_EXPORTS = (".csv", ".jsonl", ".json", ".parquet")
_EXPORT_SECONDS = 3600


class BrowseActions(EditScreen):
    """Actions on the results; each says what it did in the status line."""

    BINDINGS: ClassVar = [
        action("browse.mark", "m", "mark", "mark the image, or take its mark away"),
        action("browse.marks", "M", "save_marks", "save the marked images as a set"),
        action("browse.unmark", "U", "unmark", "take all marks away"),
        action("browse.export", "e", "export", "export what is shown to a file"),
        action("browse.save", "w", "save", "save the query: as a named one, or as a derived attribute"),
        action("browse.similar", "s", "similar", "images that look like this one"),
        action("browse.words", "slash", "words", "search by free words"),
        action("browse.tag", "t", "tag", "score the attribute under the cursor, as a job"),
    ]

    # marks and sets

    def is_without_image(self) -> bool:
        """Whether no image is under the cursor, which is said."""
        if self.table.values is None:
            self.say("no image is under the cursor")
        return self.table.values is None

    def action_mark(self) -> None:
        if self.is_without_image() or self.table.values is None:
            return
        image = self.table.values[0]
        self.session.marks ^= {image}
        row = self.table.cursor
        self.table.redraw(row)
        if self.table.has_focus:
            self.table.go_to(row + 1)
        self.say(f"{len(self.session.marks):,} marked; {{browse.marks:M}} saves them as a set")

    def action_unmark(self) -> None:
        count = len(self.session.marks)
        self.session.marks.clear()
        self.table.redraw()
        self.say(f"{count:,} marks taken away")

    def action_save_marks(self) -> None:
        marks = sorted(self.session.marks)
        if not marks:
            self.say("no image is marked; {browse.mark:m} marks one")
            return
        if self.is_read_only():
            return

        def save(name: str) -> None:
            session = self.session
            self.background(
                "save",
                lambda: session.save_set(name, marks),
                lambda count: self.say(f"{count:,} images saved; ask for them with in_set({name})"),
            )

        self.ask(f"A name for the set of {len(marks):,} images (a set of that name is replaced)", save)

    # the query

    def action_save(self) -> None:
        text, session = self.session.query, self.session
        if not text:
            self.say("the query is empty; there is nothing to save")
            return
        if (reason := session.only_here(text)) is not None:
            self.warn(reason)
            return
        if self.is_read_only():
            return
        self.background("draft", lambda: session.draft_rule(text), lambda draft: self._ask_how(text, draft))

    def _ask_how(self, text: str, draft: RuleDraft) -> None:
        if draft.rule is None:
            derived = f"a rule cannot say it: {'; '.join(draft.problems)}"
        else:
            from colonnade.tui.screens.vocabulary_rows import rule_words

            derived = "  ".join((f"a rule: {rule_words(draft.rule)}", *draft.notes))
        ways = (("query", "a named query: @name in any expression"), ("derived", derived))

        def chosen(way: str) -> None:
            if way == "query":
                self.ask("A name for the query", lambda name: self._save_query(name.removeprefix("@"), text))
            elif way != "derived":
                self.warn("choose one of the two: query or derived")
            elif draft.rule is None:
                self.warn(derived)
            else:
                self.ask("A code for the derived attribute", lambda code: self._save_derived(code, text))

        self.ask(
            "Save the query as",
            chosen,
            choices=lambda typed: [way for way in ways if typed.lower() in " ".join(way).lower()],
        )

    def _save_query(self, name: str, text: str) -> None:
        session = self.session
        self.background(
            "save",
            lambda: session.save_query(name, text),
            lambda _: self.say(f"saved; write it as @{name}"),
        )

    def _save_derived(self, code: str, text: str) -> None:
        session = self.session

        def then(_: Any) -> None:
            self.say(f"{code}: in the vocabulary now; scoring it")
            self._start(("derive",))

        self.background("save", lambda: session.save_derived(code, text), then)

    # nearest images

    def action_similar(self) -> None:
        if self.is_without_image() or self.table.values is None:
            return
        session, image = self.session, self.table.values[0]
        self.say("looking for similar images")
        self._rank(lambda: session.similar(image))

    def action_words(self) -> None:
        session = self.session

        def progress(what: str, done: int, total: int) -> None:
            self.post_message(self.Finished(partial(self.say, f"{what}; this takes a while once")))

        def search(words: str) -> None:
            if words.strip():
                self.say("searching")
                self._rank(lambda: session.search_text(words.strip(), progress=progress))

        self.ask("Words for what the pictures show (a rocket with fire below it)", search)

    def _rank(self, work: Any) -> None:
        def then(ranked: Ranked) -> None:
            self.show_ranked(ranked)

        self.background(
            "rank", work, then, failed=lambda error: None if superseded(error) else self.fail(error)
        )

    def go_back(self) -> bool:
        if self.ranked is not None:
            self.status.clear()
            self.find(keep=True)
            return True
        return False

    # jobs

    def action_tag(self) -> None:
        code = self.attribute_list.code
        if code is None or self.is_read_only():
            return
        derived = {row.code for row in self.attributes if row.derived}
        self._start(("derive", code) if code in derived else ("tag", code, "--derive"))

    def _start(self, words: tuple[str, ...]) -> None:
        session = self.session

        def then(started: Any) -> None:
            said = " ".join(words)
            self.say(
                f"{said}: {started.message or 'done'}"
                if started.ended
                else f"{said}: started; {{app.jobs:7}} shows jobs"
            )

        self.background("job", lambda: session.start_job(words), then)

    # export

    def action_export(self) -> None:
        shown = self.ranked or self.hits
        if shown is None:
            return

        def to_file(name: str) -> None:
            path = Path(name.strip()).expanduser()
            if path.suffix.lower() not in _EXPORTS:
                self.warn(f"{path}: name a file that ends in {', '.join(_EXPORTS)}")
            elif path.exists():
                self.ask(
                    f"{path} is there; type yes to replace it",
                    lambda answer: self._export(path) if answer.strip().lower() == "yes" else None,
                )
            else:
                self._export(path)

        what = "nearest images" if self.ranked else "images"
        self.ask(
            f"Write {shown.count:,} {what} to which file ({', '.join(_EXPORTS)})?",
            to_file,
            value=str(Path.cwd() / f"{self.session.name}.csv"),
        )

    def _export(self, path: Path) -> None:
        session, ranked, hits = self.session, self.ranked, self.hits
        self.say(f"writing {path}")
        if ranked is not None:
            if path.suffix.lower() != ".csv":
                self.warn("what a search by words or by a picture finds is written as .csv")
                return
            self.background(
                "export",
                lambda: write_ranked(path, ranked.columns, ranked.rows),
                lambda count: self.say(f"{count:,} rows written to {path}"),
            )
        elif hits is not None:
            self.background(
                "export",
                lambda: _export_hits(session.path, hits, path),
                lambda _: self.say(f"{hits.count:,} rows written to {path}"),
            )


def write_ranked(path: Path, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> int:
    """Write rows as CSV to a file, which appears when it is complete; gives their number."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in rows:
                writer.writerow(row)
                count += 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _export_hits(store: Path, hits: Hits, path: Path) -> None:
    """Have another process write it, which may use what this one may not load.

    Raises:
        InputError: it could not be written.
    """
    from colonnade.engine.errors import InputError
    from colonnade.tui.own_process import own_command, own_environment

    given = b""
    if hits.selections:
        chosen = {name: list(ids) for name, ids in hits.selections.items()}
        request = {"expression": hits.text, "sort": hits.sort, "selections": chosen}
        words, given = ["colonnade.tui.export_selected", str(store), str(path)], json.dumps(request).encode()
    else:
        words = ["colonnade.tui.cli", "-s", str(store), "query", "--output", str(path)]
        words += [f"--sort={hits.sort}"] if hits.sort else []
        words += ["--", hits.text or "true"]
    ended = subprocess.run(
        own_command(*words),
        input=given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=_EXPORT_SECONDS,
        check=False,
        env=own_environment(),
    )
    if ended.returncode:
        lines = ended.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError(lines[-1].removeprefix("colonnade: ") if lines else f"{path}: could not be written")
