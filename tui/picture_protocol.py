"""How pictures reach the terminal: as half-blocks, or as pixels where the terminal can show them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from textual_image.widget._base import Image as PixelWidget

__all__ = ["SETTINGS", "PictureProtocol", "Setting", "prepare"]

Setting = Literal["auto", "blocks", "kitty", "sixel", "iterm2", "off"]
"""`auto`: pixels where the environment names a terminal that has them and it is on this machine, else half-blocks.

At 34x17 cells Kitty takes 35 to 70 KB a picture, Sixel 60 to 200, half-blocks 3 to 8: over SSH pixels are only sent
if asked for by name.
"""

SETTINGS: tuple[Setting, ...] = ("auto", "blocks", "kitty", "sixel", "iterm2", "off")

_KITTY_TERMS = ("xterm-kitty", "xterm-ghostty")
_SIXEL_TERMS = ("foot", "mlterm", "contour", "yaft")
_SIXEL_PROGRAMS = ("iTerm.app", "iTerm2", "WezTerm")


@dataclass(frozen=True, slots=True)
class PictureProtocol:
    """What was settled before the app began to run."""

    kind: Literal["blocks", "kitty", "sixel", "off"] = "blocks"
    """iTerm2 shows Sixel."""
    warning: str | None = None
    """Why it is not what was asked for, one line."""
    cell: tuple[int, int] = (10, 20)
    """Width and height of a cell, in pixels."""

    def widget(self) -> PixelWidget:
        """A new widget that shows a Pillow image as pixels; only for kinds `kitty` and `sixel`."""
        from textual_image.widget import SixelImage, TGPImage

        return TGPImage() if self.kind == "kitty" else SixelImage()


def prepare(setting: Setting = "auto", environment: Mapping[str, str] | None = None) -> PictureProtocol:
    """Settle how pictures are shown. To be called before the app runs: the terminal may have to be asked
    for the size of its cells, and once the app reads the terminal nobody else can.

    Half-blocks need nothing and ask nothing.
    """
    kind = _kind(setting, os.environ if environment is None else environment)
    if kind in ("blocks", "off"):
        return PictureProtocol(kind)
    try:
        with _unasked():
            import textual_image.renderable  # noqa: F401
        from textual_image._terminal import get_cell_size
        from textual_image.widget import SixelImage, TGPImage  # noqa: F401

        cell = get_cell_size()
    except ImportError:
        asked = None if setting == "auto" else f"pictures = {setting!r} needs pip install 'colonnade[images]'"
        return PictureProtocol("blocks", asked)
    except Exception as error:  # a terminal that is none answers in many ways
        return PictureProtocol("blocks", f"pictures = {setting!r}: {type(error).__name__}; shown as blocks")
    return PictureProtocol(kind, cell=(max(1, cell.width), max(1, cell.height)))


def _kind(setting: Setting, environment: Mapping[str, str]) -> Literal["blocks", "kitty", "sixel", "off"]:
    if setting in ("blocks", "kitty", "off", "sixel"):
        return setting
    if setting == "iterm2":
        return "sixel"
    if any(environment.get(name) for name in ("TMUX", "STY", "NO_COLOR", "SSH_CONNECTION", "SSH_TTY")):
        return "blocks"  # a multiplexer passes pixels on only if told to; a slow line would wait for each
    term = environment.get("TERM", "")
    if term in _KITTY_TERMS:
        return "kitty"
    if term.split("-")[0] in _SIXEL_TERMS:
        return "sixel"
    programs = (environment.get("TERM_PROGRAM"), environment.get("LC_TERMINAL"))
    return "sixel" if any(program in _SIXEL_PROGRAMS for program in programs) else "blocks"


@contextmanager
def _unasked() -> Iterator[None]:
    """Import textual-image without its questions to the terminal: a late answer would be taken for keys."""
    names = vars(sys)
    before, names["__stdout__"] = sys.__stdout__, None
    try:
        yield
    finally:
        names["__stdout__"] = before
