"""The app's helper process: engine functions that need pyarrow or torch, asked for in lines of JSON.

    python -m colonnade.tui.helper STORE [--idle SECONDS]

A line on stdin is a request {"id", "op", "args", "group"}; lines on stdout are its answers: any number of
{"id", "progress": [what, done, total]}, then {"id", "result"} or {"id", "error", "kind", "details"}. Requests are
answered one after another; of those with the same `group` that wait, the newest is answered and the others are refused
as `superseded`. What libraries print goes to stderr. The process ends with its stdin, or when nothing was asked of it
for a while.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["IDLE_S", "MAX_ANSWER_BYTES", "MAX_REQUEST_BYTES", "main", "serve"]

MAX_REQUEST_BYTES = 32 << 20
MAX_ANSWER_BYTES = 64 << 20
IDLE_S = 900.0
_GRACE_S = 10.0


@dataclass(frozen=True)
class _Request:
    id: int
    op: str
    args: dict[str, Any]
    group: str | None


class _WrongRequestError(Exception):
    """A line that is no request."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.number = number


class _Answers:
    """Writes answers, a line each."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, answer: dict[str, Any]) -> None:
        line = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
        if len(line) > MAX_ANSWER_BYTES:
            reason = f"the answer has {len(line):,} bytes; {MAX_ANSWER_BYTES:,} is the most, ask for less"
            line = json.dumps({"id": answer["id"], "error": reason, "kind": "input"}).encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def fail(self, number: int | None, message: str, kind: str, details: Sequence[str] = ()) -> None:
        self.send({"id": number, "error": message, "kind": kind, "details": list(details)})


def main() -> None:
    """Serve the store named on the command line until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m colonnade.tui.helper")
    parser.add_argument("store", type=Path)
    parser.add_argument("--idle", type=float, default=IDLE_S)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not come between the answers
    sys.stdout = sys.stderr
    serve(options.store, sys.stdin.buffer, answers, idle_s=options.idle)
    os._exit(0)  # a thread of a library must not keep the process


def serve(store: Path, requests: IO[bytes], answers: IO[bytes], *, idle_s: float = IDLE_S) -> None:
    """Answer requests until they end or, after `idle_s` seconds without one, of its own accord."""
    from colonnade.tui.helper_ops import Helper

    helper, out = Helper(store), _Answers(answers)
    waiting: queue.Queue[_Request | None] = queue.Queue()
    newest: dict[str, int] = {}
    reader = threading.Thread(target=_read, args=(requests, out, waiting, newest), daemon=True)
    reader.start()
    while True:
        try:
            request = waiting.get(timeout=idle_s)
        except queue.Empty:
            return
        if request is None:
            return
        try:
            if request.group is not None and newest.get(request.group) != request.id:
                out.fail(request.id, "a newer request took its place", "superseded")
            else:
                _answer(helper, request, out)
        except BrokenPipeError:
            return


def _read(
    requests: IO[bytes], out: _Answers, waiting: queue.Queue[_Request | None], newest: dict[str, int]
) -> None:
    """Put requests in the queue; a wrong line is answered here and harms nothing."""
    try:
        while line := requests.readline(MAX_REQUEST_BYTES + 1):
            try:
                if not line.endswith(b"\n") and len(line) > MAX_REQUEST_BYTES:
                    while (rest := requests.readline(1 << 20)) and not rest.endswith(b"\n"):
                        pass
                    raise _WrongRequestError(f"a request is longer than {MAX_REQUEST_BYTES:,} bytes")
                request = _parse(line)
            except _WrongRequestError as error:
                out.fail(error.number, str(error), "input")
                continue
            if request.group is not None:
                newest[request.group] = request.id
            waiting.put(request)
    except (OSError, ValueError):
        pass
    waiting.put(None)
    # What is being done is finished, unless it takes long: nobody waits for it any more.
    timer = threading.Timer(_GRACE_S, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


def _parse(line: bytes) -> _Request:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise _WrongRequestError("a request is not JSON") from None
    if not isinstance(document, dict):
        raise _WrongRequestError("a request is not an object")
    number, op, args = document.get("id"), document.get("op"), document.get("args", {})
    group = document.get("group")
    if type(number) is not int:
        raise _WrongRequestError("a request has no id")
    if not isinstance(op, str) or not isinstance(args, dict) or not isinstance(group, str | None):
        raise _WrongRequestError("a request needs an op, and args as an object", number)
    return _Request(number, op, args, group)


def _answer(helper: Any, request: _Request, out: _Answers) -> None:
    """Do what is asked; whatever happens becomes one answer."""
    from colonnade.tui.helper_errors import told

    def progress(what: str, done: int, total: int) -> None:
        out.send({"id": request.id, "progress": [what, done, total]})

    try:
        result = helper.run(request.op, request.args, progress)
    except BrokenPipeError:
        raise
    except BaseException as error:
        message, kind, details = told(error, request.op)
        out.fail(request.id, message, kind, details)
        return
    try:
        out.send({"id": request.id, "result": result})
    except (TypeError, ValueError) as error:
        out.fail(request.id, f"{request.op}: its result cannot be sent ({error})", "internal")


if __name__ == "__main__":
    main()
