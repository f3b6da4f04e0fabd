"""A signal that comes while torch is imported is told as any other, and does not end in an abort."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_process import colonnade
from PIL import Image

from colonnade.engine.late_signals import late_signals
from colonnade.tui.cli import Interrupted, _on_signal

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of the command line, for as long as a test takes."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in NUMBERS:
        signal.signal(number, _on_signal)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in NUMBERS]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that sends its own process $STRUCK while it is imported, and then goes on."""
    name = "struck_while_imported"
    (tmp_path / f"{name}.py").write_text(
        "import os, signal, sys\n"
        "signal.raise_signal(int(os.environ['STRUCK']))\n"
        "for _ in range(1000):\n"  # a handler runs between two of these
        "    pass\n"
        "whole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize("number", NUMBERS)
def test_an_import_is_finished_first(module: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRUCK", str(int(number)))
    with pytest.raises(Interrupted) as caught, late_signals():
        assert importlib.import_module(module).whole
    assert caught.value.code == 128 + number
    assert handlers() == [_on_signal, _on_signal]


def test_it_comes_also_where_the_import_fails() -> None:
    with pytest.raises(Interrupted), late_signals():
        signal.raise_signal(signal.SIGTERM)
        raise ImportError("no such library")
    assert handlers() == [_on_signal, _on_signal]
    with pytest.raises(ImportError), late_signals():
        raise ImportError("no such library")
    assert handlers() == [_on_signal, _on_signal]


def test_what_python_does_not_handle_stays() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with late_signals():
        assert handlers() == [signal.SIG_IGN, signal.SIG_DFL]
        signal.raise_signal(signal.SIGINT)
    assert handlers() == [signal.SIG_IGN, signal.SIG_DFL]


def test_another_thread_changes_no_handler() -> None:
    seen: list[object] = []

    def work() -> None:
        with late_signals():
            seen.extend(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == handlers() == [_on_signal, _on_signal]


@pytest.mark.parametrize(("first", "second"), [NUMBERS, NUMBERS[::-1]])
def test_a_second_one_ends_the_process_at_once(first: int, second: int) -> None:
    program = (
        "import signal, sys\n"
        "from colonnade.engine.late_signals import late_signals\n"
        "from colonnade.tui.cli import _on_signal\n"
        f"signal.signal({int(first)}, _on_signal), signal.signal({int(second)}, _on_signal)\n"
        "with late_signals():\n"
        f"    signal.raise_signal({int(first)})\n"
        f"    signal.raise_signal({int(second)})\n"
        "    print('still here', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-second, b"", b"")


IN_TORCH = """
import os, sys
from colonnade.tui import cli

number, inside = int(sys.argv.pop(1)), False

def watch(frame, event, argument):
    # The first function of Python's that torch's C++ code calls: what it raises would end the process there.
    global inside
    if event == "c_call" and argument.__name__ == "_c10d_init":
        inside = True
    elif inside and event == "call":
        sys.setprofile(None)
        print("struck", file=sys.stderr)
        os.kill(os.getpid(), number)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.distributed":
            sys.setprofile(watch)

sys.meta_path.insert(0, Finder())
cli.main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", NUMBERS)
def test_an_interrupt_within_torch(tmp_path: Path, number: int) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "a.png")
    store = tmp_path / "s"
    for words in (["init", store, "--root", tmp_path / "photos", "--model", "demo"], ["-s", store, "scan"]):
        assert colonnade(None, *words).code == 0
    done = subprocess.run(
        [sys.executable, "-c", IN_TORCH, str(int(number)), "-s", str(store), "embed"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if "struck" not in done.stderr:
        pytest.skip("this build of torch has no part that calls Python from C++ here")
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr == "struck\ncolonnade: interrupted; what was finished is kept\n"
