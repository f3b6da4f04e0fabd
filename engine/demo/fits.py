"""The demo model's own calibration: from a prompt to the sigmoid of its logit."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

__all__ = ["demo_fit"]


def demo_fit(prompt: str) -> tuple[float, float]:
    """Center and scale of `prompt`: confidence = sigmoid((logit - center) / scale).

    `prompt` is the expanded one (`a photo of a rocket`). A prompt that was not fitted gets the default.
    """
    table = _table()
    fit = table["prompts"].get(prompt, table["default"])
    return float(fit["center"]), float(fit["scale"])


@functools.cache
def _table() -> dict[str, Any]:
    source = resources.files("colonnade.engine.demo").joinpath("fits.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(source)
    return table
