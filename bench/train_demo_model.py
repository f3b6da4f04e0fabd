"""Train the demo model: a small open_clip CLIP on rendered scenes.

    python bench/train_demo_model.py        # about 12 minutes on 2 idle cores; overwrites the files in engine/demo

Writes model.safetensors and fits.json beside open_clip_config.json, which says what to build. What a scene
shows is known exactly, so the loss is a sigmoid per pair of image and text: a text is true of every image
that shows all it names, not only of the image it was written for. The bias of that sigmoid is dropped on
saving: a CLIP has none, and the fits make up for it.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from colonnade.engine.demo import captions, scenes, tokenizer

DEMO = Path(__file__).resolve().parents[1] / "engine" / "demo"
NAMES = (*scenes.ATTRIBUTES, *scenes.EVERYDAY)
SIDE = 96
BATCH = 128
CAPTIONS_PER_BATCH = 40
HELD_OUT = 1_000_000
"""Scene indices from here on are for fitting the calibration, never for training."""

Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=14_000)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=20_250)
    parser.add_argument("--output", type=Path, default=DEMO)
    parser.add_argument("--cache", type=Path, help="keep the rendered scenes in this .npz between runs")
    options = parser.parse_args()
    # Waiting threads that spin starve each other on a shared machine; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.perf_counter()
    pixels, truth = rendered(options.seed, options.scenes, options.cache)
    print(f"{len(pixels)} scenes rendered after {time.perf_counter() - started:.0f} s", flush=True)
    model = train(pixels[: options.scenes], truth[: options.scenes], options.steps, options.seed)
    save_model(model, options.output / "model.safetensors")
    fits = fit_prompts(model, pixels[options.scenes :], truth[options.scenes :])
    (options.output / "fits.json").write_text(
        json.dumps(fits, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    print(f"done after {time.perf_counter() - started:.0f} s", flush=True)


def rendered(seed: int, count: int, cache: Path | None) -> tuple[Pixels, Truth]:
    """`count` training scenes and then the held-out ones: uint8 [n, 96, 96, 3] and bool [n, len(NAMES)]."""
    if cache and cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            return stored["pixels"], stored["truth"]
    jobs = [(seed, index) for index in [*range(count), *range(HELD_OUT, HELD_OUT + 2400)]]
    with multiprocessing.get_context("spawn").Pool() as pool:
        made = pool.starmap(render_one, jobs, chunksize=64)
    pixels, truth = np.stack([pixel for pixel, _ in made]), np.stack([row for _, row in made])
    if cache:
        np.savez(cache, pixels=pixels, truth=truth)
    return pixels, truth


def render_one(seed: int, index: int) -> tuple[Pixels, npt.NDArray[np.bool_]]:
    """Scene `index` as the model will see a photograph of it: painted larger, JPEG, downsized, cropped."""
    rng = scenes.scene_rng(seed, index)
    scene = scenes.plan_scene(rng)
    short = (
        int(rng.integers(400, 900)) if index >= HELD_OUT and index % 6 == 0 else int(rng.integers(112, 300))
    )
    longer = round(short * float(rng.uniform(1.0, 1.6)))
    size = (longer, short) if rng.random() < 0.6 else (short, longer)
    buffer = io.BytesIO()
    scenes.paint(scene, *size).save(buffer, "JPEG", quality=int(rng.integers(55, 96)))
    pixels = preprocess(Image.open(buffer))
    return pixels, np.array([name in scene.shows for name in NAMES])


def preprocess(image: Image.Image) -> Pixels:
    """Shortest side to 96 with bicubic, then the central square, as open_clip does."""
    scale = SIDE / min(image.size)
    width, height = (max(SIDE, int(side * scale)) for side in image.size)
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)))


def train(pixels: Pixels, truth: Truth, steps: int, seed: int) -> Any:
    """The trained open_clip CLIP, in evaluation mode."""
    import torch

    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    rng = np.random.default_rng(seed)
    model = build_model()
    model.train()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(12.0))
    bias = torch.nn.Parameter(torch.tensor(-2.0))
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    plain = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": [*plain, bias], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=2e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.12)
    order: list[int] = []
    started = time.perf_counter()
    recent: list[float] = []
    for step in range(steps):
        if len(order) < BATCH:
            order += rng.permutation(len(pixels)).tolist()
        rows, order = order[:BATCH], order[BATCH:]
        texts, wanted = batch_texts(rng, truth[rows])
        ids = torch.from_numpy(tokenizer.tokenize([with_noise(rng, text) for text in texts]))
        images = model.encode_image(augmented(rng, pixels[rows]), normalize=True)
        prompts = model.encode_text(ids, normalize=True)
        logits = model.logit_scale.exp() * images @ prompts.T + bias
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, torch.from_numpy(wanted.astype(np.float32)), reduction="none"
        )
        loss = losses[:, : len(NAMES)].mean() + 0.5 * losses[:, len(NAMES) :].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(60.0))
        recent.append(loss.item())
        if step % 50 == 49:
            rate = BATCH * (step + 1) / (time.perf_counter() - started)
            print(f"step {step + 1}: loss {np.mean(recent[-50:]):.4f}, {rate:.0f} images/s", flush=True)
    print(f"scale {model.logit_scale.exp().item():.2f}, dropped bias {bias.item():.2f}", flush=True)
    return model.eval()


def build_model() -> Any:
    """The untrained model that open_clip_config.json describes."""
    import torch
    from open_clip.model import CLIP

    config = json.loads((DEMO / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    return CLIP(**config).to(memory_format=torch.channels_last)


def batch_texts(rng: np.random.Generator, truth: Truth) -> tuple[list[str], Truth]:
    """Texts for a batch and which image each is true of: one per name, then captions of some images."""
    texts = [captions.phrase(rng, name) for name in NAMES]
    columns = [truth[:, index] for index in range(len(NAMES))]
    for row in rng.permutation(len(truth))[:CAPTIONS_PER_BATCH]:
        shown = np.flatnonzero(truth[row])
        if len(shown):
            named = rng.permutation(shown)[: int(rng.integers(1, 4))]
            texts.append(captions.caption(rng, [NAMES[index] for index in named]))
            columns.append(truth[:, named].all(axis=1))
    return texts, np.stack(columns, axis=1)


def with_noise(rng: np.random.Generator, text: str) -> str:
    """`text`, sometimes with unknown words in it, so that the model learns to read past them."""
    words = text.split()
    for _ in range(int(rng.choice([0, 1, 2], p=[0.7, 0.2, 0.1]))):
        words.insert(int(rng.integers(len(words) + 1)), f"unknown{int(rng.integers(10**6))}")
    return " ".join(words)


def augmented(rng: np.random.Generator, pixels: Pixels) -> Any:
    """A normalised batch, float32 [n, 3, 96, 96]: mirrored, shifted, relit, noisy copies of `pixels`."""
    import torch

    batch = np.empty((len(pixels), SIDE, SIDE, 3), dtype=np.float32)
    for row, image in enumerate(pixels):
        source = image[:, ::-1] if rng.random() < 0.5 else image
        down, across = rng.integers(-5, 6, 2).tolist()
        source = np.roll(source, (down, across), axis=(0, 1)) if rng.random() < 0.5 else source
        batch[row] = source
    gain = rng.uniform(0.75, 1.25, (len(pixels), 1, 1, 1)).astype(np.float32)
    tint = rng.uniform(0.9, 1.1, (len(pixels), 1, 1, 3)).astype(np.float32)
    lift = rng.uniform(-14, 14, (len(pixels), 1, 1, 1)).astype(np.float32)
    grain = rng.standard_normal(batch.shape, dtype=np.float32) * rng.uniform(
        0, 6, (len(pixels), 1, 1, 1)
    ).astype("f")
    return normalized(np.clip(batch * gain * tint + lift + grain, 0, 255), torch)


def normalized(pixels: npt.NDArray[Any], torch: Any) -> Any:
    """What open_clip_config.json's mean and std make of 0..255 pixels, channels first."""
    scaled = torch.from_numpy(np.asarray(pixels, np.float32)) / 255
    return ((scaled - 0.5) / 0.25).permute(0, 3, 1, 2)


def save_model(model: Any, path: Path) -> None:
    """Matrices as float16, vectors (norms, scale) as float32."""
    import torch
    from safetensors.torch import save_file

    def stored(tensor: Any) -> Any:
        return tensor.to(torch.float16 if tensor.ndim >= 2 else tensor.dtype).contiguous()

    save_file({name: stored(tensor) for name, tensor in model.state_dict().items()}, path)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB", flush=True)


def fit_prompts(model: Any, pixels: Pixels, truth: Truth) -> dict[str, Any]:
    """Center and scale of every known prompt, on held-out scenes; prints the vocabulary's own."""
    prompts = {f"a photo of {text}": code for code, text in captions.DESCRIPTIONS.items()}
    for name, wordings in captions.PHRASES.items():
        prompts.update({f"a photo of {text}": name for text in wordings})
    logits = all_logits(model, pixels, list(prompts))
    fits: dict[str, dict[str, float]] = {}
    for column, (prompt, name) in enumerate(prompts.items()):
        shown = truth[:, NAMES.index(name)]
        center, scale, f1 = fit_prompt(logits[:, column], shown)
        fits[prompt] = {"center": round(center, 3), "scale": round(scale, 3)}
        if column < len(captions.DESCRIPTIONS):
            area = auc(logits[:, column], shown)
            print(f"{name:14} AUC {area:.4f}  F1 {f1:.3f}  center {center:.2f}  scale {scale:.2f}")
    default = {
        key: round(float(np.median([fit[key] for fit in fits.values()])), 3) for key in ("center", "scale")
    }
    return {"default": default, "prompts": fits}


def all_logits(model: Any, pixels: Pixels, prompts: list[str]) -> npt.NDArray[np.float64]:
    """logit_scale x cosine, float64 [images, prompts]."""
    import torch

    with torch.inference_mode():
        texts = model.encode_text(torch.from_numpy(tokenizer.tokenize(prompts)), normalize=True)
        blocks = [pixels[start : start + 256] for start in range(0, len(pixels), 256)]
        images = torch.cat([model.encode_image(normalized(block, torch), normalize=True) for block in blocks])
        logits = model.logit_scale.exp() * images @ texts.T
    return np.asarray(logits.double().numpy())


def fit_prompt(logits: npt.NDArray[np.float64], shown: Truth) -> tuple[float, float, float]:
    """Center and scale so that confidence 0.80 lies at the best F1 cut and the likelihood is highest then."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(logits), size=len(logits)) for _ in range(25)]
    cut = float(np.median([best_cut(logits[draw], shown[draw]) for draw in draws]))
    at_cut = math.log(0.8 / 0.2)
    sign = np.where(shown, -1.0, 1.0)
    scales = np.geomspace(0.25, 6.0, 60)
    costs = [np.logaddexp(0, sign * ((logits - cut) / scale + at_cut)).mean() for scale in scales]
    scale = float(scales[int(np.argmin(costs))])
    accepted = logits >= cut
    f1 = 2 * float((accepted & shown).sum()) / float(accepted.sum() + shown.sum())
    return cut - scale * at_cut, scale, f1


def best_cut(logits: npt.NDArray[np.float64], shown: Truth) -> float:
    """The logit midway between the neighbours that part `shown` best, by F1."""
    order = np.argsort(-logits, kind="stable")
    hits = np.cumsum(shown[order])
    f1 = 2 * hits / (np.arange(1, len(logits) + 1) + shown.sum())
    best = int(np.argmax(f1))
    return float(logits[order[best : best + 2]].mean())


def auc(logits: npt.NDArray[np.float64], shown: Truth) -> float:
    """Probability that an image that shows it has the higher logit."""
    ranks = np.empty(len(logits))
    ranks[np.argsort(logits, kind="stable")] = np.arange(1, len(logits) + 1)
    positives = int(shown.sum())
    return float(
        (ranks[shown].sum() - positives * (positives + 1) / 2) / (positives * (len(logits) - positives))
    )


if __name__ == "__main__":
    main()
