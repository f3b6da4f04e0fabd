"""Asking the helper process: started when it is first needed, started anew after it died."""

from __future__ import annotations

import json
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from colonnade.tui.helper_errors import HelperError
from colonnade.tui.own_process import own_command, own_environment

__all__ = ["HelperClient", "HelperError"]

Progress = Callable[[str, int, int], None]

MAX_REQUEST_BYTES = 32 << 20
MAX_ANSWER_BYTES = 64 << 20
IDLE_S = 900.0


class HelperClient:
    """One helper process of a store.

    Args:
        store: the store's folder.
        name: what it is for, in messages: `writer` or `model`.
        idle_s: seconds without a request after which the process ends; the next call starts another.
    """

    def __init__(self, store: Path, name: str, *, idle_s: float = IDLE_S) -> None:
        self.store = store
        self.name = name
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False

    def call(
        self,
        op: str,
        *,
        timeout: float | None = None,
        progress: Progress | None = None,
        group: str | None = None,
        **args: Any,
    ) -> Any:
        """What the helper answers; blocks. Any thread may call, and calls are answered in turn.

        Args:
            timeout: seconds after which the process is given up.
            progress: called with (what, done, total), in this thread.
            group: of the calls of a group that wait, the newest is answered and the others fail as `superseded`.
            args: what the op takes, as JSON has it.

        Raises:
            HelperError: in one line, whatever went wrong.
        """
        while True:
            process = self._running_process()
            try:
                return process.call(op, args, timeout, progress, group)
            except HelperError as error:
                if error.kind in ("timeout", "helper", "idle"):
                    self._forget(process)
                if error.kind != "idle":
                    raise

    def close(self) -> None:
        """End the process; a write that it is busy with is finished."""
        with self._lock:
            process, self._process, self._closed = self._process, None, True
        if process is not None:
            process.end()

    def _running_process(self) -> _Process:
        with self._lock:
            if self._closed:
                raise HelperError(f"the {self.name} helper was closed")
            if self._process is None or not self._process.alive:
                if self._process is not None:
                    self._process.end()
                self._process = _Process(self.store, self.name, self._idle_s)
            return self._process

    def _forget(self, process: _Process) -> None:
        with self._lock:
            if self._process is process:
                self._process = None
        process.kill()


class _Process:
    """A helper that runs, with a thread that reads its answers and one that reads its stderr."""

    def __init__(self, store: Path, name: str, idle_s: float) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._number = 0
        self._waiting: dict[int, SimpleQueue[dict[str, Any] | None]] = {}
        self._words: deque[str] = deque(maxlen=20)
        command = own_command("colonnade.tui.helper", str(store), "--idle", str(idle_s))
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C and a terminal that hangs up are the app's business
                env=own_environment(TQDM_DISABLE="1"),
            )
        except OSError as error:
            raise HelperError(f"the {name} helper cannot be started: {error.strerror or error}") from None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        self._listener.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and self._reader.is_alive()

    def call(
        self,
        op: str,
        args: dict[str, Any],
        timeout: float | None,
        progress: Progress | None,
        group: str | None,
    ) -> Any:
        answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        with self._lock:
            self._number += 1
            number = self._number
            request = {"id": number, "op": op, "args": args} | ({"group": group} if group else {})
            line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
            if len(line) > MAX_REQUEST_BYTES:
                raise HelperError(f"{op}: too much at once ({len(line):,} bytes); choose less", "input")
            self._waiting[number] = answers
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError):
                self._waiting.pop(number, None)
                raise self._gone() from None
        if not self._reader.is_alive():
            answers.put(None)  # it ended before it could have seen this request
        try:
            return self._wait(op, answers, timeout, progress)
        finally:
            self._waiting.pop(number, None)

    def _wait(
        self,
        op: str,
        answers: SimpleQueue[dict[str, Any] | None],
        timeout: float | None,
        progress: Progress | None,
    ) -> Any:
        while True:
            try:
                answer = answers.get(timeout=timeout)
            except Empty:
                raise HelperError(
                    f"{op}: no answer within {timeout:g} s; the {self._name} helper was ended, try again",
                    "timeout",
                ) from None
            if answer is None:
                raise self._gone()
            if "progress" in answer:
                if progress is not None:
                    progress(*answer["progress"])
                continue
            if "error" in answer:
                raise HelperError(str(answer["error"]), str(answer["kind"]), answer.get("details", ()))
            return answer["result"]

    def end(self) -> None:
        """Close its stdin, on which it ends."""
        with suppress(OSError, ValueError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        threading.Thread(target=self._process.wait, daemon=True).start()

    def kill(self) -> None:
        with suppress(OSError):
            self._process.kill()
        self.end()

    def _gone(self) -> HelperError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        code = self._process.poll()
        if code == 0:
            return HelperError(f"the {self._name} helper was idle and ended", "idle")
        how = (
            f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        )
        self._listener.join(1)
        last = next((word for word in reversed(self._words) if word.strip()), "")
        said = f" ({last.strip()[:200]})" if last and code else ""
        return HelperError(f"the {self._name} helper {how}{said}; the next call starts it anew")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers, suppress(OSError, ValueError):
            while line := answers.readline(MAX_ANSWER_BYTES + 1):
                answer = json.loads(line)  # half a line, or none of ours: not to be trusted any more
                waiting = self._waiting.get(answer.get("id"))
                if waiting is not None:
                    waiting.put(answer)
        with suppress(OSError):
            self._process.kill()
        for waiting in list(self._waiting.values()):
            waiting.put(None)

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as words, suppress(OSError, ValueError):
            while line := words.readline(4096):
                self._words.append(line.decode("utf-8", "replace"))
