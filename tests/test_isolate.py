from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isolated_functions import behave

from colonnade.engine.errors import ColonnadeError
from colonnade.engine.isolate import IsolatedPool, Outcome
from colonnade.engine.isolated_worker import MEMORY_BYTES

TESTS = Path(__file__).parent


def outcomes(items: list[str], **options: object) -> dict[str, Outcome[str, str]]:
    with IsolatedPool(behave, **options) as pool:  # type: ignore[arg-type]
        return {outcome.item: outcome for outcome in pool.run(items)}


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
def test_a_bomb_gets_no_more_memory_than_the_limit() -> None:
    found = outcomes([f"big:{MEMORY_BYTES + (1 << 20)}", "double:a"], workers=1)
    bomb, other = found.values()
    assert bomb.error == "MemoryError" and not bomb.died and other.value == "aa"


def test_every_item_gets_one_outcome() -> None:
    items = [f"double:{number}" for number in range(500)]
    with IsolatedPool(behave, workers=2) as pool:
        results = list(pool.run(items))
    assert Counter(result.item for result in results) == Counter(items)
    assert all(result.value == result.item.removeprefix("double:") * 2 for result in results)
    assert all(result.error is None and not result.died for result in results)


def test_bad_items_cost_only_themselves() -> None:
    bad = ["segfault", "kill", "exit", "leave", "raise", "hang:60", "sleep:60", "noise"]
    good = [f"double:{number}" for number in range(40)]
    mixed = [*good[:10], *bad, *good[10:]]
    found = outcomes(mixed, workers=2, timeout=1.0)
    assert all(found[item].value == item[7:] * 2 for item in good)
    assert found["segfault"].error == "crashed (SIGSEGV)"
    assert found["kill"].error == "crashed (SIGKILL)"
    assert found["exit"].error == "crashed (exit status 3)"
    assert found["leave"].error == "SystemExit: leaving"
    assert found["hang:60"].error == found["sleep:60"].error == "took longer than 1 s"
    assert {item for item, outcome in found.items() if outcome.died} == {
        "segfault",
        "kill",
        "exit",
        "hang:60",
        "sleep:60",
    }
    assert found["noise"].value == "noise"


def test_an_error_is_one_bounded_printable_line() -> None:
    error = outcomes(["raise"], workers=1)["raise"].error
    assert error is not None
    assert error.startswith("ValueError: no \N{REPLACEMENT CHARACTER}[31mgood xxx")
    assert len(error) == 300
    assert error.isprintable()


def test_a_crash_is_tried_again_in_a_fresh_worker(tmp_path: Path) -> None:
    item = f"once:{tmp_path / 'mark'}"
    assert outcomes([item], workers=1)[item].value == "second time"


def test_timeout_per_item() -> None:
    items = ["sleep:0.5", "sleep:0.6"]
    found = outcomes(items, workers=1, timeout=lambda item: 10.0 if item == items[0] else 0.2)
    assert found[items[0]].value == items[0]
    assert found[items[1]].error == "took longer than 0.2 s"


def test_waiting_behind_a_slow_item_does_not_count() -> None:
    items = ["sleep:0.7", "sleep:0.71", "sleep:0.72"]
    found = outcomes(items, workers=1, timeout=1.2)
    assert [found[item].error for item in items] == [None, None, None]


def test_large_results() -> None:
    found = outcomes([f"big:{size}" for size in (0, 1, 1 << 16, 5_000_000, 20_000_000)], workers=2)
    assert all(outcome.value == "x" * int(item[4:]) for item, outcome in found.items())


def test_look_ahead_is_bounded() -> None:
    taken: list[str] = []
    read: list[str] = []

    def items() -> Iterator[str]:
        for number in range(60):
            read.append(f"double:{number}")
            assert len(read) - len(taken) <= 5 + 1
            yield read[-1]

    with IsolatedPool(behave, workers=2, ahead=5) as pool:
        for outcome in pool.run(items()):
            if not taken:
                assert eventually(lambda: len(read) >= 5)  # runs ahead while the caller is busy
            taken.append(outcome.item)
            time.sleep(0.002)
    assert len(taken) == len(read) == 60


def test_workers_start_when_there_is_work_and_stay_for_the_next_run() -> None:
    with IsolatedPool(behave, workers=4) as pool:
        assert list(pool.run([])) == []
        assert pool.pids == []
        first = {outcome.value for outcome in pool.run(["pid"])}
        assert {str(pid) for pid in pool.pids} == first
        assert {outcome.value for outcome in pool.run(["pid"])} == first


def test_an_exception_of_the_items_is_raised_in_the_caller() -> None:
    def items() -> Iterator[str]:
        yield "double:1"
        raise LookupError("no more")

    with IsolatedPool(behave, workers=1) as pool, pytest.raises(LookupError, match="no more"):
        list(pool.run(items()))


def test_leaving_early_kills_the_workers() -> None:
    with IsolatedPool(behave, workers=2, timeout=100.0) as pool:
        for _ in pool.run(["double:1", "hang:100", "hang:101", "hang:102"]):
            pids = pool.pids
            break
        assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_pool_runs_again_after_leaving_early() -> None:
    with IsolatedPool(behave, workers=1) as pool:
        running = pool.run(f"double:{number}" for number in range(1000))
        next(running)
        cast("Generator[object]", running).close()
        assert [outcome.value for outcome in pool.run(["double:ab"])] == ["abab"]


def test_functions_that_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="not importable by name"):
        IsolatedPool(lambda item: item)


def test_large_items_are_refused() -> None:
    with IsolatedPool(behave, workers=1) as pool, pytest.raises(ValueError, match="pass what names it"):
        list(pool.run(["x" * 100_000]))


def test_a_function_that_cannot_be_imported_is_told() -> None:
    with IsolatedPool(partial(behave), workers=1) as pool:
        pool._crew._function = pool._crew._function.replace(b"isolated_functions", b"isolated_functionZ")
        with pytest.raises(ColonnadeError, match="cannot be started: ModuleNotFoundError"):
            list(pool.run(["double:1"]))


def test_workers_import_little_and_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle", "struct", "socket", "colonnade"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger was imported')")
    monkeypatch.chdir(tmp_path)
    modules = set(str(outcomes(["modules"], workers=1)["modules"].value).split())
    assert not modules & {"numpy", "torch", "pyarrow", "PIL", "subprocess", "multiprocessing", "typer"}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.sampled_from(["double:1", "double:2", "exit", "raise", "sleep:0.01", "kill", "big:300000"])),
    st.integers(1, 3),
    st.integers(1, 6),
)
def test_any_mixture_gives_each_item_its_outcome(kinds: list[str], workers: int, ahead: int) -> None:
    with IsolatedPool(behave, workers=workers, ahead=ahead, timeout=20.0) as pool:
        results = list(pool.run(kinds))
    assert Counter(result.item for result in results) == Counter(kinds)
    for result in results:
        assert (result.error is None) == (result.item not in ("exit", "raise", "kill"))


PARENT = """
import sys, time
sys.path.insert(0, {tests!r})
from isolated_functions import behave
from colonnade.engine.isolate import IsolatedPool
with IsolatedPool(behave, workers=2, timeout={timeout}) as pool:
    try:
        for outcome in pool.run(["double:1", "double:2", "hang:{hang}", "hang:{hang}"]):
            print(*pool.pids, flush=True)
    finally:
        print("left", flush=True)
"""


def start_parent(timeout: float, hang: float) -> tuple[subprocess.Popen[str], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(tests=str(TESTS), timeout=timeout, hang=hang)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    parent.stdout.readline()
    return parent, [int(pid) for pid in parent.stdout.readline().split()]


def test_ctrl_c_leaves_at_once_with_no_process_behind() -> None:
    parent, pids = start_parent(timeout=100, hang=100)
    os.killpg(parent.pid, signal.SIGINT)
    said, _ = parent.communicate(timeout=10)
    assert said.endswith("left\n")
    assert pids
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


@pytest.mark.slow
def test_hanging_workers_do_not_outlive_a_killed_parent() -> None:
    parent, pids = start_parent(timeout=0.2, hang=100)
    parent.kill()
    parent.wait()
    parent.communicate()
    assert pids
    assert eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), 15)


def test_a_signal_to_the_whole_group_is_not_taken_for_a_crash() -> None:
    with IsolatedPool(behave, workers=1) as pool:
        running = pool.run(["double:1", "sleep:0.6"])
        next(running)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pool.pids[0], number)
        assert next(running).error is None


def test_standing_still_does_not_count_as_a_hang() -> None:
    with IsolatedPool(behave, workers=1, timeout=1.5) as pool:
        running = pool.run(["double:1", "sleep:1"])
        next(running)
        pid = pool.pids[0]
        helper = subprocess.Popen(
            ["sh", "-c", f"kill -STOP {os.getpid()} {pid}; sleep 3; kill -CONT {os.getpid()} {pid}"]
        )
        assert next(running).error is None
        helper.wait()
