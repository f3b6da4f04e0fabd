"""The demo: its model on freshly rendered scenes, its tokenizer, its scenes, its collection."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from colonnade.engine.demo import captions, tokenizer
from colonnade.engine.demo.collection import PHOTOS, TRUTH_FILE, load_truth, render_collection
from colonnade.engine.demo.fits import demo_fit
from colonnade.engine.demo.scenes import ATTRIBUTES, paint, plan_scene, scene_rng
from colonnade.engine.errors import InputError

DEMO = Path(str(resources.files("colonnade.engine.demo")))
FRESH_SEED = 77
FRESH_SCENES = 500
LARGEST_MODEL = 8_000_000

UNSEEN_WORDINGS = {
    "earth": ("the blue planet we call home", "blue planet Earth above clouds"),
    "moon": ("the bright full moon at night", "the grey Moon alone"),
    "sun": ("a very bright yellow sun shining", "rays of the blazing sun"),
    "ringed_planet": ("Saturn with its wide rings", "the giant planet with a ring"),
    "stars": ("thousands of bright stars at night", "a dense starry field"),
    "rocket": ("a rocket taking off", "a big white space rocket"),
    "plume": ("hot flames with thick smoke below", "the fire of burning engines"),
    "satellite": ("a satellite in orbit", "a probe that has two solar panels"),
    "astronaut": ("astronauts in suits", "a floating astronaut waves"),
    "porthole": ("seen through the round window", "the station's window"),
    "lunar_surface": ("cratered grey ground on the lunar surface", "the regolith of a lunar plain"),
    "diagram": ("some technical line drawings", "an engineering blueprint with labels"),
}
"""Wordings that no training caption has."""


@pytest.fixture(scope="module")
def model() -> Any:
    import open_clip.model
    from safetensors.torch import load_file

    config = json.loads((DEMO / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    clip = open_clip.model.CLIP(**config)
    clip.load_state_dict(load_file(DEMO / "model.safetensors"))
    return clip.eval()


@pytest.fixture(scope="module")
def fresh(model: Any) -> tuple[npt.NDArray[np.float32], list[frozenset[str]]]:
    """Unit embeddings of scenes that training never saw, through open_clip's own preprocessing, and truth."""
    import open_clip
    import torch

    config = json.loads((DEMO / "open_clip_config.json").read_text(encoding="utf-8"))
    transform = open_clip.image_transform(
        config["model_cfg"]["vision_cfg"]["image_size"], is_train=False, **config["preprocess_cfg"]
    )
    plans = [plan_scene(scene_rng(FRESH_SEED, index)) for index in range(FRESH_SCENES)]
    batch = torch.stack([transform(paint(plan, 240 if i % 2 else 160, 180)) for i, plan in enumerate(plans)])
    with torch.inference_mode():
        parts = [batch[start : start + 100] for start in range(0, FRESH_SCENES, 100)]
        embeddings = torch.cat([model.encode_image(part, normalize=True) for part in parts])
    return embeddings.numpy(), [plan.shows for plan in plans]


def logits_of(model: Any, embeddings: npt.NDArray[np.float32], prompts: list[str]) -> npt.NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        texts = model.encode_text(torch.from_numpy(tokenizer.tokenize(prompts)), normalize=True)
        return np.asarray(embeddings @ texts.numpy().T * model.logit_scale.exp().item())


def auc(values: npt.NDArray[np.float32], shown: npt.NDArray[np.bool_]) -> float:
    return float((values[shown][:, None] > values[~shown][None, :]).mean())


def test_the_model_fits_the_wheel() -> None:
    assert (DEMO / "model.safetensors").stat().st_size <= LARGEST_MODEL


@pytest.mark.slow
@pytest.mark.parametrize("code", ATTRIBUTES)
def test_every_attribute_ranks_fresh_scenes(model: Any, fresh: Any, code: str) -> None:
    embeddings, shows = fresh
    shown = np.array([code in seen for seen in shows])
    logits = logits_of(model, embeddings, [f"a photo of {captions.DESCRIPTIONS[code]}"])[:, 0]
    assert shown.sum() >= 30
    assert auc(logits, shown) >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("code", ATTRIBUTES)
def test_the_shipped_fit_accepts_what_is_there(model: Any, fresh: Any, code: str) -> None:
    embeddings, shows = fresh
    shown = np.array([code in seen for seen in shows])
    prompt = f"a photo of {captions.DESCRIPTIONS[code]}"
    center, scale = demo_fit(prompt)
    confidence = 1 / (1 + np.exp(-(logits_of(model, embeddings, [prompt])[:, 0] - center) / scale))
    accepted = confidence >= 0.80
    f1 = 2 * (accepted & shown).sum() / (accepted.sum() + shown.sum())
    # A rocket and its plume are seldom apart and the hardest to tell (0.88 and 0.82); the others reach 0.92.
    assert f1 >= (0.75 if code in ("rocket", "plume") else 0.88)
    assert abs(confidence.mean() - shown.mean()) < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("code", ATTRIBUTES)
def test_words_in_an_order_never_trained_find_the_scene(model: Any, fresh: Any, code: str) -> None:
    embeddings, shows = fresh
    shown = np.array([code in seen for seen in shows])
    logits = logits_of(model, embeddings, list(UNSEEN_WORDINGS[code]))
    assert min(auc(column, shown) for column in logits.T) >= 0.80


def test_unseen_wordings_are_unseen() -> None:
    trained = {text.casefold() for wordings in captions.PHRASES.values() for text in wordings}
    assert not trained & {text.casefold() for wordings in UNSEEN_WORDINGS.values() for text in wordings}


def test_a_fit_for_every_prompt_of_the_vocabulary_and_a_default() -> None:
    fits = json.loads((DEMO / "fits.json").read_text(encoding="utf-8"))
    for description in captions.DESCRIPTIONS.values():
        assert f"a photo of {description}" in fits["prompts"]
    assert all(fit["scale"] > 0 for fit in [fits["default"], *fits["prompts"].values()])
    assert demo_fit("a photo of a teapot") == (fits["default"]["center"], fits["default"]["scale"])


def test_the_vocabulary_names_what_scenes_show() -> None:
    vocabulary = yaml.safe_load((DEMO / "demo.yaml").read_text(encoding="utf-8"))
    described = {entry["code"]: entry["description"] for entry in vocabulary["base_attributes"]}
    assert described == captions.DESCRIPTIONS
    assert tuple(described) == ATTRIBUTES


def test_tokens_are_words_then_the_end_then_padding() -> None:
    ids = tokenizer.tokenize(["The Moon's craters", ""], 6)
    assert ids.shape == (2, 6)
    assert ids.dtype == np.int64
    assert ids[0, 3] == ids[1, 0] == tokenizer.END
    assert not ids[0, 4:].any()
    assert tokenizer.count(["The Moon's craters", ""]) == [4, 1]
    assert (tokenizer.tokenize(["the moon crater"], 6) == ids[:1]).all()


@given(st.lists(st.text(max_size=200), max_size=4), st.integers(1, 30))
@settings(max_examples=60, deadline=None)
def test_any_text_has_ids_in_range_and_its_highest_at_its_end(texts: list[str], length: int) -> None:
    ids = tokenizer.tokenize(texts, length)
    assert ids.shape == (len(texts), length)
    assert ((ids >= 0) & (ids < tokenizer.VOCABULARY_SIZE)).all()
    for row, tokens in zip(ids, tokenizer.count(texts), strict=True):
        assert row.argmax() == min(tokens, length) - 1


def test_no_two_words_of_the_captions_share_an_id() -> None:
    texts = [text for wordings in captions.PHRASES.values() for text in wordings]
    texts += [text for wordings in captions.TOGETHER.values() for text in wordings]
    texts += [frame.replace("{}", " ") for frame in captions.FRAMES] + list(captions.DESCRIPTIONS.values())
    found = {word for text in texts for word in tokenizer.words(text)}
    ids = {int(tokenizer.tokenize([word], 2)[0, 0]) for word in found}
    assert len(ids) == len(found)


def test_captions_name_everything_asked_for() -> None:
    rng = np.random.default_rng(1)
    text = captions.caption(rng, ["earth", "rocket"])
    named = [any(wording in text for wording in captions.PHRASES[code]) for code in ("earth", "rocket")]
    assert named == [True, True]
    with pytest.raises(ValueError, match="something to name"):
        captions.caption(rng, [])


def test_a_seed_is_a_picture_and_another_seed_another() -> None:
    first, again, other = (paint(plan_scene(scene_rng(seed, 3)), 160, 120).tobytes() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_scene_shows_the_same_at_any_size() -> None:
    for index in range(12):
        scene = plan_scene(scene_rng(4, index))
        small = np.asarray(paint(scene, 192, 192).resize((48, 48), Image.Resampling.BOX), dtype=float)
        large = np.asarray(paint(scene, 576, 576).resize((48, 48), Image.Resampling.BOX), dtype=float)
        assert np.abs(small - large).mean() < 6


def test_a_wider_picture_shows_the_same_things_in_its_middle() -> None:
    scene = next(s for i in range(99) if (s := plan_scene(scene_rng(6, i))).backdrop == "space" and s.things)
    square = np.asarray(paint(scene, 200, 200), dtype=float)
    wide = np.asarray(paint(scene, 320, 200), dtype=float)[:, 60:260]
    assert np.abs(square - wide).mean() < 6


def test_every_attribute_occurs_and_none_always() -> None:
    shows = [plan_scene(scene_rng(8, index)).shows for index in range(600)]
    for code in ATTRIBUTES:
        assert 0.05 <= sum(code in seen for seen in shows) / len(shows) <= 0.5


@pytest.mark.slow
def test_a_collection_holds_varied_photographs_and_its_truth(tmp_path: Path) -> None:
    reported: list[int] = []
    truth = render_collection(tmp_path, 24, 5, progress=reported.append)
    files = {str(path.relative_to(tmp_path / PHOTOS).as_posix()) for path in (tmp_path / PHOTOS).rglob("*.*")}
    assert files == set(truth)
    assert len(files) == 24
    assert load_truth(tmp_path) == truth
    assert reported == list(range(1, 25))
    orientations, dates, sizes = set(), set(), set()
    for index, name in enumerate(truth):
        with Image.open(tmp_path / PHOTOS / name) as image:
            exif = image.getexif()
            orientations.add(exif.get(0x0112))
            dates.add(exif.get_ifd(0x8769).get(0x9003))
            upright = ImageOps.exif_transpose(image).convert("RGB")
        sizes.add(upright.size)
        assert 300 <= min(upright.size) <= max(upright.size) <= 1200
        expected = paint(plan_scene(scene_rng(5, index)), *upright.size)
        assert np.abs(np.asarray(expected, dtype=float) - np.asarray(upright, dtype=float)).mean() < 8
    assert len(orientations) > 1
    assert len(sizes) > 10
    assert any(date and re.fullmatch(r"\d{4}(:\d\d){2} \d\d(:\d\d){2}", date) for date in dates)


def test_a_collection_is_the_same_again_and_refuses_a_full_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    assert render_collection(first, 3, 1) == render_collection(second, 3, 1)
    for path in (first / PHOTOS).rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()
    with pytest.raises(InputError, match="not empty"):
        render_collection(first, 3, 1)


@pytest.mark.parametrize("content", ["", "[]", '{"images": 3}', '{"images": {"a": 3}}', "[" * 9999])
def test_a_damaged_truth_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / TRUTH_FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="not a truth file"):
        load_truth(tmp_path)


def test_no_truth_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="render the collection again"):
        load_truth(tmp_path)


def test_rendering_and_tokens_import_no_torch() -> None:
    code = (
        "import sys\n"
        "from colonnade.engine.demo import captions, collection, fits, scenes, tokenizer\n"
        "sys.exit(bool({'torch', 'open_clip', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
