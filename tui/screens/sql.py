"""SQL: a console over the documented views, read-only and confined to the store's own files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from textual.app import ComposeResult

from colonnade.tui.keys import action
from colonnade.tui.screens.base import BaseScreen
from colonnade.tui.screens.sql_rows import result_columns, row_lines, told
from colonnade.tui.session_damage import damage_words
from colonnade.tui.sql_export import Export
from colonnade.tui.sql_history import History, history_path, read_history, write_history
from colonnade.tui.sql_run import TIME_LIMIT_S, FailedStatement, SqlConsole, SqlRows, StoppedError, names_of
from colonnade.tui.sql_text import Names, complete
from colonnade.tui.widgets.line import TextLine, TextLines, keyed
from colonnade.tui.widgets.sql_editor import SqlEditor
from colonnade.tui.widgets.window_table import ListSource, WindowTable

__all__ = ["SqlScreen"]

_EMPTY = "write a statement above; {sql.run:^J} runs it. Views: "


class SqlScreen(BaseScreen):
    """A statement above, what it gives below."""

    NAME = "sql"
    AUTO_FOCUS = "#result"
    DEFAULT_CSS = """
    SqlScreen SqlEditor { height: auto; min-height: 2; max-height: 7; }
    SqlScreen.-flat SqlEditor { max-height: 2; }
    SqlScreen.-tall SqlEditor { min-height: 3; max-height: 16; }
    SqlScreen #choices { background: $panel; }
    SqlScreen #row { height: auto; max-height: 40%; background: $panel; display: none; }
    """
    BINDINGS: ClassVar = [
        action(
            "sql.run", "ctrl+j,f5", "run", "run the statement (also enter behind a semicolon)", priority=True
        ),
        action("sql.stop", "x", "stop", "stop what runs"),
        action("sql.edit", "i,slash", "edit", "edit the statement"),
        action("sql.new", "n", "new", "begin another statement; p has this one"),
        action("sql.export", "e", "export", "write the whole result to a file: csv, jsonl, json, parquet"),
        action("sql.history", "p", "history", "pick a statement that was run before"),
        action("sql.row", "v", "show_row", "show the row's values in full"),
        action("sql.limit", "t", "time_limit", "set the time limit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sql: SqlConsole | None = None
        self._export: Export | None = None
        self._names = Names({})
        self._history = History()
        self._rows: SqlRows | None = None
        self._runs = False
        self._limit_s = TIME_LIMIT_S

    def compose_body(self) -> ComposeResult:
        yield SqlEditor(id="statement")
        yield TextLine(id="choices")
        yield WindowTable(id="result", empty=_EMPTY)
        yield TextLines(id="row")

    @property
    def editor(self) -> SqlEditor:
        """Where the statement is written."""
        return self.query_one(SqlEditor)

    @property
    def table(self) -> WindowTable:
        """The result."""
        return self.query_one("#result", WindowTable)

    def on_mount(self) -> None:
        self.call_after_refresh(self.get_ready)

    def session_ready(self) -> None:
        self.hint("{sql.run:^J} runs  {sql_editor.complete:tab} completes  Esc results  {app.help:?} keys")
        self.table.show(ListSource(()))
        path = self.session.path
        self._sql = SqlConsole(path)
        self.editor.completer = lambda text, cursor: complete(text, cursor, self._names)
        self.background("names", partial(names_of, path), self._named)
        self.background("history", lambda: read_history(history_path(path)), self._remembered)

    def resumed(self) -> None:
        self.background("names", partial(names_of, self.session.path), self._named)

    def snapshot_changed(self) -> None:
        self.background("names", partial(names_of, self.session.path), self._named)
        if (rows := self._rows) is not None and rows.snapshot != self.session.snapshot:
            newer = f"the store has a newer snapshot than this result's {rows.snapshot}"
            self.say(f"{newer}; {{sql.run:^J}} runs it again")

    def closing(self) -> None:
        if self._sql is not None:
            self._sql.close()
            self._save_history()
        if self._export is not None:
            self._export.cancel()

    def on_unmount(self) -> None:
        if self._sql is not None:
            self._sql.close()

    def go_back(self) -> bool:
        row = self.query_one("#row", TextLines)
        if self.editor.has_focus:
            self.table.focus()
        elif row.display:
            row.display = False
        elif self._runs:
            self.action_stop()
        else:
            return False
        return True

    # running

    def action_run(self) -> None:
        text = self.editor.text.strip()
        if self._sql is None or not text:
            self.warn("write a statement first, such as: FROM images LIMIT 20")
            return
        if self._runs:
            self.warn("a statement runs; {app.back:Esc} or {sql.stop:x} stops it")
            return
        self._runs = True
        self.editor.mark_fault(None)
        self.say("runs ... {app.back:Esc} (out of the text) or {sql.stop:x} stops it")
        self._history = self._history.with_statement(text)
        self.editor.statements = self._history.statements
        self.editor.forget_place()
        run = partial(self._sql.run, self.editor.text, time_limit_s=self._limit_s)
        self.background("run", run, self._done, failed=self._failed)

    on_sql_editor_run_asked = action_run

    def action_stop(self) -> None:
        if self._export is not None:
            self._export.cancel()
        elif not self._runs or self._sql is None or not self._sql.cancel():
            self.say("nothing runs")

    def _done(self, rows: SqlRows) -> None:
        self._runs = False
        self._show(rows)
        self.say(told(rows))
        self.table.focus()
        self._save_history()

    def _failed(self, error: Exception) -> None:
        self._runs = False
        self._rows = None
        self.table.empty = damage_words(error) or "no result: the statement was stopped, or failed"
        self.table.show(ListSource([]))
        if isinstance(error, StoppedError):
            self.say("stopped")
        elif isinstance(error, FailedStatement) and error.place is not None:
            row, start, _ = error.place
            self.editor.mark_fault(error.place)
            self.editor.move_cursor((row, start))
            self.editor.focus()
            self.fail(f"line {row + 1}, column {start + 1}: {error}")
        else:
            self.fail(error)

    def _show(self, rows: SqlRows) -> None:
        self._rows = rows
        self.query_one("#row", TextLines).display = False
        self.table.empty = "no rows"
        self.table.show(rows, columns=result_columns(rows, self.table.size.width - 4))

    # writing

    def action_edit(self) -> None:
        self.editor.focus()

    def action_new(self) -> None:
        self._history = self._history.with_statement(self.editor.text)
        self.editor.statements = self._history.statements
        self.editor.forget_place()
        self.editor.set_statement("")
        self.editor.focus()

    def action_history(self) -> None:
        statements = self._history.statements[::-1]

        def choices(typed: str) -> Iterable[tuple[str, str]]:
            wanted = typed.lower().strip()
            for n, text in enumerate(statements, 1):
                if wanted in (str(n), "") or wanted in text.lower():
                    yield str(n), " ".join(text.split())

        def recall(number: str) -> None:
            if number.isdecimal() and 0 < int(number) <= len(statements):
                self.editor.set_statement(statements[int(number) - 1])
                self.editor.focus()

        if statements:
            self.ask("which statement? newest first; type a part of it", recall, choices=choices)
        else:
            self.say("no statement was run on this store yet")

    def action_time_limit(self) -> None:
        self.ask("seconds that a statement may take", self._set_limit, value=f"{self._limit_s:g}")

    def _set_limit(self, text: str) -> None:
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0.01 <= seconds <= 86_400:
            self.warn("a number of seconds between 0.01 and 86,400")
            return
        self._limit_s = seconds
        self.say(f"statements are stopped after {seconds:g} s")

    def on_sql_editor_offered(self, message: SqlEditor.Offered) -> None:
        shown = [f"[{text}]" if n == message.index else text for n, text in enumerate(message.choices)]
        near = "  ".join(shown[max(0, message.index - 2) :][:30])
        words = keyed(self, f" {{sql_editor.complete:tab}}: {near}") if shown else ""
        self.query_one("#choices", TextLine).tell(words)

    # looking

    def action_show_row(self) -> None:
        panel = self.query_one("#row", TextLines)
        panel.display = not panel.display and self.table.values is not None
        self._fill_row(self.table.values)

    def on_window_table_chosen(self, message: WindowTable.Chosen) -> None:
        self.query_one("#row", TextLines).display = True
        self._fill_row(message.values)

    def on_window_table_cursor_moved(self, message: WindowTable.CursorMoved) -> None:
        self._fill_row(message.values)

    def on_window_table_sort_asked(self) -> None:
        self.say("sort with ORDER BY in the statement")

    def _fill_row(self, values: Sequence[Any] | None) -> None:
        panel = self.query_one("#row", TextLines)
        if not panel.display or values is None or self._rows is None:
            return
        panel.show(row_lines(self._rows.columns, values, self.size.width))

    # files

    def action_export(self) -> None:
        if self._rows is None:
            self.warn("run a statement first")
        elif self._export is not None:
            self.warn("an export runs; {sql.stop:x} stops it")
        else:
            title = "write the result to (.csv, .jsonl, .json or .parquet)"
            self.ask(title, self._export_to, value="result.csv")

    def _export_to(self, name: str) -> None:
        if self._rows is None or not name.strip():
            return
        export = Export(self.session.path, self._rows.snapshot, self._rows.text, Path(name.strip()))
        self._export = export
        self.say(f"writing {name} ... {{sql.stop:x}} stops it")
        self.background("export", export.run, self._exported, failed=self._not_exported)

    def _exported(self, told: str) -> None:
        self._export = None
        self.say(told)

    def _not_exported(self, error: Exception) -> None:
        self._export = None
        self.fail(error)

    # what is remembered

    def _named(self, names: Names) -> None:
        self._names = names
        if self._rows is None:
            self.table.empty = _EMPTY + ", ".join(names.views)
            self.table.redraw()

    def _remembered(self, history: History) -> None:
        self._history = history
        self.editor.statements = history.statements
        if history.draft and not self.editor.text:
            self.editor.set_statement(history.draft)

    def _save_history(self) -> None:
        history = History(self._history.statements, self.editor.text)
        try:
            write_history(history_path(self.session.path), history)
        except OSError as error:
            self.warn(f"the history of statements cannot be saved: {error.strerror}")
