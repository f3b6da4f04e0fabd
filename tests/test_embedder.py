"""Embedders of every kind: what they compute, what they refuse, and how they say it."""

from __future__ import annotations

import io
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import clip_models
import numpy as np
import pytest

from colonnade.engine.embedder import Embedder, Preprocessing, load_embedder
from colonnade.engine.errors import ModelError

KEY = re.compile(r"[A-Za-z0-9._-]+")
SIZE = 64


def pictures(count: int, height: int = SIZE, width: int = SIZE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def expected_images(model: Any, preprocessing: Preprocessing, pixels: np.ndarray) -> np.ndarray:
    """As people use open_clip: normalised tensors through `encode_image`."""
    import torch

    values = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(part)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
    with torch.inference_mode():
        encoded: np.ndarray = model.encode_image((values - mean) / std, normalize=True).numpy()
    return encoded


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    sums: np.ndarray = (left.astype(np.float64) * right).sum(axis=1)
    return sums


def is_unit(vectors: np.ndarray) -> bool:
    return vectors.dtype == np.float32 and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_hash_embedder() -> None:
    embedder: Embedder = load_embedder("hash")
    pixels = pictures(3, 32, 32)
    vectors = embedder.encode_images(pixels)
    assert vectors.shape == (3, embedder.dimension) and is_unit(vectors)
    assert (embedder.encode_images(pixels[1:2]) == vectors[1]).all()
    texts = embedder.encode_prompts(["earth", "moon", "earth", "a \ud800 surrogate"])
    assert is_unit(texts) and (texts[0] == texts[2]).all()
    everything = np.concatenate([vectors, texts[[0, 1, 3]]])
    assert np.abs(everything @ everything.T - np.eye(6)).max() < 0.3
    assert embedder.encode_images(pixels[:0]).shape == (0, 512) == embedder.encode_prompts([]).shape
    assert embedder.count_tokens(["the blue earth"]) == [5] and KEY.fullmatch(embedder.key)
    pinned = np.array([0.0141, 0.0265, 0.0286], np.float32)  # the same on every machine, in every version
    assert np.allclose(embedder.encode_prompts(["earth"])[0, :3], pinned, atol=1e-3)


def test_hash_embedder_needs_no_torch() -> None:
    code = (
        "import sys; from colonnade.engine.embedder import load_embedder;"
        "load_embedder('hash').encode_prompts(['x']);"
        "assert not {'torch', 'open_clip', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


VARIANTS = {
    "vit": clip_models.VIT,
    "quick gelu": {**clip_models.VIT, "quick_gelu": True},
    "tanh gelu": clip_models.changed(clip_models.VIT, "vision_cfg", act_kwargs={"approximate": "tanh"}),
    "layer scale": clip_models.changed(clip_models.VIT, "vision_cfg", ls_init_value=0.3),
    "no ln_pre, ln after pool": clip_models.changed(
        clip_models.VIT, "vision_cfg", no_ln_pre=True, final_ln_after_pool=True
    ),
    "mean pool": clip_models.changed(clip_models.VIT, "vision_cfg", pool_type="avg"),
    "attention pool": clip_models.changed(clip_models.VIT, "vision_cfg", attentional_pool=True),
    "qk norm": clip_models.changed(clip_models.VIT, "vision_cfg", qk_norm=True),
    "patches that do not fill": clip_models.changed(clip_models.VIT, "vision_cfg", image_size=70),
    "wide": clip_models.changed(clip_models.VIT, "vision_cfg", image_size=[64, 96]),
    "resnet": clip_models.RESNET,
    "siglip kind": {**clip_models.VIT, "custom_text": True, "init_logit_bias": -10.0},
}
FAST = ("vit", "quick gelu", "tanh gelu", "layer scale", "no ln_pre, ln after pool", "wide", "siglip kind")


@pytest.mark.parametrize("name", VARIANTS)
def test_vectors_are_those_of_open_clip(tmp_path: Path, name: str) -> None:
    import open_clip
    import torch

    model = clip_models.save(tmp_path / name, VARIANTS[name])
    embedder = load_embedder(f"local-dir:{tmp_path / name}", device="cpu")
    preprocessing = embedder.preprocessing
    pixels = pictures(70, preprocessing.height, preprocessing.width)
    vectors = embedder.encode_images(pixels)
    assert is_unit(vectors)
    assert cosines(vectors, expected_images(model, preprocessing, pixels)).min() > 0.99999
    assert (embedder._fast is not None) == (name in FAST or name == "patches that do not fill")  # type: ignore[attr-defined]
    texts = ["a photo of the Earth", "rockets", "", "many words " * 40]
    with torch.inference_mode():
        tokens = open_clip.tokenize(texts, context_length=16)
        expected = model.encode_text(tokens, normalize=True).numpy()
    assert cosines(embedder.encode_prompts(texts), expected).min() > 0.99999
    assert embedder.logit_scale == pytest.approx(1 / 0.07) and embedder.context_length == 16
    assert embedder.logit_bias == (-10 if name == "siglip kind" else 0)
    assert embedder.dimension == 32 and KEY.fullmatch(embedder.key)


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_a_vector_does_not_depend_on_the_batch(tmp_path: Path, name: str) -> None:
    clip_models.save(tmp_path, VARIANTS[name])
    embedder = load_embedder(f"local-dir:{tmp_path}", device="cpu")
    pixels = pictures(67)
    whole = embedder.encode_images(pixels)
    for start, stop in ((0, 1), (5, 6), (3, 5), (1, 34), (2, 67)):
        part = embedder.encode_images(pixels[start:stop])
        if name == "vit":
            assert (part == whole[start:stop]).all()
        assert cosines(part, whole[start:stop]).min() > 0.999999
    assert embedder.encode_images(pixels[:0]).shape == (0, 32) == embedder.encode_prompts([]).shape
    for wrong in (pixels[:, :10], pixels.astype(np.float32), pixels[0]):
        with pytest.raises(ValueError, match="uint8"):
            embedder.encode_images(wrong)  # type: ignore[arg-type]


def test_token_counts_are_of_the_whole_prompt(tmp_path: Path) -> None:
    clip_models.save(tmp_path)
    embedder = load_embedder(f"local-dir:{tmp_path}", device="cpu")
    assert embedder.count_tokens(["a photo of the Earth", "", "moon " * 100]) == [7, 2, 102]


@pytest.mark.slow
def test_the_key_is_of_weights_and_preprocessing(tmp_path: Path) -> None:
    def key(folder: str, **options: Any) -> str:
        clip_models.save(tmp_path / folder / "m", **options)
        return load_embedder(f"local-dir:{tmp_path / folder / 'm'}", device="cpu").key

    first = key("a")
    assert re.fullmatch(r"m-[0-9a-f]{8}", first)
    assert key("b") == first == key("c", file="open_clip_model.bin")
    others = [
        key("d", seed=1),
        key("e", preprocessing={"mean": [0.5, 0.5, 0.5]}),
        key("f", preprocessing={"resize_mode": "squash"}),
        key("g", config={**clip_models.VIT, "init_logit_scale": 3.0}),
    ]
    assert len({first, *others}) == 5
    clip_models.save(tmp_path / "odd é name")
    assert re.fullmatch(r"odd-name-[0-9a-f]{8}", load_embedder(f"local-dir:{tmp_path}/odd é name").key)


def test_preprocessing_is_read(tmp_path: Path) -> None:
    chosen = {
        "size": 64,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "interpolation": "bilinear",
        "resize_mode": "squash",
        "fill_color": 9,
    }
    clip_models.save(tmp_path, preprocessing=chosen)
    embedder = load_embedder(f"local-dir:{tmp_path}", device="cpu")
    assert embedder.preprocessing == Preprocessing(
        64, 64, "squash", "bilinear", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 9
    )


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("file", ["open_clip_model.bin", "open_clip_pytorch_model.bin", "pytorch_model.bin"])
@pytest.mark.parametrize("wrapping", ["zip", "legacy", "bare pickle", "inside"])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_checkpoint_cannot_run_code(tmp_path: Path, file: str, wrapping: str) -> None:
    import torch

    mark = tmp_path / "was here"
    folder = tmp_path / "model"
    clip_models.write_config(folder, clip_models.VIT)
    payload: Any = Malicious(mark)
    if wrapping == "inside":
        payload = {"state_dict": {"logit_scale": torch.ones([]), "x": payload}}
    if wrapping == "bare pickle":
        (folder / file).write_bytes(pickle.dumps(payload))
    else:
        torch.save(payload, folder / file, _use_new_zipfile_serialization=wrapping != "legacy")
    for spec in (f"local-dir:{folder}", f"ViT-B-32@{folder / file}", str(folder / file)):
        with pytest.raises(
            ModelError, match=r"refused, it holds more than weights .* \.safetensors"
        ) as caught:
            load_embedder(spec, device="cpu")
        assert "\n" not in str(caught.value)
        assert not mark.exists()
    with pytest.raises(FileExistsError):  # the trap works
        mark.mkdir()
        pickle.loads(pickle.dumps(Malicious(mark)))


def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    import torch

    clip_models.write_config(tmp_path, clip_models.VIT)
    trace: Any = torch.jit.trace
    with pytest.MonkeyPatch.context(), pytest.warns() as _:
        trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "open_clip_model.bin")
        import warnings

        warnings.warn("at least one", stacklevel=1)
    with pytest.raises(ModelError, match="refused, it holds more than weights"):
        load_embedder(f"local-dir:{tmp_path}", device="cpu")


def broken_folders(folder: Path) -> dict[str, str]:
    """Model folders that are wrong in one way each: folder -> what the message says."""
    from safetensors.torch import save_file

    cases = {
        "no config": "no such file",
        "no weights": "holds no weights",
        "not json": "not JSON",
        "deep json": "not JSON",
        "huge config": "too large",
        "no model_cfg": "lacks model_cfg",
        "odd parts": "must be objects",
        "unknown key": "cannot be built",
        "bad size": "cannot be built",
        "bad std": "cannot be built",
        "other shape": "not the weights of this architecture",
        "cut short": "not a safetensors file",
        "no tensors": "not the weights of this architecture",
    }
    for name in cases:
        clip_models.save(folder / name)
    config = "open_clip_config.json"
    weights = "open_clip_model.safetensors"
    (folder / "no config" / config).unlink()
    (folder / "no weights" / weights).unlink()
    (folder / "not json" / config).write_text("{")
    (folder / "deep json" / config).write_text("[" * 100_000)
    (folder / "huge config" / config).write_text(" " * (1 << 20) + "{}")
    (folder / "no model_cfg" / config).write_text('{"model_cfg": {"embed_dim": 3}}')
    clip_models.write_config(folder / "odd parts", {**clip_models.VIT, "text_cfg": 3})
    clip_models.write_config(folder / "unknown key", {**clip_models.VIT, "wheels": 3})
    clip_models.write_config(
        folder / "bad size", clip_models.changed(clip_models.VIT, "vision_cfg", image_size="x")
    )
    clip_models.write_config(folder / "bad std", clip_models.VIT, {"std": [1, 0, 1]})
    clip_models.write_config(
        folder / "other shape", clip_models.changed(clip_models.VIT, "vision_cfg", layers=2)
    )
    data = (folder / "cut short" / weights).read_bytes()
    (folder / "cut short" / weights).write_bytes(data[: len(data) // 2])
    save_file({}, folder / "no tensors" / weights)
    return cases


def test_broken_folders_give_one_line_each(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, message in broken_folders(tmp_path).items():
        with pytest.raises(ModelError) as caught:
            load_embedder(f"local-dir:{tmp_path / name}", device="cpu")
        assert message in str(caught.value) and "\n" not in str(caught.value), name
        assert name in str(caught.value) and len(str(caught.value)) < 600
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ViT-B-23/openai", "no architecture 'ViT-B-23', did you mean ViT-B-32?"),
        ("ViT-B-32/opneai", "no weights 'opneai' for ViT-B-32, did you mean openai?"),
        ("ViT-B-32/nonsense", "it has openai, laion400m_e31"),
        ("ViT-B-32", "lacks the tag of its weights, as in ViT-B-32/openai"),
        ("dmeo", "did you mean demo?"),
        ("", "names no model"),
        ("a\nb", "names no model"),
        ("/nowhere/at/all", "give ARCH/TAG, hf-hub:ORG/NAME, local-dir:PATH or demo"),
        ("/nowhere/model.safetensors", "no such file"),
        ("local-dir:/nowhere", "no such folder"),
        ("ViT-B-32@/nowhere/x.pt", "no such file"),
        ("ViT-B-23@/nowhere/x.pt", "did you mean ViT-B-32?"),
        ("hf-hub:nonsense", "written ORG/NAME"),
        ("hf-hub:../../etc", "written ORG/NAME"),
    ],
)
def test_specs_that_name_nothing(spec: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_embedder(spec)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_or_device_given_wrongly(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="for a folder write local-dir:"):
        load_embedder(str(tmp_path))
    clip_models.save(tmp_path)
    for device in ("warp", "cuda:99"):
        with pytest.raises(ModelError, match="cannot be used"):
            load_embedder(f"local-dir:{tmp_path}", device=device)


OFFLINE = """
import sys, time
from colonnade.engine.embedder import load_embedder
from colonnade.engine.errors import ModelError
import open_clip
began = time.monotonic()
try:
    load_embedder(sys.argv[1])
except ModelError as error:
    print(error)
assert time.monotonic() - began < 20
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", ["ViT-B-32/openai", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "roberta-ViT-B-32/x"]
)
def test_weights_that_cannot_be_fetched_give_one_line_soon(tmp_path: Path, spec: str) -> None:
    dead = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "no_proxy": "127.0.0.1"}
    command = [sys.executable, "-W", "default", "-c", OFFLINE, spec.replace("/x", "/laion2b_s12b_b32k")]
    ran = subprocess.run(
        command, env={**os.environ, **dead}, capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stderr == ""
    assert ran.stdout.count("\n") == 1 and "http://127.0.0.1:9 cannot be reached" in ran.stdout
    assert "local-dir:PATH" in ran.stdout or "@FILE" in ran.stdout


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from colonnade.engine import embedder_source

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(embedder_source, "_REACH_S", 0.3)
        began = time.monotonic()
        assert "cannot be reached" in str(embedder_source.reachable())
        assert time.monotonic() - began < 5


def test_a_checkpoint_of_a_known_architecture_gets_its_preprocessing(tmp_path: Path) -> None:
    from colonnade.engine.embedder_source import find_source

    path = tmp_path / "x.safetensors"
    path.touch()
    siglip = find_source(f"ViT-B-16-SigLIP@{path}")
    assert siglip.preprocessing["resize_mode"] == "squash" and siglip.preprocessing["mean"] == (0.5, 0.5, 0.5)
    assert not siglip.quick_gelu and siglip.name == "ViT-B-16-SigLIP-x"
    assert find_source(f"RN50@{path}").quick_gelu
    assert not find_source(f"ViT-B-32@{path}").quick_gelu  # published with both


@pytest.mark.slow
def test_a_published_model_that_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default model as the hub's cache holds it, weights random: QuickGELU although the configuration lacks it."""
    import huggingface_hub
    import open_clip
    from safetensors.torch import save_file

    model = clip_models.build({**open_clip.get_model_config("ViT-B-32"), "quick_gelu": True})
    path = tmp_path / "open_clip_model.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repository, name: str(path))
    embedder = load_embedder("ViT-B-32/openai", device="cpu")
    pixels = pictures(5, 224, 224)
    assert (
        cosines(embedder.encode_images(pixels), expected_images(model, embedder.preprocessing, pixels)).min()
        > 0.9999
    )
    assert re.fullmatch(r"ViT-B-32-openai-[0-9a-f]{8}", embedder.key)


def test_demo_model() -> None:
    folder = Path(__file__).parents[1] / "engine" / "demo"
    if not (folder / "model.safetensors").is_file():
        pytest.skip("the demo model is not built")
    from colonnade.engine.decode import decode

    embedder = load_embedder("demo", device="cpu")
    assert re.fullmatch(r"demo-[0-9a-f]{8}", embedder.key)
    buffer = io.BytesIO()
    from PIL import Image

    Image.new("RGB", (300, 200), (9, 9, 30)).save(buffer, "PNG")
    vectors = embedder.encode_images(decode(buffer.getvalue(), embedder.preprocessing)[None])
    assert vectors.shape == (1, embedder.dimension) and is_unit(vectors)
    assert is_unit(embedder.encode_prompts(["the Earth", "the Moon"]))
    assert embedder.count_tokens(["the blue Earth"]) == [4] and embedder.context_length == 24
