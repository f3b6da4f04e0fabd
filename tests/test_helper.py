"""The helper process and its client, as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collections_on_disk import make_store
from sound_stores import sound_store

from colonnade.engine.import_embeddings import import_vectors
from colonnade.engine.settings import Model, update_settings
from colonnade.engine.store import Store
from colonnade.tui.helper_client import HelperClient
from colonnade.tui.helper_errors import HelperError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return sound_store(tmp_path_factory.mktemp("s") / "store")


@pytest.fixture(scope="module")
def shared(store: Store) -> Iterator[HelperClient]:
    client = HelperClient(store.path, "writer")
    yield client
    client.close()


def talk(store: Path, lines: bytes, *options: str) -> tuple[list[dict[str, Any]], int]:
    """What a helper answers to some bytes on stdin, and its exit status."""
    command = [sys.executable, "-m", "colonnade.tui.helper", str(store), *options]
    done = subprocess.run(command, input=lines, capture_output=True, timeout=60, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def test_wrong_requests_harm_nothing(store: Store) -> None:
    wrong = [b"{", b"[1]", b"null", b'{"id": 1}', b'{"id": true, "op": "ping"}', b'{"id": 2, "op": "ping", "args": 3}',
             b"\xff\xfe", b"[" * 100_000, b'{"id": 3, "op": "nothing"}', b'{"id": 4, "op": "plan", "args": {"x": 1}}',
             b'{"id": 5, "op": "save_set", "args": {"name": "a", "ids": ["x"]}}',
             b'{"id": 6, "op": "run", "args": {}}', b'{"id": 7, "op": "__init__"}']  # fmt: skip
    answers, code = talk(store.path, b"\n".join([*wrong, b'{"id": 99, "op": "ping"}', b""]))
    assert code == 0
    assert answers[-1] == {"id": 99, "result": "pong"}
    assert len(answers) == len(wrong) + 1
    assert all("\n" not in answer["error"] for answer in answers[:-1])
    assert {answer["kind"] for answer in answers[:-1]} == {"input"}


@pytest.mark.slow
def test_a_request_without_end_is_refused(store: Store) -> None:
    lines = b'{"id": 1, "op": "' + b"x" * (33 << 20) + b'"}\n{"id": 2, "op": "ping"}\n'
    answers, code = talk(store.path, lines)
    assert [answer.get("kind") or answer["result"] for answer in answers] == ["input", "pong"]
    assert code == 0


def test_it_ends_when_idle(store: Store) -> None:
    command = [sys.executable, "-m", "colonnade.tui.helper", str(store.path), "--idle", "0.2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.wait(20) == 0


def test_what_libraries_print_stays_out_of_the_answers(store: Store, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from colonnade.tui import helper, helper_ops\n"
        "def noisy(helper):\n"
        "    print('a library speaks'); os.write(1, b'and another\\n'); sys.stdout.flush()\n"
        "    return 'quiet'\n"
        "helper_ops.OPS['noisy'] = noisy\n"
        f"sys.argv = ['helper', {str(store.path)!r}]\n"
        "helper.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=b'{"id": 1, "op": "noisy"}\n',
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == b'{"id":1,"result":"quiet"}\n'
    assert b"a library speaks" in done.stderr
    assert b"and another" in done.stderr


def test_plan_states_and_explain(shared: HelperClient, store: Store) -> None:
    plan = shared.call("plan", scan=False)
    assert plan["empty"]
    assert plan["lines"] == ["nothing to do: everything is fresh"]
    assert shared.call("states") == {"earth": "fresh", "moon": "fresh", "both": "fresh"}
    found = shared.call("explain", image_id=3, code="both")
    assert found["lines"][0].startswith("both: ")
    assert any("all_of earth" in line for line in found["lines"])


def test_explain_means_the_id_where_paths_are_numbers(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=0)
    model = Model("other", "", 4, 100.0)
    update_settings(store.path, lambda now: now.with_model(model, activate=True))
    import_vectors(store, model, ["1", "0"], np.eye(4, dtype=np.float32)[:2])
    with closing(HelperClient(store.path, "writer")) as client:
        assert client.call("explain", image_id=1, code="earth")["lines"]


def test_sets(shared: HelperClient, store: Store) -> None:
    assert shared.call("save_set", name="mine", ids=[3, 1, 3]) == 2
    assert store.query("in_set(mine)").fetch()[0][0] == 1
    assert shared.call("save_set", name="mine", ids=[5]) == 1
    assert [row[0] for row in store.query("in_set(mine)")] == [5]
    with pytest.raises(HelperError, match="there is a set of this name"):
        shared.call("save_set", name="mine", ids=[5], replace=False)
    for name, ids in (("", [1]), ("a\nb", [1]), ("x" * 65, [1]), ("mine", [10_000]), ("mine", [-1])):
        with pytest.raises(HelperError) as caught:
            shared.call("save_set", name=name, ids=ids)
        assert caught.value.kind == "input"
    shared.call("remove_set", name="mine")
    assert "mine" not in store.snapshot().partitions("sets")
    assert store.snapshot().partitions("sets") == ("best of",)
    with pytest.raises(HelperError, match="no such set"):
        shared.call("remove_set", name="mine")


def test_similar_images_need_no_model(shared: HelperClient) -> None:
    found = shared.call("similar", image_id=2, limit=5)
    assert len(found) == 5
    assert 2 not in [row["image_id"] for row in found]
    cosines = [row["cosine"] for row in found]
    assert cosines == sorted(cosines, reverse=True)
    with pytest.raises(HelperError, match="no embedding") as caught:
        shared.call("similar", image_id=10_000)
    assert caught.value.kind == "input"


def test_a_model_that_cannot_encode_is_one_line(shared: HelperClient) -> None:
    with pytest.raises(HelperError) as caught:
        shared.call("search_text", text="a boot print")
    assert caught.value.kind == "model"
    assert "\n" not in str(caught.value)
    assert shared.call("search_text", text="a photo of the earth", limit=3)


def test_a_killed_helper_is_told_and_started_anew(store: Store) -> None:
    client = HelperClient(store.path, "model")
    assert client.call("ping") == "pong"
    process = client._process
    assert process is not None
    caught: list[HelperError] = []

    def ask() -> None:
        try:
            client.call("similar_to_file", file="/dev/zero")
        except HelperError as error:
            caught.append(error)

    os.kill(process._process.pid, signal.SIGSTOP)
    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.1)
    os.kill(process._process.pid, signal.SIGKILL)
    thread.join(20)
    assert str(caught[0]) == "the model helper was killed by signal 9; the next call starts it anew"
    assert client.call("ping") == "pong"
    client.close()
    with pytest.raises(HelperError):
        client.call("ping")


def test_no_answer_in_time(store: Store) -> None:
    client = HelperClient(store.path, "writer")
    client.call("ping")
    assert client._process is not None
    os.kill(client._process._process.pid, signal.SIGSTOP)
    with pytest.raises(HelperError, match=r"no answer within 0.2 s") as caught:
        client.call("ping", timeout=0.2)
    assert caught.value.kind == "timeout"
    assert client.call("ping", timeout=30) == "pong"
    client.close()


def test_an_idle_end_is_not_noticed(store: Store) -> None:
    client = HelperClient(store.path, "writer", idle_s=0.1)
    assert client.call("ping") == "pong"
    process = client._process
    assert process is not None
    for _ in range(100):
        if not process.alive:
            break
        time.sleep(0.1)
    assert not process.alive
    assert client.call("ping") == "pong"
    client.close()


def test_it_ends_with_the_app(store: Store) -> None:
    code = (
        "import os\n"
        "from pathlib import Path\n"
        "from colonnade.tui.helper_client import HelperClient\n"
        f"client = HelperClient(Path({str(store.path)!r}), 'writer')\n"
        "client.call('ping'); print(client._process._process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the helper outlived the app")


def test_calls_from_many_threads(shared: HelperClient) -> None:
    results: list[object] = []

    def ask() -> None:
        for number in range(5):
            results.append(shared.call("similar", image_id=number, limit=1)[0]["image_id"] != number)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [True] * 20


def test_of_a_group_the_newest_is_answered(store: Store) -> None:
    lines = b'{"id": 1, "op": "states"}\n' + b"".join(
        b'{"id": %d, "op": "ping", "group": "try"}\n' % number for number in range(2, 7)
    )
    answers, _ = talk(store.path, lines)
    by_id = {answer["id"]: answer for answer in answers}
    assert by_id[6] == {"id": 6, "result": "pong"}
    assert {by_id[number].get("kind") for number in range(2, 5)} == {"superseded"}
