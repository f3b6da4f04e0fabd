"""Importing vectors: images, prompts, and what a changed vector makes void."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from collections_on_disk import make_store, scan, write_image
from query_stores import image
from vector_files import (
    PROMPTS,
    VOCABULARY,
    add_files,
    image_file,
    new_store,
    prompt_file,
    scored,
    stored_vectors,
    vectors,
)

from colonnade.engine.derive_run import derive_attributes
from colonnade.engine.embedding_rows import add_vectors
from colonnade.engine.errors import ConflictError, InputError, ModelError
from colonnade.engine.formats import PATH_COLUMNS, write_paths
from colonnade.engine.import_embeddings import Imported, import_embeddings, import_vectors
from colonnade.engine.prompts import BACKGROUND, prompt_vectors, require_prompts, store_prompts
from colonnade.engine.query import run_query
from colonnade.engine.registry import add_root
from colonnade.engine.settings import Model
from colonnade.engine.stage import open_stage
from colonnade.engine.store import Store
from colonnade.engine.tables import read_files
from colonnade.engine.tag import tag
from colonnade.engine.vector_columns import vectors_of

MODEL = Model("m", "", 8, 100.0)
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path / "s")


def load(
    store: Store, *, block: np.ndarray | None = None, prompts: np.ndarray | None = None, **options: object
) -> Imported:
    """Import four images, prompts, or both."""
    folder = store.path.parent
    images = image_file(folder / "i.parquet", NAMES, block) if block is not None else None
    text = prompt_file(folder / "t.parquet", prompts) if prompts is not None else None
    given = {"key": "m", "logit_scale": 100.0} | options
    return import_embeddings(store, images, text=text, **given)  # type: ignore[arg-type]


def make_all(store: Store) -> None:
    tag(store)
    derive_attributes(store)


def test_first_import_makes_rows_and_the_active_model(store: Store) -> None:
    done = load(store, block=vectors(4), prompts=vectors(3, seed=1))
    assert done == Imported("m", images=4, new=4, prompts=3, activated=True)
    active = store.settings.active
    assert active == Model("m", "", 8, 100.0)
    rows = read_files(store.snapshot().files("images")).to_pylist()
    assert [row["path"] for row in rows] == list(NAMES)
    assert {(row["state"], row["source"], row["root"]) for row in rows} == {("ok", "import", None)}
    assert store.snapshot().number == 2, "one commit"
    make_all(store)
    both = stored_vectors(store, "m")
    prompt = prompt_vectors(store.snapshot(), active)["a photo of Earth"]
    stored = read_files(store.snapshot().files("scores", "earth"), ["logit"])["logit"].to_pylist()
    assert np.allclose(stored, [100 * both[name] @ prompt for name in NAMES], atol=1e-4)


def test_importing_again_changes_nothing(store: Store) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    make_all(store)
    before = store.snapshot().number
    done = load(store, block=vectors(4), prompts=vectors(3, seed=1))
    assert (done.new, done.updated, done.unchanged, done.dropped) == (0, 0, 4, ())
    assert store.snapshot().number == before


@pytest.mark.parametrize("rows", [4, 3])
def test_importing_again_mends_what_is_damaged(store: Store, rows: int) -> None:
    """The vectors that are brought are stored, what else the file held is lost, and nothing is called unchanged."""
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    make_all(store)
    before = stored_vectors(store, "m")
    (file,) = store.snapshot().files("embeddings", "m")
    content = bytearray(file.path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    file.path.chmod(0o644)
    file.path.write_bytes(content)
    told: list[str] = []
    images = image_file(store.path.parent / "again.parquet", NAMES[:rows], vectors(4)[:rows])
    done = import_embeddings(store, images, key="m", logit_scale=None, on_conflict=told.append)
    assert (done.new, done.updated, done.unchanged) == (0, rows, 0)
    assert len(told) == 1
    assert told[0].startswith(f"{file.path}: damaged")
    after = stored_vectors(store, "m")
    assert after.keys() == set(NAMES[:rows])
    assert all(np.array_equal(after[name], before[name]) for name in after)
    assert scored(store, "earth") == {}
    make_all(store)
    assert set(scored(store, "earth")) == set(range(rows))


def test_new_vectors_of_some_images_void_their_scores_alone(store: Store) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    make_all(store)
    before = scored(store, "earth")
    block = vectors(4)
    block[2] = vectors(1, seed=9)
    done = load(store, block=block)
    assert (done.new, done.updated, done.unchanged) == (0, 1, 3)
    for code in ("earth", "moon", "both", "neither", "moonless"):
        assert set(scored(store, code)) == {0, 1, 3}
    make_all(store)
    after = scored(store, "earth")
    assert after[2] != before[2]
    assert {i: after[i] for i in (0, 1, 3)} == {i: before[i] for i in (0, 1, 3)}
    assert np.array_equal(stored_vectors(store, "m")["c.jpg"], stored_vectors(store, "m")["c.jpg"])


def test_vectors_of_another_model_leave_the_scores_of_this_one(store: Store) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    make_all(store)
    files = store.snapshot().files("scores")
    other = Model("other", "", 8, 100.0)
    for seed in (5, 6):
        done = import_vectors(store, other, list(NAMES), vectors(4, seed=seed))
        assert store.snapshot().files("scores") == files
    assert done.updated == 4
    assert store.settings.active is not None and store.settings.active.key == "m"


def test_a_name_that_is_a_file_of_the_store_gives_it_its_vector(store: Store) -> None:
    add_files(store, image(0, path="a.jpg"), image(1, path="x/b.jpg"), image(2, path="c.jpg", root="other"))
    done = load(store, block=vectors(4))
    assert (done.new, done.updated) == (2, 2)
    rows = read_files(store.snapshot().files("images"), ["image_id", "path", "source"]).to_pylist()
    assert [(r["image_id"], r["path"], r["source"]) for r in rows[3:]] == [
        (3, "b.jpg", "import"),
        (4, "d.jpg", "import"),
    ]
    assert sorted(stored_vectors(store, "m")) == sorted(NAMES)


def two_roots(tmp_path: Path) -> Store:
    """A store over two folders that have an `x.png` each: `one/x.png` has id 0, `two/x.png` id 1."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    store = Store.create(tmp_path / "s", vocabulary=VOCABULARY, model="hash", roots=folders)
    add_files(store, image(0, path="x.png", root="one"), image(1, path="x.png", root="two"))
    return store


def stored_ids(store: Store) -> dict[int, np.ndarray]:
    """Image id -> vector of the model `m`."""
    data = read_files(store.snapshot().files("embeddings", "m"))
    return dict(zip(data["image_id"].to_pylist(), vectors_of(data["embedding"]), strict=True))


def test_a_path_that_several_images_have_is_refused(tmp_path: Path) -> None:
    store = two_roots(tmp_path)
    before = store.snapshot().number
    file = image_file(tmp_path / "i.parquet", ["new.png", "x.png"], vectors(2))
    with pytest.raises(InputError) as caught:
        import_embeddings(store, file, key="m", logit_scale=1, path_column="path")
    text = str(caught.value)
    assert text.startswith(
        f"{file}: row 2: 'x.png': 2 images have this path: one/x.png (id 0), two/x.png (id 1)"
    )
    assert text.endswith("give the whole path")
    assert "\n" not in text
    assert store.snapshot().number == before
    assert store.settings.models == ()
    assert list((store.path / "_stage").iterdir()) == []


def test_whole_paths_tell_images_of_one_path_apart(tmp_path: Path) -> None:
    store = two_roots(tmp_path)
    block = vectors(2)
    done = import_vectors(store, MODEL, [str(tmp_path / name / "x.png") for name in ("two", "one")], block)
    assert (done.new, done.updated) == (0, 2)
    stored = stored_ids(store)
    assert np.array_equal(stored[1], block[0])
    assert np.array_equal(stored[0], block[1])


def test_whole_paths_as_a_query_prints_them(tmp_path: Path) -> None:
    names = (b"a.jpg", "é/b c.jpg".encode(), b"like\\xe9.jpg")
    store = make_store(tmp_path, images=1)
    photos = store.settings.roots[0].path
    for seed, name in enumerate(names):
        write_image(photos / name.decode(), 10 + seed)
    scan(store)
    sink = BytesIO()
    files = run_query(store.snapshot(), "source = 'file'", [], columns=PATH_COLUMNS)
    write_paths(files, {root.name: root.path for root in store.settings.roots}, sink)
    printed = sink.getvalue().decode().splitlines()
    assert len(printed) == 4
    done = import_vectors(store, MODEL, [*printed, str(photos / "none.jpg")], vectors(5))
    assert (done.new, done.updated) == (1, 4)
    done = import_vectors(store, MODEL, ["000.jpg", "a.jpg", str(photos / "none.jpg")], vectors(3, seed=4))
    assert (done.new, done.updated) == (0, 3)


def test_an_imported_row_comes_before_files_of_its_path_but_not_of_a_whole_path(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    whole = str(tmp_path / "one" / "x.png")
    import_vectors(store, MODEL, ["x.png", whole], vectors(2))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        add_root(store, tmp_path / name)
    add_files(store, image(2, path="x.png", root="one"), image(3, path="x.png", root="two"))
    done = import_vectors(store, MODEL, ["x.png", whole], vectors(2))
    assert (done.new, done.updated, done.unchanged) == (0, 1, 1)
    assert sorted(stored_ids(store)) == [0, 1, 2]


def test_of_images_that_share_root_and_path_the_one_that_is_there_is_meant(tmp_path: Path) -> None:
    store = two_roots(tmp_path)
    add_files(
        store,
        image(2, path="x.png", root="one", state="missing"),
        image(3, path="y.png", root="one", state="missing"),
        image(4, path="y.png", root="one"),
        image(5, path="z.png", root="one", state="missing"),
        image(6, path="z.png", root="one", state="missing"),
        image(7, path="w.png", root="one", state="missing"),
    )
    import_vectors(store, MODEL, [str(tmp_path / "one" / "x.png"), "y.png", "w.png"], vectors(3))
    assert sorted(stored_ids(store)) == [0, 4, 7]
    for name in ("z.png", str(tmp_path / "one" / "z.png")):
        with pytest.raises(InputError, match=r"row 1: .*2 images .*\(id 5, missing\).*`forget`"):
            import_vectors(store, MODEL, [name], vectors(1))


def test_two_rows_of_one_image_are_refused(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s")
    (tmp_path / "one").mkdir()
    add_root(store, tmp_path / "one")
    add_files(store, image(0, path="x.png", root="one"))
    with pytest.raises(InputError, match=r"row 3: 'x\.png' is the image of row 1 too"):
        import_vectors(store, MODEL, [str(tmp_path / "one" / "x.png"), "n.png", "x.png"], vectors(3))
    assert store.snapshot().partitions("embeddings") == ()


def test_bare_and_named_uuids_are_recorded(store: Store) -> None:
    uuid = "0B5E1F00-AAAA-4BBB-8CCC-0123456789AB"
    import_vectors(store, Model("m", "", 8, 1.0), [uuid, f"x/{uuid}.jpg", "else"], vectors(3))
    rows = read_files(store.snapshot().files("images"), ["uuid"])["uuid"].to_pylist()
    assert rows == [uuid.lower(), uuid.lower(), None]


def test_text_alone_and_background_later(store: Store, tmp_path: Path) -> None:
    load(store, block=vectors(4))
    with pytest.raises(ModelError):
        tag(store)
    done = load(store, prompts=vectors(3, seed=1), logit_scale=None)
    assert done == Imported("m", prompts=3)
    background = prompt_file(tmp_path / "b.parquet", vectors(2, seed=2), ["a cup", "a photo of Earth"])
    done = import_embeddings(store, None, key="m", logit_scale=None, background=background)
    assert done == Imported("m", background=2)
    model = store.settings.active
    assert model is not None
    assert set(prompt_vectors(store.snapshot(), model)) == set(PROMPTS)
    assert set(prompt_vectors(store.snapshot(), model, BACKGROUND)) == {"a cup", "a photo of Earth"}
    make_all(store)
    assert len(scored(store, "both")) == 4


def test_text_and_background_in_one_import(store: Store, tmp_path: Path) -> None:
    text = prompt_file(tmp_path / "t.parquet", vectors(3, seed=1))
    background = prompt_file(tmp_path / "b.parquet", vectors(3, seed=2))
    import_embeddings(store, None, key="m", logit_scale=10, text=text, background=background)
    model = store.settings.model("m")
    assert model is not None
    assert store.settings.active is None, "prompts alone make no model active"
    assert len(prompt_vectors(store.snapshot(), model)) == 3
    assert len(prompt_vectors(store.snapshot(), model, BACKGROUND)) == 3
    assert load(store, block=vectors(4), logit_scale=None).activated


def test_a_changed_prompt_vector_voids_what_was_made_with_it(store: Store) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    make_all(store)
    before = {code: scored(store, code) for code in ("earth", "moon", "both", "neither", "moonless")}
    other = vectors(3, seed=1)
    other[0] = vectors(1, seed=7)
    done = load(store, prompts=other)
    assert done.dropped == ("both", "earth", "neither")
    assert scored(store, "earth") == {}
    assert scored(store, "moon") == before["moon"]
    assert scored(store, "moonless") == before["moonless"]
    make_all(store)
    assert set(scored(store, "earth")) == set(range(4))
    assert scored(store, "earth") != before["earth"]
    assert scored(store, "both").keys() == before["both"].keys()


def test_a_changed_background_phrase_voids_nothing_yet(store: Store, tmp_path: Path) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    for seed in (2, 3):
        background = prompt_file(tmp_path / "b.parquet", vectors(3, seed=seed))
        make_all(store)
        done = import_embeddings(store, None, key="m", logit_scale=None, background=background)
        assert done.dropped == ()


def test_prompts_of_another_model_void_nothing(store: Store) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    make_all(store)
    load(store, prompts=vectors(3, seed=1), key="n")
    assert load(store, prompts=vectors(3, seed=2), key="n").dropped == ()


def test_logit_scale_and_bias(store: Store) -> None:
    load(store, block=vectors(4), prompts=vectors(3, seed=1))
    tag(store)
    load(store, prompts=vectors(3, seed=1), logit_scale=10.0, logit_bias=-2.0)
    assert store.settings.active == Model("m", "", 8, 10.0, -2.0)
    assert set(tag(store).attributes) == {"earth", "moon"}, "another scale makes logits stale"
    load(store, prompts=vectors(3, seed=1), logit_scale=None)
    assert store.settings.active == Model("m", "", 8, 10.0, -2.0), "what is not said stays"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"logit_scale": 0.0}, "above 0"),
        ({"logit_scale": float("nan")}, "logit scale"),
        ({"logit_scale": -1.0}, "above 0"),
        ({"logit_bias": float("inf")}, "bias"),
        ({"logit_scale": None}, "--logit-scale"),
        ({"key": ""}, "printable"),
        ({"key": "a\nb"}, "printable"),
        ({"key": "x" * 200}, "printable"),
        ({"key": "é" * 140}, "too long"),
        ({"id_column": "path", "path_column": "path"}, "exclude"),
        ({"id_column": "nope"}, "no column"),
    ],
)
def test_wrong_options_store_nothing(store: Store, options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        load(store, block=vectors(4), prompts=vectors(3), **options)
    assert store.snapshot().number == 1
    assert store.settings.models == ()


def test_nothing_is_half_imported(store: Store, tmp_path: Path) -> None:
    bad = vectors(4)
    bad[3, 0] = np.nan
    with pytest.raises(InputError, match="row 4"):
        load(store, block=bad, prompts=vectors(3))
    with pytest.raises(InputError, match="row 2"):
        load(store, block=vectors(4), prompts=np.vstack([vectors(1), np.zeros((2, 8), np.float32)]))
    with pytest.raises(InputError, match="vectors of 5 numbers"):
        load(store, block=vectors(4), prompts=vectors(3, 5))
    with pytest.raises(InputError, match="nothing to import"):
        load(store)
    assert store.snapshot().number == 1
    assert store.settings.models == ()
    assert list((store.path / "_stage").iterdir()) == []
    load(store, block=vectors(4))
    with pytest.raises(InputError, match=r"model m has 8 here"):
        load(store, block=vectors(4, 5))


def test_a_second_model_does_not_take_over(store: Store) -> None:
    assert load(store, block=vectors(4)).activated
    assert not load(store, block=vectors(4, 5), key="n").activated
    active = store.settings.active
    assert active is not None
    assert active.key == "m"
    assert read_files(store.snapshot().files("images")).num_rows == 4


def test_an_import_that_was_interrupted_before_the_settings_can_be_repeated(
    store: Store, tmp_path: Path
) -> None:
    load(store, block=vectors(4))
    settings = store.path / "colonnade.toml"
    settings.write_bytes(settings.read_bytes().split(b"\n[[models]]")[0].replace(b'model_key = "m"', b""))
    assert store.settings.active is None
    with pytest.raises(InputError, match="model m has 8"):
        load(store, block=vectors(4, 5))
    done = load(store, block=vectors(4))
    assert done.activated
    assert (done.new, done.unchanged) == (0, 4)
    assert store.settings.active is not None


def test_prompts_without_a_vector_are_named(store: Store) -> None:
    load(store, block=vectors(4))
    with pytest.raises(ModelError) as caught:
        tag(store)
    text = str(caught.value)
    assert all(repr(prompt) in text for prompt in PROMPTS)
    assert "--text" in text
    assert "\n" not in text


@pytest.mark.slow  # imports torch
def test_a_key_that_cannot_be_loaded_names_the_prompts_too(store: Store) -> None:
    load(store, block=vectors(4), key="No-Such-Architecture/none")
    with pytest.raises(ModelError) as caught:
        tag(store)
    assert all(repr(prompt) in str(caught.value) for prompt in PROMPTS)
    assert "--text" in str(caught.value)


def test_shards_are_filled_in_order(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one shard, rows out of order, some of them known: each image ends up with its own vector."""
    from colonnade.engine import columns, import_rows, import_shards, stage

    for module in (columns, import_rows, import_shards):
        monkeypatch.setattr(module, "SHARD_BITS", 4)
    monkeypatch.setattr(stage, "shard_of", lambda image_id: image_id >> 4)
    names = [f"n{i}" for i in range(50)]
    block = vectors(50)
    model = Model("m", "", 8, 1.0)
    import_vectors(store, model, names[:20], block[:20])
    order = np.random.default_rng(3).permutation(50)
    done = import_vectors(store, model, [names[i] for i in order], block[order])
    assert (done.new, done.unchanged) == (30, 20)
    stored = stored_vectors(store, "m")
    assert all(np.array_equal(stored[name], block[i]) for i, name in enumerate(names))
    assert store.snapshot().shards("images") == (0, 1, 2, 3)


def test_images_added_meanwhile_are_found_on_the_second_try(store: Store, tmp_path: Path) -> None:
    """Another import of the same names between the reading and the commit of this one."""
    model = Model("m", "", 8, 1.0)
    said: list[str] = []

    class Slow:
        names = NAMES
        dimension = 8
        path = Path("slow")
        other_done = False

        def blocks(self):  # type: ignore[no-untyped-def]
            if not self.other_done:
                self.other_done = True
                import_vectors(store, model, ["z.jpg", "c.jpg"], vectors(2, seed=5))
            yield vectors(4)

    from colonnade.engine.import_embeddings import store_vectors

    done = store_vectors(store, model, images=Slow(), on_conflict=said.append)
    assert len(said) == 1
    assert (done.new, done.updated) == (3, 1)
    paths = read_files(store.snapshot().files("images"), ["path"])["path"].to_pylist()
    assert sorted(paths) == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "z.jpg"]


def test_a_prompt_encoded_twice_keeps_one_vector(store: Store) -> None:
    model = Model("m", "", 8, 1.0)
    first, second = vectors(2)

    def keep(vector: np.ndarray) -> None:
        with open_stage(store.path, command="test") as stage:
            store_prompts(stage, model, {"p": vector})
            stage.commit()

    keep(first)
    number = store.snapshot().number
    keep(first)
    assert store.snapshot().number == number
    with pytest.raises(ConflictError):
        keep(second)
    with open_stage(store.path, command="test") as stage:
        require_prompts(stage, model, {"p": second})
        add_vectors(stage, store.snapshot(), model, 0, np.array([0]), vectors(1))
        with pytest.raises(ConflictError):
            stage.commit()


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_imagenet_zero_shot(tmp_path: Path) -> None:
    """The logits of the store give the figure that is known for these vectors."""
    import duckdb
    import pyarrow.parquet as pq

    text = pq.read_table(DATA / "clip_vit_b32" / "imagenet_text.parquet")
    classes = text["class"].to_pylist()
    prompts = [f"{name} {i}" for i, name in enumerate(classes)]
    pq.write_table(text.select(["embedding"]).add_column(0, "prompt", [prompts]), tmp_path / "t.parquet")
    lines = [f"  - {{code: c{i}, label: L, description: d, prompts: ['{p.replace(chr(39), chr(39) * 2)}']}}"
             for i, p in enumerate(prompts)]  # fmt: skip
    store = new_store(tmp_path / "s", "\n".join(["base_attributes:", *lines]).encode())
    images = DATA / "clip_vit_b32" / "imagenet_images.parquet"
    done = import_embeddings(
        store, images, key="clip", logit_scale=100, path_column="name", text=tmp_path / "t.parquet"
    )
    assert (done.new, done.prompts) == (4000, 1000)
    tag(store)
    row = (
        duckdb.connect()
        .execute(f"""
        WITH best AS (
            SELECT image_id, arg_max(attribute_code, logit) AS code
            FROM read_parquet('{store.path}/scores/**/*.parquet', hive_partitioning = true)
            GROUP BY ALL
        )
        SELECT avg((code = 'c' || label)::INT)
        FROM best
        JOIN read_parquet('{store.path}/images/*.parquet') USING (image_id)
        JOIN read_parquet('{images}') AS truth ON truth.name = path
    """)
        .fetchone()
    )
    assert row is not None
    assert row[0] == pytest.approx(0.612, abs=0.002)  # two classes of one name tie
