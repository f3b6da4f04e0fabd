"""The commands as real processes: exit codes, what goes to stdout and to stderr, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from collections_on_disk import VOCABULARY, make_store, write_image
from PIL import Image

from colonnade.engine.registry import use_model
from colonnade.engine.store import Store
from colonnade.engine.verify import verify

COLONNADE = Path(sys.executable).with_name("colonnade")


def colonnade(
    *words: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "COLONNADE_STORE"} | environment
    command = [str(COLONNADE), *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env, timeout=120)


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A synced store that tests only read."""
    store = make_store(tmp_path_factory.mktemp("synced"))
    store.sync()
    return store


@pytest.fixture
def vocabulary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mine.yaml"
    path.write_text(VOCABULARY)
    yield path


def test_from_nothing_to_an_answer(tmp_path: Path, vocabulary: Path) -> None:
    write_image(tmp_path / "photos" / "a.jpg", 1)
    write_image(tmp_path / "photos" / "deep" / "b.jpg", 2)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    store = tmp_path / "store"
    made = colonnade(
        "init", store, "--root", tmp_path / "photos", "--vocabulary", vocabulary, "--model", "hash"
    )
    assert (made.returncode, made.stdout) == (0, "")
    planned = colonnade("plan", "-s", store)
    assert planned.returncode == 1
    assert "images in photos: 3 new" in planned.stdout
    done = colonnade("sync", cwd=store)
    assert done.returncode == 0, done.stderr
    assert "unreadable: photos/broken.jpg" in done.stderr
    assert "scan" in done.stdout
    again = colonnade("sync", COLONNADE_STORE=str(store))
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing to do" in again.stderr
    assert colonnade("-s", store, "plan").returncode == 0
    counted = colonnade("-s", store, "query", "not earth or earth", "--count")
    assert counted.stdout == "2\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["sync", "--batch", "0"], 2, "--batch"),
        (["nonsense"], 2, "nonsense"),
        (["status", "-s", "{tmp}/none"], 4, "colonnade init"),
        (["init", "{tmp}/x", "--model", "no-model"], 5, "ARCH/TAG"),
        (["init", "{tmp}/x", "--model", "local-dir:{tmp}/none"], 5, "no such folder"),
        (["init", "{tmp}/x", "--vocabulary", "spcae"], 3, "space"),
        (["init", "{tmp}/x", "--root", "{tmp}/none"], 3, "not a folder"),
        (["query", "erth", "-s", "{store}"], 3, "earth"),
        (["tag", "erth", "-s", "{store}"], 3, "did you mean"),
        (["derive", "earth", "-s", "{store}"], 3, "colonnade tag earth"),
        (["explain", "000.jpeg", "-s", "{store}"], 3, "did you mean '000.jpg'"),
        (["explain", "000.jpg", "eart", "-s", "{store}"], 3, "did you mean 'earth'"),
        (["similar", "nothing.jpg", "-s", "{store}"], 3, "no such image"),
        (["query", "earth", "--at", "99", "-s", "{store}"], 3, "no snapshot 99"),
        (["model", "use", "what", "-s", "{store}"], 5, "not a model"),
        (["root", "remove", "photo", "-s", "{store}"], 3, "did you mean 'photos'"),
        (["jobs", "log", "../../etc/passwd", "-s", "{store}"], 3, "no such job"),
    ],
)
def test_a_mistake_is_one_line_and_a_code(
    synced: Store, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    done = colonnade(*(word.format(tmp=tmp_path, store=synced.path) for word in words), cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_status_tells_of_every_attribute(synced: Store) -> None:
    told = json.loads(colonnade("status", "--json", "-s", synced.path).stdout)
    assert told["images"] == {"ok": 6}
    assert told["embedded"] == 6
    assert {item["code"]: item["state"] for item in told["attributes"]} == dict.fromkeys(
        ("earth", "moon", "sun", "earth_only", "bodies", "lonely"), "fresh"
    )
    for item in told["attributes"]:
        assert item["accepted"] + item["tentative"] + item["rejected"] + item["unknown"] == 6
    shown = colonnade("status", "-s", synced.path).stdout
    assert "6 ok" in shown
    assert "earth_only" in shown


def test_nearest_images_go_into_a_file_as_its_name_says(synced: Store, tmp_path: Path) -> None:
    for name, first in (("a.csv", "image_id,path,cosine,logit"), ("a.json", "[")):
        done = colonnade("similar", "000.jpg", "-s", synced.path, "--output", tmp_path / name)
        assert (done.returncode, done.stdout) == (0, "")
        assert (tmp_path / name).read_text().splitlines()[0] == first


def test_explain_tells_of_a_changed_model_and_of_what_cannot_be_read(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no picture")
    store.sync()
    assert verify(store.path).sound
    told = colonnade("explain", "bad.jpg", "earth", "-s", store.path).stdout
    assert "earth: not scored, as it cannot be read" in told and "sync" not in told
    for stale in ({None}, {"model changed", "inputs changed"}):
        told = colonnade("explain", "000.jpg", "--json", "-s", store.path).stdout
        assert {item["stale"] for item in json.loads(told)["attributes"]} == stale
        use_model(store, "demo")


def test_explain_of_what_was_never_scored_says_what_does_it(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=1)
    assert colonnade("scan", "-s", store.path).returncode == 0
    assert "earth: not scored; `colonnade sync` does it" in (
        colonnade("explain", "000.jpg", "earth", "-s", store.path).stdout
    )


def test_explain_tells_where_a_score_comes_from(synced: Store) -> None:
    told = json.loads(colonnade("explain", "000.jpg", "--json", "-s", synced.path).stdout)
    by_code = {item["code"]: item for item in told["attributes"]}
    assert by_code["earth"]["prompts"] == ["a photo of Earth visible"]
    assert by_code["earth"]["fit"] == {"method": "fixed", "center": 25.5, "scale": 1.5}
    assert by_code["earth_only"]["rule"][0].startswith("all_of earth: ")
    assert all(item["stale"] is None for item in by_code.values())
    for name in ("0", "000.jpg", str(synced.settings.roots[0].path / "000.jpg")):
        assert "confidence" in colonnade("explain", name, "earth", "-s", synced.path).stdout


def test_search_and_similar_rank_by_cosine(synced: Store) -> None:
    found = json.loads(colonnade("search", "Earth visible", "-f", "json", "-s", synced.path).stdout)
    cosines = [row["cosine"] for row in found]
    assert len(found) == 6
    assert cosines == sorted(cosines, reverse=True)
    alike = colonnade(
        "similar", "000.jpg", "--limit", "2", "-f", "paths", "-s", synced.path
    ).stdout.splitlines()
    assert len(alike) == 2
    assert all(Path(path).is_file() for path in alike)
    assert not any(path.endswith("/000.jpg") for path in alike)
    outside = colonnade(
        "similar", synced.settings.roots[0].path / ".." / "photos" / "000.jpg", "-s", synced.path
    )
    assert outside.returncode == 0


def test_roots_and_models(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    write_image(tmp_path / "more" / "x.jpg", 9)
    assert colonnade("root", "add", tmp_path / "more", "-s", store.path).returncode == 0
    assert colonnade("root", "add", tmp_path / "more", "-s", store.path).returncode == 3
    assert colonnade("sync", "-s", store.path).returncode == 0
    roots = json.loads(colonnade("root", "list", "--json", "-s", store.path).stdout)
    assert [(root["name"], root["present"]) for root in roots] == [("photos", True), ("more", True)]
    models = json.loads(colonnade("model", "list", "--json", "-s", store.path).stdout)
    assert [(model["embedded"], model["active"]) for model in models] == [(3, True)]
    (tmp_path / "more").rename(tmp_path / "moved")
    assert colonnade("root", "move", "more", tmp_path / "moved", "-s", store.path).returncode == 0
    assert colonnade("plan", "-s", store.path).returncode == 0
    removed = colonnade("root", "remove", "more", "-s", store.path)
    assert "1 images are missing" in removed.stderr
    assert colonnade("query", "true", "--count", "-s", store.path).stdout == "2\n"


def test_a_root_that_is_not_there_is_told_every_time(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    assert colonnade("sync", "-s", store.path).returncode == 0
    (tmp_path / "photos").rename(tmp_path / "unmounted")
    for command in ("sync", "plan", "scan"):
        done = colonnade(command, "-s", store.path)
        assert done.returncode == 1
        assert "problem in photos" in done.stdout + done.stderr
    told = json.loads(colonnade("sync", "--json", "-s", store.path).stdout)
    assert len(told["plan"]["problems"]) == 1
    assert colonnade("query", "true", "--count", "-s", store.path).stdout == "2\n"


@pytest.mark.parametrize("commands", [("plan", "sync", "sync", "plan"), ("scan", "scan")])
def test_a_folder_that_cannot_be_looked_at_is_told_every_time(
    tmp_path: Path, commands: Sequence[str]
) -> None:
    store = make_store(tmp_path, images=1)
    (tmp_path / "photos" / "disk").symlink_to(tmp_path / "unmounted")
    for command in commands:
        done = colonnade(command, "-s", store.path)
        assert done.returncode == 1
        assert "problem in photos: disk: not there (a link to nothing, " in done.stdout + done.stderr
    told = json.loads(colonnade("scan", "--json", "-s", store.path).stdout)
    assert len(told["problems"]) == 1 and told["outcomes"]["scan"]["unchanged"] == 1
    (tmp_path / "unmounted").mkdir()
    assert colonnade("sync", "-s", store.path).returncode == 0
    assert colonnade("scan", "-s", store.path).returncode == 0


def test_a_picture_that_is_a_link_to_nothing_hides_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=1)
    (tmp_path / "photos" / "linked.jpg").symlink_to(tmp_path / "none.jpg")
    assert colonnade("sync", "-s", store.path).returncode == 0
    for command in ("plan", "scan"):
        done = colonnade(command, "-s", store.path)
        assert done.returncode == 0 and "linked.jpg" in done.stdout + done.stderr


def test_a_name_that_is_not_utf_8_is_found_as_typed(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=1)
    name = os.fsencode(tmp_path / "photos") + b"/latin\xe9.jpg"
    with open(name, "wb") as file:  # noqa: PTH123 (bytes)
        file.write((tmp_path / "photos" / "000.jpg").read_bytes())
    assert colonnade("sync", "-s", store.path).returncode == 0
    for typed in (os.fsdecode(b"latin\xe9.jpg"), os.fsdecode(name)):
        done = colonnade("explain", typed, "earth", "-s", store.path)
        assert done.returncode == 0, done.stderr
    assert colonnade("explain", os.fsdecode(b"no\xe9.jpg"), "-s", store.path).returncode == 3


def test_two_people_may_judge_one_image(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    assert colonnade("sync", "-s", store.path).returncode == 0
    (tmp_path / "two.csv").write_text("path,code,present,reviewer\n000.jpg,sun,yes,ann\n000.jpg,sun,no,bob\n")
    assert colonnade("labels", "import", tmp_path / "two.csv", "-s", store.path).returncode == 0
    checked = colonnade("verify", "-s", store.path)
    assert checked.returncode == 0, checked.stdout


def test_damaged_scores_can_be_made_anew(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    assert colonnade("sync", "-s", store.path).returncode == 0
    for code in ("sun", "bodies"):
        os.truncate(store.snapshot().files("scores", code)[0].path, 300)
    assert colonnade("plan", "-s", store.path).returncode == 4
    assert colonnade("tag", "sun", "--force", "-s", store.path).returncode == 0
    assert colonnade("derive", "bodies", "--force", "-s", store.path).returncode == 0
    assert (
        colonnade("query", "sun or not sun or bodies or not bodies", "--count", "-s", store.path).stdout
        == "2\n"
    )


def test_tag_derives_what_follows_where_it_is_told_to(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    assert colonnade("sync", "-s", store.path).returncode == 0
    assert colonnade("vocab", "edit", "sun", "--description", "the Sun", "-s", store.path).returncode == 0
    tagged = colonnade("tag", "--derive", "-s", store.path)
    assert (tagged.returncode, tagged.stdout.split()[0]) == (0, "sun")
    assert "bodies" in tagged.stdout.split()
    assert colonnade("plan", "-s", store.path).returncode == 0


def test_status_counts_images_without_a_score_as_unknown(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=2)
    assert colonnade("sync", "-s", store.path).returncode == 0
    write_image(tmp_path / "photos" / "new.jpg", 44)
    assert colonnade("scan", "-s", store.path).returncode == 0
    told = json.loads(colonnade("status", "--json", "-s", store.path).stdout)
    assert {item["unknown"] for item in told["attributes"]} == {1}


def test_a_store_needs_a_path_that_duckdb_can_open(tmp_path: Path) -> None:
    done = colonnade("init", os.fsdecode(os.fsencode(tmp_path) + b"/st\xff"), "--model", "hash")
    assert done.returncode == 4
    assert "not a UTF-8 path" in done.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_is_finished(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    store = make_store(tmp_path, images=0)
    write_slow_images(tmp_path / "photos", 120)
    process = subprocess.Popen(
        [COLONNADE, "-s", store.path, "sync", "--batch", "2"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        listed = sorted((store.path / "jobs").glob("*.json"))
        if (
            listed
            and (record := json.loads(listed[-1].read_text()))["phase"] == "embed"
            and record["done"] >= 4
        ):
            break
        time.sleep(0.01)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "what was finished is kept" in errors
    assert "Traceback" not in errors
    kept = json.loads(colonnade("status", "--json", "-s", store.path).stdout)["embedded"]
    assert 4 <= kept < 120
    jobs = json.loads(colonnade("jobs", "--json", "-s", store.path).stdout)
    assert jobs[0]["state"] == "interrupted"
    resumed = json.loads(colonnade("sync", "--json", "-s", store.path).stdout)
    assert resumed["outcomes"]["embed"]["embedded"] == 120 - kept


def write_slow_images(folder: Path, count: int) -> None:
    """Images that take a while to decode: one large picture, each time with another comment after its end."""
    pixels = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "first.jpg", "JPEG", quality=95)
    data = (folder / "first.jpg").read_bytes()
    for number in range(count - 1):
        (folder / f"{number:03d}.jpg").write_bytes(data + str(number).encode())


def test_a_job_can_be_stopped_and_read(tmp_path: Path) -> None:
    store = make_store(tmp_path, images=300)
    process = subprocess.Popen([COLONNADE, "-q", "-s", store.path, "sync"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    jobs: list[dict[str, object]] = []
    while not jobs and time.monotonic() < deadline:
        jobs = json.loads(colonnade("jobs", "list", "--json", "-s", store.path).stdout)
    name = jobs[0]["id"]
    stopped = colonnade("jobs", "stop", name, "-s", store.path)
    assert process.wait(60) in (143, 0)
    assert stopped.returncode == 0 or "not running" in stopped.stderr
    assert colonnade("jobs", "stop", name, "-s", store.path).returncode == 1
    assert colonnade("jobs", "log", name, "-s", store.path).returncode == 0


def test_help_is_plain_and_quick_to_make() -> None:
    shown = colonnade("--help")
    assert shown.returncode == 0
    assert "sync" in shown.stdout
    assert colonnade().returncode == 2
    assert colonnade("--version").stdout.startswith("colonnade ")


@pytest.mark.slow
def test_the_demo_twice(tmp_path: Path) -> None:
    first = colonnade("demo", tmp_path / "demo", "--images", "60", "--json")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    right = sum(row["right"] for row in told["attributes"])
    present = sum(row["present"] for row in told["attributes"])
    accepted = sum(row["accepted"] for row in told["attributes"])
    assert right >= 0.8 * present
    assert right >= 0.8 * accepted
    again = json.loads(colonnade("demo", tmp_path / "demo", "--images", "60", "--json").stdout)
    assert again["attributes"] == told["attributes"]


def test_without_images_the_plan_says_where_they_come_from(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s", vocabulary=VOCABULARY.encode(), model="hash")
    planned = colonnade("plan", "-s", store.path)
    assert (planned.returncode, planned.stdout.count("\n")) == (0, 1)
    assert "`colonnade root add FOLDER`, or import embeddings" in planned.stdout
    (tmp_path / "photos").mkdir()
    assert colonnade("root", "add", tmp_path / "photos", "-s", store.path).returncode == 0
    assert "no images in the folders of images" in colonnade("plan", "-s", store.path).stdout
