"""First run: from an empty folder to the first result: folders of images, model, vocabulary, go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult

from colonnade.tui.folders import begun_anew, count_images, folder_choices
from colonnade.tui.keys import action
from colonnade.tui.screens.base import BaseScreen, one_line
from colonnade.tui.widgets.cells import Cell
from colonnade.tui.widgets.line import TextLines, folded, keyed
from colonnade.tui.widgets.window_table import Column, ListSource, WindowTable

if TYPE_CHECKING:
    from colonnade.engine.jobs import JobRecord

__all__ = ["MODELS", "FirstRunScreen"]

MODELS = (
    ("demo", "to try the app: no download; knows rendered scenes"),
    ("ViT-B-32/openai", "CLIP, the usual start; downloads 150 MB"),
    ("ViT-L-14/openai", "CLIP, better and slower; downloads 890 MB"),
    ("ViT-B-16-SigLIP2/webli", "SigLIP 2, 1.5 GB; pip install 'colonnade[siglip]'"),
)
_VOCABULARIES = (
    ("photography", "what photographs of all kinds show"),
    ("space", "spacecraft, planets, astronauts, diagrams"),
    ("demo", "what the demo model knows"),
)


class FirstRunScreen(BaseScreen):
    """Four rows to be settled, then a job that fills the store; Browse opens when there is something to see."""

    NAME = "first_run"
    DEFAULT_CSS = """
    FirstRunScreen TextLines { padding: 0 1; }
    FirstRunScreen #steps { height: 8; }
    FirstRunScreen #about { height: 2; }
    FirstRunScreen #progress { height: 1fr; }
    FirstRunScreen.-flat #welcome { display: none; }
    FirstRunScreen.-flat #steps { height: 1fr; }
    FirstRunScreen.-flat #about { display: none; }
    """
    BINDINGS: ClassVar = [
        action("first_run.go", "r,ctrl+s", "go", "make the store and look through the images"),
        action("first_run.remove", "d,delete", "remove", "take the folder away"),
        action("first_run.browse", "b", "browse", "to Browse while the job goes on"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Path] = []
        self.model = "ViT-B-32/openai"
        self.vocabulary = "photography"
        self._counts: dict[Path, str] = {}
        self._busy = False
        self._made = False
        self._said: tuple[str, ...] = ()

    def compose_body(self) -> ComposeResult:
        none = f"There is no store in {self.colonnade.store} yet."
        what = "A store keeps what is known of your images, which are only read."
        yield TextLines((none, what, ""), id="welcome")
        columns = (
            Column("what", "", 14, sortable=False),
            Column("value", "", sortable=False, cut="left"),
            Column("count", "", 24, sortable=False),
        )
        yield WindowTable(columns, heading=False, id="steps")
        yield TextLines(id="about")
        yield TextLines(id="progress")

    @property
    def table(self) -> WindowTable:
        """The rows to be settled."""
        return self.query_one("#steps", WindowTable)

    def on_mount(self) -> None:
        self.hint("{table.choose:enter} changes a row  {first_run.go:r} runs it  {app.quit:q} quits")
        self.table.focus()
        self._fill()

    def _fill(self) -> None:
        rows: list[tuple[Any, ...]] = [
            ("images", str(root), self._counts.get(root, "counting"), "root", root) for root in self.roots
        ]
        another = "add a folder" if not self.roots else "add another folder"
        rows.append(("images", another, "", "add", None))
        rows.append(("model", self.model, "", "model", None))
        rows.append(("vocabulary", self.vocabulary, "", "vocabulary", None))
        go = "make the store and go" if not self._made else "look through the images"
        rows.append((Cell("go", "good" if self.roots else "dim"), go, "", "go", None))
        self.table.show(ListSource(rows), keep=True)
        self._explain()

    def on_window_table_cursor_moved(self, event: WindowTable.CursorMoved) -> None:
        if event.table is self.table:
            self._explain()

    def _explain(self) -> None:
        """What the row under the cursor is about, in full."""
        what = self.table.values[3] if self.table.values is not None else ""
        words = {
            "root": "its images are taken in; `colonnade root` changes it"
            if self._made
            else "{first_run.remove:d} takes it away",
            "add": "a folder of images, with all that are below it; as many folders as you like",
            "model": dict(MODELS).get(self.model, "a model of open_clip, of Hugging Face, or in a folder"),
            "vocabulary": dict(_VOCABULARIES).get(self.vocabulary, "a file"),
            "go": "scan, embed, score: as a job, which outlives the app"
            if self.roots
            else "first name a folder of images",
        }
        about = keyed(self, words.get(what, ""))
        self.query_one("#about", TextLines).show(tuple(folded(about, self.size.width - 2)))

    # settling

    def on_window_table_chosen(self, event: WindowTable.Chosen) -> None:
        if self._busy:
            return
        what = event.values[3]
        if what == "go":
            self.action_go()
        elif self._made and what == "vocabulary":
            self.say("the store has its own copy now; the Vocabulary screen ({app.vocabulary:2}) changes it")
        elif what == "add":
            self.ask(
                "A folder of images",
                self._add_root,
                value=str(Path.home()) + "/",
                choices=folder_choices,
                check=self._root_fault,
            )
        elif what == "model":
            self.ask(
                "Which model? From the list, any open_clip ARCH/TAG, hf-hub:ID, or a path",
                self._set_model,
                choices=lambda typed: _listed(MODELS, typed, self.model),
            )
        elif what == "vocabulary":
            self.ask(
                "Which vocabulary? A name of the list, or a file",
                self._set_vocabulary,
                choices=lambda typed: _listed(_VOCABULARIES, typed, self.vocabulary),
            )

    def _root_fault(self, text: str) -> str | None:
        """What is wrong with a folder that was typed."""
        folder = _folder(text)
        if not folder.is_dir():
            return f"{folder}: not a folder; type the whole path"
        return f"{folder}: in the list already" if folder in self.roots else None

    def _add_root(self, text: str) -> None:
        folder = _folder(text)
        if self._made:
            session = self.session
            self.background("root", lambda: session.add_root(folder), lambda _: self._root_added(folder))
        else:
            self._root_added(folder)

    def _root_added(self, folder: Path) -> None:
        self.roots.append(folder)
        self._fill()

        def counted(answer: tuple[int, bool]) -> None:
            count, more = answer
            self._counts[folder] = f"{'more than ' if more else ''}{count:,} images"
            self._fill()

        self.background(f"count {folder}", lambda: count_images(folder), counted)

    def _set_model(self, name: str) -> None:
        name = name.strip() or self.model
        if self._made:
            session = self.session
            self.background("model", lambda: session.use_model(name), lambda _: self._model_set(name))
        else:
            self._model_set(name)

    def _model_set(self, name: str) -> None:
        self.model = name
        if name == "demo" and not self._made:
            self.vocabulary = "demo"
        self._fill()

    def _set_vocabulary(self, name: str) -> None:
        self.vocabulary = name.strip() or self.vocabulary
        self._fill()

    def action_remove(self) -> None:
        values = self.table.values
        if values is not None and values[3] == "root" and not self._made:
            self.roots.remove(values[4])
            self._fill()

    # going

    def action_go(self) -> None:
        if self._busy:
            self.say("it runs; {first_run.browse:b} opens Browse meanwhile")
        elif not self.roots:
            self.warn("first name a folder of images: {table.choose:enter} on the first row")
        elif self._made:
            self._start()
        else:
            self._busy = True
            self._tell("making the store")
            store, chosen = self.colonnade.store, (list(self.roots), self.vocabulary, self.model)

            def make() -> None:
                from colonnade.tui.session import Session

                session = Session(store)
                try:
                    session.create(*chosen)
                finally:
                    session.close()

            self.background("make", make, lambda _: self._is_made(), failed=self._stopped)

    def _is_made(self) -> None:
        self._made = True
        self._tell("the store is made")
        self.query_one("#welcome", TextLines).show((f"The store is {self.colonnade.store}.", "", ""))
        self.colonnade.open_session()

    def session_ready(self) -> None:
        if self._made:
            self._start()

    def _start(self) -> None:
        self._busy = True
        self._tell("starting")
        session = self.session

        def started(answer: Any) -> None:
            if answer.ended:
                self._arrived(answer.message)

        self.background("start", lambda: session.start_job(("sync",)), started, failed=self._stopped)

    def jobs_changed(self, records: Sequence[JobRecord]) -> None:
        if not self._busy or not records:
            return
        job = records[0]
        if job.state == "running":
            share = f"{job.done:,} of {job.total:,}" if job.total else f"{job.done:,}" if job.done else ""
            bad = f"{job.failures:,} cannot be read" if job.failures else ""
            self._tell("  ".join(part for part in (job.phase or "starting", share, bad) if part), moving=True)
        elif job.state == "done":
            self._arrived(job.message)
        else:
            ended = {"failed": "the job failed", "interrupted": "the job was stopped"}.get(
                job.state, f"the job was {job.state}"
            )
            self._stopped(f"{ended}: {job.message or 'see its log in Jobs ({app.jobs:7})'}")

    def _arrived(self, message: str) -> None:
        if self._busy:
            self._busy = False
            self._tell(message or "done")
            self.colonnade.open_screen("browse")

    def _stopped(self, error: Exception | str) -> None:
        self._busy = False
        self._tell(error if isinstance(error, str) else one_line(error))
        self.fail(error)
        self._fill()

    def _tell(self, line: str, *, moving: bool = False) -> None:
        """Add a line of progress; one that moves takes the place of the last that did."""
        kept = self._said[:-1] if self._said and self._said[-1].startswith("… ") else self._said
        self._said = (*kept[-8:], keyed(self, f"… {line}" if moving else line))
        lines = tuple(part for said in self._said for part in folded(said, self.size.width - 2))
        self.query_one("#progress", TextLines).show(lines)

    def action_browse(self) -> None:
        if self._made and self.colonnade.session is not None:
            self.colonnade.open_screen("browse")
        else:
            self.warn("there is no store yet")


def _listed(choices: Sequence[tuple[str, str]], typed: str, chosen: str) -> list[tuple[str, str]]:
    """What may be picked; what is chosen already comes first, so that enter alone changes nothing."""
    found = [choice for choice in choices if typed.lower() in choice[0].lower()]
    return sorted(found, key=lambda choice: choice[0] != chosen)


def _folder(typed: str) -> Path:
    return Path(begun_anew(typed.strip())).expanduser().absolute()
