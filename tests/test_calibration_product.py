"""Calibration through the product: as good as the library on real embeddings, and attributes leave others alone."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_process import process
from planted_stores import VOCABULARY, planted_store

from colonnade.engine.store import Store

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
NEEDS_DATA = pytest.mark.skipif(
    not (DATA / "calibration").is_dir(), reason=f"{DATA}/calibration is not there"
)
WOLF = "  - {code: wolf, label: Wolf, description: a wolf, prompts: [cat again]}\n"


@NEEDS_DATA
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("collection", ["random500", "fine_dogs"])
def test_the_product_is_as_good_as_the_library(collection: str) -> None:
    """Import, fit, tag as processes, decisions by SQL over the Parquet: macro-F1 within .005."""
    command = [sys.executable, str(ROOT / "bench" / "calibration_product.py"), collection, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)[collection]
    library, product = found["library"], found["product"]
    assert product["macro_f1"] == pytest.approx(library["macro_f1"], abs=0.005)
    assert product["macro_f1"] > 0.3
    if library["absent_any"] is not None:
        assert product["absent_any"] == pytest.approx(library["absent_any"], abs=0.05)


def digests(store: Store, *without: str) -> dict[str, str]:
    """SHA-256 of each file of scores and calibrations in the live snapshot, but for those of some attributes."""
    found = {}
    for table in ("scores", "calibrations"):
        folder = (store.path / "live" / table).resolve()
        for path in sorted(folder.rglob("*.parquet")):
            if path.parent.name.removeprefix("attribute_code=") not in without:
                name = f"{table}/{path.relative_to(folder)}"
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.mark.slow
def test_adding_and_removing_an_attribute_changes_no_byte_of_the_others(tmp_path: Path) -> None:
    store = planted_store(tmp_path)
    for words in (("tag",), ("derive",)):
        assert process(store.path, *words).code == 0
    before = digests(store)
    assert {Path(name).parts[1] for name in before} == {
        f"attribute_code={code}" for code in ("cat", "dog", "ghost", "pets", "haunted")
    }
    more = VOCABULARY.replace("derived_attributes:", WOLF + "derived_attributes:")
    store.vocabulary_path.write_text(more)
    ran = process(store.path, "tag")
    assert ran.code == 0, ran.err
    assert ran.out == "wolf\n"
    assert process(store.path, "derive").code == 0
    with_wolf = digests(store)
    assert with_wolf.keys() > before.keys()
    assert digests(store, "wolf") == before
    assert process(store.path, "calibration", "fit", "wolf").code == 0
    assert digests(store, "wolf") == before
    assert process(store.path, "calibration", "set", "wolf", "--cut", 3).code == 0
    assert digests(store, "wolf") == before
    store.vocabulary_path.write_text(VOCABULARY)
    assert process(store.path, "sync").code == 0
    assert process(store.path, "drop", "wolf").code == 0
    assert {name: digest for name, digest in digests(store).items() if "wolf" not in name} == before
    fewer = "".join(line for line in VOCABULARY.splitlines(True) if "dog" not in line and "ghost" not in line)
    store.vocabulary_path.write_text(fewer)
    assert process(store.path, "drop", "ghost", "haunted").code == 0
    assert process(store.path, "sync").code == 0
    kept = digests(store, "dog", "pets", "haunted", "ghost", "wolf")
    assert kept == {name: before[name] for name in kept}
    assert any("cat" in name for name in kept)
    assert process(store.path, "verify").code == 0
