"""The image tower of open_clip's vision transformers, made fast on a CPU; the numbers are the same.

A quarter faster than open_clip's own forward pass on two cores, which pays for decoding the images:
weights are laid out for oneDNN once, not at every call; GELU and the residual sums are done inside the matrix
products; normalisation of the pixels is folded into the first layer; the last block computes the class token
alone, the only one that is used; and each core runs its own small batch, so that none waits for another.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from colonnade.engine.embedder import Preprocessing

if TYPE_CHECKING:
    import torch

__all__ = ["FastTower", "fits"]

_ROWS = 800
"""Rows of the matrix products: enough to fill the cores' registers, few enough to stay in their caches."""


def fits(tower: torch.nn.Module) -> bool:
    """Whether `FastTower` computes all that this image tower does."""
    import torch
    from open_clip.transformer import LayerScale, QuickGELU, ResidualAttentionBlock, VisionTransformer

    def plain(block: Any) -> bool:
        return (
            type(block) is ResidualAttentionBlock
            and not hasattr(block, "ln_1_kv")
            and block.attn.in_proj_weight is not None
            and block.attn.in_proj_bias is not None
            and block.attn.bias_k is None
            and not block.attn.add_zero_attn
            and isinstance(block.ls_1, LayerScale | torch.nn.Identity)
            and isinstance(block.mlp.gelu, torch.nn.GELU | QuickGELU)
        )

    return (
        type(tower) is VisionTransformer
        and tower.pool_type == "tok"
        and tower.attn_pool is None
        and tower.proj is not None
        and not tower.output_tokens
        and isinstance(tower.patch_dropout, torch.nn.Identity)
        and all(plain(block) for block in tower.transformer.resblocks)
    )


class FastTower:
    """Args: an image tower that `fits`, in evaluation mode, float32 on the CPU; its preprocessing."""

    def __init__(self, tower: Any, preprocessing: Preprocessing) -> None:
        import torch

        with torch.no_grad():
            self._threads = torch.get_num_threads()
            self._pool: ThreadPoolExecutor | None = None
            self.patch = int(tower.conv1.weight.shape[-1])
            tokens = (preprocessing.height // self.patch) * (preprocessing.width // self.patch) + 1
            self._chunk = min(32, max(1, _ROWS // tokens))
            rows = self._chunk * tokens
            kernel, std = tower.conv1.weight, torch.tensor(preprocessing.std)[None, :, None, None]
            mean = torch.tensor(preprocessing.mean)[None, :, None, None]
            # (pixel / 255 - mean) / std, then the kernel, is one kernel and a constant.
            self._embed = _Linear(
                (kernel / (255 * std)).permute(0, 2, 3, 1).flatten(1),
                -(kernel * (mean / std)).sum((1, 2, 3)),
                rows,
            )
            positions = tower.positional_embedding
            self._positions = positions[1:].clone()
            self._class = (tower.class_embedding + positions[0]).clone()
            self._before = _Norm(tower.ln_pre)
            self._blocks = [_Block(block, rows) for block in tower.transformer.resblocks]
            self._after = _Norm(tower.ln_post)
            self._projection = tower.proj.detach().clone()

    def __call__(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """uint8 [n, height, width, 3] -> float32 [n, dimension], not normalised."""
        import torch

        chunks = np.array_split(pixels, -(-len(pixels) // self._chunk))
        if len(chunks) == 1 or self._threads == 1:
            return torch.cat([self._forward(chunk) for chunk in chunks])
        if self._pool is None:
            self._pool = ThreadPoolExecutor(
                self._threads, "embed", initializer=torch.set_num_threads, initargs=(1,)
            )
        return torch.cat(list(self._pool.map(self._forward, chunks)))

    def _forward(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        import torch

        if len(pixels) == 1 < self._chunk:
            # A product of one row adds up in another order; a picture's vector shall not depend on its company.
            return self._forward(np.repeat(pixels, 2, axis=0))[:1]
        with torch.inference_mode():
            tokens = self._embed(self._patches(torch.from_numpy(pixels)))
            count, width = len(pixels), tokens.shape[-1]
            tokens = tokens.view(count, -1, width) + self._positions
            tokens = torch.cat([self._class.expand(count, 1, width), tokens], dim=1)
            tokens = self._before(tokens)
            for block in self._blocks[:-1]:
                tokens = block(tokens)
            pooled = self._blocks[-1].first(tokens)
            found: torch.Tensor = self._after(pooled) @ self._projection
            return found

    def _patches(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [n, height, width, 3] -> float32 [patches, patch x patch x 3]."""
        size = self.patch
        count, down, across = pixels.shape[0], pixels.shape[1] // size, pixels.shape[2] // size
        grid = pixels[:, : down * size, : across * size].reshape(count, down, size, across, size, 3)
        return grid.transpose(2, 3).reshape(count * down * across, size * size * 3).float()


class _Linear:
    """A linear layer with its weights laid out for products of about `rows` rows."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, rows: int) -> None:
        import torch

        self._bias = bias.detach().clone()
        self._packed = bool(torch._C._has_mkldnn)
        if self._packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
        else:
            self._weight = weight.detach().clone()

    def __call__(self, values: torch.Tensor, activation: str = "none", algorithm: str = "") -> torch.Tensor:
        import torch

        if self._packed:
            fused: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
                values, self._weight, self._bias, activation, [], algorithm
            )
            return fused
        plain = torch.nn.functional.linear(values, self._weight, self._bias)
        return torch.nn.functional.gelu(plain, approximate=algorithm) if activation == "gelu" else plain

    def plus(self, values: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """The layer's output + `other`."""
        import torch

        if self._packed:
            fused: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(
                values, other, self._weight, self._bias, "add"
            )
            return fused
        return torch.nn.functional.linear(values, self._weight, self._bias) + other


class _Norm:
    def __init__(self, layer: Any) -> None:
        import torch

        self._none = isinstance(layer, torch.nn.Identity)
        if not self._none:
            self._shape, self._eps = layer.normalized_shape, layer.eps
            self._weight, self._bias = layer.weight, layer.bias

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        import torch

        if self._none:
            return values
        return torch.nn.functional.layer_norm(values, self._shape, self._weight, self._bias, self._eps)


class _Block:
    """A pre-norm transformer block."""

    def __init__(self, block: Any, rows: int) -> None:
        attention, width = block.attn, block.attn.embed_dim
        self._heads = attention.num_heads
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        self._before_attention, self._before_mlp = _Norm(block.ln_1), _Norm(block.ln_2)
        self._query = _Linear(weight[:width], bias[:width], rows)
        self._key_value = _Linear(weight[width:], bias[width:], rows)
        self._out = _scaled(attention.out_proj, block.ls_1, rows)
        self._widen = _Linear(block.mlp.c_fc.weight, block.mlp.c_fc.bias, rows)
        self._narrow = _scaled(block.mlp.c_proj, block.ls_2, rows)
        # What is not a GELU is a QuickGELU, see `fits`.
        self._approximation: str | None = getattr(block.mlp.gelu, "approximate", None)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 [n, tokens, width] -> the same."""
        shape = tokens.shape
        normed = self._before_attention(tokens)
        return self._mlp(self._attend(normed, normed, tokens).view(-1, shape[-1])).view(shape)

    def first(self, tokens: torch.Tensor) -> torch.Tensor:
        """float32 [n, tokens, width] -> [n, width]: the first token alone."""
        normed = self._before_attention(tokens)
        return self._mlp(self._attend(normed[:, :1], normed, tokens[:, :1])[:, 0])

    def _attend(self, asking: torch.Tensor, asked: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        import torch

        count, length, width = asking.shape
        size = width // self._heads
        query = self._query(asking.reshape(-1, width)).view(count, length, self._heads, size)
        both = self._key_value(asked.reshape(-1, width)).view(count, -1, 2, self._heads, size)
        key, value = both.unbind(2)
        found = torch.nn.functional.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        flat = found.transpose(1, 2).reshape(-1, width)
        return self._out.plus(flat, residual.reshape(-1, width)).view(count, length, width)

    def _mlp(self, tokens: torch.Tensor) -> torch.Tensor:
        normed = self._before_mlp(tokens)
        if self._approximation is not None:
            wide = self._widen(normed, "gelu", self._approximation)
        else:
            wide = self._widen(normed)
            wide = wide * (1.702 * wide).sigmoid_()
        return self._narrow.plus(wide, tokens)


def _scaled(layer: Any, scale: Any, rows: int) -> _Linear:
    """A linear layer and the LayerScale after it, if there is one, as one layer."""
    gamma = getattr(scale, "gamma", None)
    if gamma is None:
        return _Linear(layer.weight, layer.bias, rows)
    return _Linear(layer.weight * gamma[:, None], layer.bias * gamma, rows)
