"""A real `sshd` on loopback with keys, port and configuration of its own, and a terminal at the end of its line."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
from app_driving import Terminal

__all__ = ["PROMPT", "Line", "NoLineError", "Server", "missing_programs"]

T = TypeVar("T")
PROMPT = "shell> "
"""What the shell in tmux asks with."""

_SEARCHED = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"])
_PRIVILEGE_FOLDER = re.compile(r"Missing privilege separation directory: (\S+)")
_CONFIGURATION = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
"""
_TMUX = f"""\
set -g default-terminal screen-256color
set -g escape-time 50
set -g default-command "exec env PS1='{PROMPT}' ENV= /bin/sh -i"
"""


class NoLineError(RuntimeError):
    """No session can be had here; the message says why."""


def missing_programs() -> str:
    """Which of the programs are not installed; '' if all are there."""
    wanted = ("sshd", "ssh", "ssh-keygen", "tmux")
    return ", ".join(name for name in wanted if shutil.which(name, path=_SEARCHED) is None)


class Server:
    """`sshd` for the user who runs this, root or not, from `with` on; also the folder of the tmux it is used with.

    Args:
        state: where what is started through it keeps its configuration and history (XDG folders).

    Raises:
        NoLineError: a program is missing, or nobody can log in.
    """

    def __init__(self, state: Path) -> None:
        if missing := missing_programs():
            raise NoLineError(f"not installed: {missing}")
        self._temporary = tempfile.TemporaryDirectory(prefix="line-")  # short: it holds a socket
        self.folder = Path(self._temporary.name)
        self.log, self.traffic = self.folder / "sshd.log", self.folder / "ssh.log"
        self._state = state
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            for name in ("host_key", "user_key"):
                command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
                subprocess.run(command, check=True, timeout=60)
            (self.folder / "tmux.conf").write_text(_TMUX)
            self._start()
            done = subprocess.run(
                [*self._ssh(), "true"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
            )
            if done.returncode:
                raise NoLineError(f"nobody can log in: {self._last_words()}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, subprocess.SubprocessError):
            tmux = ["tmux", "-L", "line", "kill-server"]
            environment = {**os.environ, "TMUX_TMPDIR": str(self.folder)}
            subprocess.run(tmux, env=environment, capture_output=True, timeout=20, check=False)
        if self._process is not None:
            self.cut()
            self._process.kill()
            self._process.wait(10)
        self._temporary.cleanup()

    def command(self, *words: str | Path) -> list[str]:
        """`ssh -C -t ... WORDS`: the words as a command at the other end, in a terminal."""
        settings = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TMUX_TMPDIR": str(self.folder),
            **{f"XDG_{name}_HOME": str(self._state / name.lower()) for name in ("CONFIG", "STATE")},
        }
        line = shlex.join(["exec", "env", *(f"{key}={value}" for key, value in settings.items())])
        return [*self._ssh(), "-C", "-tt", f"{line} {shlex.join(map(str, words))}"]

    @property
    def tmux(self) -> tuple[str, ...]:
        """`tmux` with a socket and a configuration of its own."""
        return ("tmux", "-u", "-L", "line", "-f", str(self.folder / "tmux.conf"))

    def terminal_state(self) -> tuple[str, list[Any]]:
        """How tmux's terminal stands (alternate screen, cursor, mouse), and what `termios` says of it."""
        names = (
            "alternate_on",
            "cursor_flag",
            "mouse_all_flag",
            "mouse_any_flag",
            "mouse_sgr_flag",
            "keypad_flag",
        )
        asked = "#{pane_tty} " + " ".join(f"{name}=#{{{name}}}" for name in names)
        words = [*self.tmux, "display-message", "-p", asked]
        environment = {**os.environ, "TMUX_TMPDIR": str(self.folder)}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=20, check=True)
        path, _, state = done.stdout.strip().partition(" ")
        with Path(path).open("rb", buffering=0) as terminal:
            return state, termios.tcgetattr(terminal)

    def sessions(self) -> list[psutil.Process]:
        """The processes of `sshd` that serve a connection."""
        if self._process is None:
            return []
        with suppress(psutil.Error):
            found = psutil.Process(self._process.pid).children(recursive=True)
            return [process for process in found if process.name().startswith("sshd")]
        return []

    def cut(self) -> None:
        """The connection is lost: the processes that serve it are killed."""
        for process in self.sessions():
            with suppress(psutil.Error):
                process.send_signal(signal.SIGKILL)

    def carried(self) -> tuple[int, int]:
        """Bytes of the last connection that ended, encrypted and compressed: (to the user, from the user)."""
        found = re.findall(r"Transferred: sent (\d+), received (\d+) bytes", self.traffic.read_text())
        sent, received = found[-1] if found else (0, 0)
        return int(received), int(sent)

    def _ssh(self) -> list[str]:
        options = {
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "accept-new",
            "BatchMode": "yes",
            "LogLevel": "VERBOSE",
            "Port": self._port,
            "User": pwd.getpwuid(os.getuid()).pw_name,
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        key = str(self.folder / "user_key")
        return ["ssh", "-F", "none", "-E", str(self.traffic), "-i", key, *given, "127.0.0.1"]

    def _start(self) -> None:
        sshd = shutil.which("sshd", path=_SEARCHED)
        assert sshd is not None
        configuration = self.folder / "sshd_config"
        for _ in range(3):  # another process may take the port between finding and binding it
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._port = free.getsockname()[1]
            configuration.write_text(_CONFIGURATION.format(port=self._port, folder=self.folder))
            self._check(sshd, configuration)
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sshd, "-D", "-e", "-f", str(configuration)], stdin=subprocess.DEVNULL, stderr=log
                )
            if self._answers():
                return
        raise NoLineError(f"sshd does not start: {self._last_words()}")

    def _check(self, sshd: str, configuration: Path) -> None:
        """Have sshd look at its configuration; as root it may want an empty folder that a service would have made."""
        for _ in range(2):
            words = [sshd, "-t", "-f", str(configuration)]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
            wanted = _PRIVILEGE_FOLDER.search(done.stderr)
            if done.returncode == 0:
                return
            if wanted is None or os.geteuid():
                break
            Path(wanted[1]).mkdir(mode=0o755, parents=True, exist_ok=True)
        raise NoLineError(f"sshd does not start: {' '.join(done.stderr.split())[-300:]}")

    def _answers(self, seconds: float = 20.0) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                return False
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1.0) as line:
                line.settimeout(5.0)
                return line.recv(4) == b"SSH-"
            time.sleep(0.05)
        return False

    def _last_words(self) -> str:
        texts = [path.read_text(errors="replace") for path in (self.traffic, self.log) if path.exists()]
        return " / ".join(" ".join(text.split())[-300:] for text in texts)


class Line(Terminal):
    """A terminal whose user waits for what it shows before each key, and says what is there when it does not come.

    Args:
        watch: is given each screen that was waited for.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        lines: int = 24,
        watch: Callable[[str], None] | None = None,
    ) -> None:
        self.doing = "connecting"
        """What the user is about, for messages."""
        self._watch = watch
        super().__init__(command, columns=columns, lines=lines)

    def __enter__(self) -> Line:
        return self

    def sees(self, pattern: str, seconds: float = 60.0, *, quiet: float = 0.0) -> re.Match[str]:
        """Wait until the screen matches a pattern (`^` and `$` are the ends of a line).

        Args:
            quiet: for how long nothing may have changed, where something of the kind was there before.
        """
        return self.waits(
            lambda text: re.search(pattern, text, re.MULTILINE), repr(pattern), seconds, quiet=quiet
        )

    def waits(
        self, read: Callable[[str], T | None], what: str, seconds: float = 60.0, *, quiet: float = 0.0
    ) -> T:
        """Wait until something can be read off the screen."""
        end = time.monotonic() + seconds
        while True:
            if not self.settle(0.05, 0.5):
                time.sleep(0.02)  # at the end of the line nothing is waited for
            found = read(self.text)
            if found is not None and quiet:
                before = self.text
                self.settle(quiet, quiet)
                found = found if self.text == before else None
            if found is not None:
                if self._watch is not None:
                    self._watch(self.text)
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{self.doing}: {what} did not come within {seconds:g} s:\n{self.text}")

    def types(self, text: str) -> None:
        """Type as people do, a key at a time."""
        for key in text:
            self.press(key, 0.03)

    def hits(self, keys: str, then: str, seconds: float = 60.0) -> re.Match[str]:
        """Press keys that are one to the app (arrows, control), and wait for what they do."""
        self.press(keys, 0.03)
        return self.sees(then, seconds)

    def goes(self, key: str, screen: str, then: str = "", seconds: float = 60.0) -> re.Match[str]:
        """Go to a screen of the app by its key, and wait for what it shows."""
        self.hits(key, f"^ {key} {screen} ", seconds)
        return self.sees(then, seconds)
