"""A curator's whole session: ssh to a real sshd, tmux, and from an empty folder to a reviewed, mapped collection.

Every step waits for what the screen shows, and fails with the screen. At the end plain DuckDB reads the store and finds
each change. Run it to watch::

    python tests/session_over_ssh.py [--keep DIR] [--watch]
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from session_read_back import read_back
from ssh_line import PROMPT, Line, NoLineError, Server

from colonnade.engine.demo.collection import PHOTOS, Truth, render_collection

__all__ = ["Done", "Step", "check", "main", "report", "session"]

IMAGES = 120
NEW, WORDS = "liftoff", "a rocket with fire below it"
QUERY = f"{NEW} and stars and not diagram?"
DERIVED, SET = "night_launch", "corner"
ANSWERS = 10
SQL = (
    f"SELECT status, count(*) AS n FROM scores WHERE attribute_code = '{NEW}' GROUP BY status ORDER BY n DESC"
)

DOWN, RIGHT, ENTER, ESCAPE, TAB = "\x1b[B", "\x1b[C", "\r", "\x1b", "\t"
FAR_LEFT, FAR_UP, CLEAR, SAVE, RUN = "\x1b[1;2D", "\x1b[5~", "\x15", "\x13", "\n"
JOB = 240.0
"""Seconds that a job may take here: each starts a Python of its own, and those of a model load torch."""


@dataclass(frozen=True)
class Step:
    """One thing that the user did."""

    name: str
    seconds: float
    received: int
    """Bytes that the terminal got."""


@dataclass
class Done:
    """What was done, and what the screen said of it."""

    store: Path
    steps: list[Step] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)
    """What is to be found in the store, as the screen told it."""
    carried: tuple[int, int] = (0, 0)
    """Bytes over the line, encrypted and compressed: (to the user, from the user)."""


class _User:
    """Works through the session; each method is one step."""

    def __init__(self, line: Line, folder: Path, truth: Truth) -> None:
        self.line, self.folder, self.truth = line, folder, truth
        self.done = Done(folder / "store")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.line.doing = name
        began, received = time.monotonic(), len(self.line.received)
        yield
        seconds = time.monotonic() - began
        self.done.steps.append(Step(name, seconds, len(self.line.received) - received))

    def first_run(self) -> None:
        line = self.line
        line.sees(f"^{PROMPT}")
        line.types(f"colonnade ui {self.done.store}\r")
        line.sees("There is no store in")
        line.hits(ENTER, "A folder of images")
        line.press(CLEAR)
        line.types(str(self.folder / PHOTOS))
        line.sees(f"{PHOTOS} *$")
        line.hits(ENTER, f"{IMAGES} images")
        line.press(DOWN)
        line.press(DOWN)
        line.hits(ENTER, "Which model")
        line.types("demo")
        line.hits(ENTER, "vocabulary +demo")
        line.hits("r", f"{IMAGES} hits", JOB)
        line.sees(r"^> earth +\d+ ")

    def add_attribute(self) -> None:
        """Type an attribute; its images show before anything is saved."""
        line = self.line
        line.goes("2", "vocabulary", "plan: all is saved and fresh")
        line.hits("a", "a new attribute")
        line.types(NEW)
        for text in ("Liftoff", "event", "", "", WORDS):
            line.press(DOWN, 0.1)
            line.types(text)
        line.sees(WORDS)
        tried = line.sees(rf"^ try\s*$\n accepted (\d+) of {IMAGES}", JOB, quiet=0.7)
        self.done.said["tried"] = int(tried[1])
        line.sees("nearest by cosine: .*(rocket|plume)")
        line.sees(rf"plan: 1 edit, \^S saves; then about .*1 attribute x {IMAGES} images")
        assert NEW not in (self.done.store / "vocabulary.yaml").read_text(), (
            "it was saved before it was told to"
        )

    def save_attribute(self) -> None:
        self.line.hits(SAVE, "saved: 1 edit; t tags what is stale")
        assert f"code: {NEW}" in (self.done.store / "vocabulary.yaml").read_text()

    def tag(self) -> None:
        line = self.line
        line.hits("t", "tag runs as process|tag: |tag done")
        line.goes("7", "jobs")
        line.sees("done +tag", JOB)
        line.sees("done +sync")
        line.sees("what is stale: nothing")

    def move_threshold(self) -> None:
        """Move the line of the new attribute on its distribution, and save it."""
        line = self.line
        line.goes("2", "vocabulary", rf"{NEW}.*fresh")
        line.goes("3", "calibration", rf"^> {NEW} ")
        line.hits(ENTER, f"^ {NEW} +Liftoff")
        self.done.said["before"] = int(line.sees(r"^ accepted (\d+) ")[1])
        moved = ""
        for _ in range(40):
            line.press("<", 0.2)
            moved = line.sees(r"not saved: (\d+) would enter, \d+ would leave")[1]
            if int(moved) >= 2:
                break
        self.done.said["entering"] = int(moved)
        self.done.said["accepted"] = int(line.sees(r"^ accepted (\d+) ")[1])
        line.hits(ENTER, f"{NEW}: {moved} entered, 0 left", JOB)

    def query(self) -> None:
        line = self.line
        line.goes("1", "browse", "hits")
        line.hits("i", "tab: |^> ")
        line.types(QUERY)
        line.sees(rf"^> {QUERY.replace('?', '[?]')}")
        line.press(ENTER)
        self.done.said["hits"] = int(line.sees(r"(\d+) hits", quiet=0.7)[1])
        line.sees(rf"1 of {self.done.said['hits']}")

    def review(self) -> None:
        """Answer ten questions, by what the scenes are known to show."""
        line = self.line
        line.goes("4", "review", "1 of 20")
        labels: dict[str, bool] = {}
        question: tuple[str, str] | None = None
        for _ in range(2 * ANSWERS):  # some are asked twice, where other answers speak against the first
            question = line.waits(partial(self._question, question), "another question", quiet=0.2)
            name = question[1]
            if len(labels) == ANSWERS:
                break
            labels[name] = {"rocket", "plume"} <= set(self.truth[name])
            line.press("y" if labels[name] else "n")
        settled = line.sees(r"(\d+) (?:images )?settled: (\d+) yes, (\d+) no")
        assert int(settled[1]) == ANSWERS and int(settled[2]) == sum(labels.values()), (line.text, labels)
        self.done.said["labels"] = labels

    def _question(self, before: tuple[str, str] | None, screen: str) -> tuple[str, str] | None:
        """What is asked and of which picture, once that is another than before and drawn."""
        asked = re.search(r"(\d+ of \d+|again: you said \w+)", screen)
        rows = (row.strip().removeprefix(f"{PHOTOS}/") for row in screen.splitlines())
        name = next((row for row in rows if row in self.truth), None)
        if asked is None or name is None or not re.search("[▀▄█]", screen):
            return None
        return (asked[0], name) if (asked[0], name) != before else None

    def derive(self) -> None:
        """Save the query as a derived attribute."""
        line = self.line
        line.goes("1", "browse", "hits")
        line.hits("w", "Save the query as")
        line.types("derived")
        line.hits(ENTER, "A code for the derived attribute")
        line.types(DERIVED)
        line.hits(ENTER, f"{DERIVED}: in the vocabulary now|derive: ")
        line.goes("7", "jobs")
        line.sees("done +derive", JOB)

    def map(self) -> None:
        """Have the map made, and take a corner of it with the lasso."""
        line = self.line
        line.goes("5", "map", "u (makes|fits)|no map|not.*map")
        line.hits("u", "the map is up to date", JOB)
        line.sees("[⠁-⣿]")
        line.hits("r", "move to the other corner")
        for key in (FAR_LEFT, FAR_UP):
            for _ in range(8):
                line.press(key, 0.1)
        taken = line.hits(ENTER, r"(\d+) of \d+ selected")
        self.done.said["selected"] = int(taken[1])
        line.hits("w", "save the selection as the set")
        line.types(SET)
        line.hits(ENTER, rf"saved: in_set\({SET}\)")

    def sql(self) -> None:
        line = self.line
        line.goes("6", "sql", "(?i)views: ")
        line.press("i")
        line.types(SQL)
        line.press(ESCAPE)
        line.press(RUN)
        self.done.said["sql"] = {
            status: int(line.sees(rf"^. {status} +(\d+) *$")[1]) for status in ("accepted", "rejected")
        }

    def quit(self) -> None:
        line = self.line
        line.hits("q", f"^{PROMPT} *$")
        line.types("exit\r")
        code = line.ended(60)
        assert code == 0, f"ssh ended with {code}:\n{line.text}"


def session(folder: Path, *, watch: Callable[[str], None] | None = None) -> Done:
    """The whole session in an empty folder.

    Raises:
        NoLineError: there is no sshd, ssh or tmux here, or nobody can log in.
        AssertionError: a step did not show what it should.
    """
    with Server(folder / "state") as server:
        truth = render_collection(folder, IMAGES, 1)
        command = server.command(*server.tmux, "new-session", "-A", "-s", "work")
        with Line(command, watch=watch) as line:
            user = _User(line, folder, truth)
            steps: tuple[tuple[str, Callable[[], None]], ...] = (
                ("first run: roots, model, vocabulary, go", user.first_run),
                ("add an attribute, tried before it is saved", user.add_attribute),
                ("save it", user.save_attribute),
                ("tag it as a job", user.tag),
                ("move its threshold", user.move_threshold),
                ("query three conditions", user.query),
                ("review ten images", user.review),
                ("save a derived attribute", user.derive),
                ("make the map, lasso a corner of it", user.map),
                ("run SQL", user.sql),
                ("quit", user.quit),
            )
            for name, work in steps:
                with user.step(name):
                    work()
            user.done.carried = server.carried()
    return user.done


def report(done: Done) -> list[str]:
    """The steps with their seconds and bytes, and the whole."""
    lines = [f"{'step':45} {'s':>6} {'bytes':>9}"]
    lines += [f"{step.name:45} {step.seconds:6.1f} {step.received:9,}" for step in done.steps]
    seconds, received = (
        sum(values) for values in zip(*((s.seconds, s.received) for s in done.steps), strict=True)
    )
    lines.append(f"{'in all':45} {seconds:6.1f} {received:9,}")
    to_user, from_user = done.carried
    lines.append(f"over the line with ssh -C: {to_user:,} bytes to the user, {from_user:,} from the user")
    return lines


def main() -> int:
    """Run the session and say what it did."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--keep", metavar="DIR", type=Path, help="an empty folder for the store, which stays")
    parser.add_argument("--watch", action="store_true", help="show each screen that is waited for")
    given = parser.parse_args()

    def show(screen: str) -> None:
        print(f"\x1b[H\x1b[2J{screen}", flush=True)

    with tempfile.TemporaryDirectory(prefix="session-") as temporary:
        folder = (given.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            done = session(folder, watch=show if given.watch else None)
            found = check(done)
        except NoLineError as error:
            print(f"no session can be had here: {error}", file=sys.stderr)
            return 1
    print("\n".join([*report(done), "", "plain DuckDB finds:", *(f"  {line}" for line in found)]))
    return 0


def check(done: Done) -> list[str]:
    """What plain DuckDB finds in the store of a session, compared with what the screens said."""
    return read_back(done.store, done.said, images=IMAGES, new=NEW, derived=DERIVED, named=SET)


if __name__ == "__main__":
    sys.exit(main())
