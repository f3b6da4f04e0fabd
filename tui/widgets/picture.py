"""One picture, drawn as half-blocks or as the terminal's own pixels, never on the event loop.

A picture is decoded once the cursor has rested for a tenth of a second; one that is remembered shows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.events import Resize
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from colonnade.tui.picture_protocol import PictureProtocol
from colonnade.tui.pictures import Loaded, Mode, PictureSource, Pixels
from colonnade.tui.safe import safe
from colonnade.tui.widgets.picture_strips import drawn_strips, mode_in

if TYPE_CHECKING:
    from textual_image.widget._base import Image as PixelWidget

__all__ = ["Picture", "pictures_of", "protocol_of"]

DEBOUNCE_S = 0.1
PATIENCE_S = 0.25
"""From then on an earlier picture is not left standing for the one that is being decoded."""

_sources: WeakKeyDictionary[App[Any], PictureSource] = WeakKeyDictionary()


def pictures_of(app: App[Any]) -> PictureSource:
    """The pictures that all widgets of an app share. Whoever uses it opens it first and closes it in the end."""
    return _sources.setdefault(app, PictureSource())


def protocol_of(app: App[Any]) -> PictureProtocol:
    """How an app shows pictures: as was settled before it ran, else as half-blocks, or not at all."""
    settled = getattr(app, "picture_protocol", None)
    if isinstance(settled, PictureProtocol):
        return settled
    setting = getattr(getattr(app, "configuration", None), "pictures", "auto")
    return PictureProtocol("off" if setting == "off" else "blocks")


class Picture(Widget):
    """Shows the picture of one file, as large as fits, in its own proportions, or why there is none.

    The app's attribute `picture_protocol` (from `picture_protocol.prepare`) says how; without it, half-blocks.
    """

    DEFAULT_CSS = """
    Picture { width: 1fr; height: 1fr; align: center middle; }
    Picture > .pixels { display: none; }
    """

    @dataclass
    class Shown(Message):
        """A picture, or the reason why there is none, has been drawn."""

        picture: Picture
        path: Path | None
        reason: str | None

        @property
        def control(self) -> Picture:
            return self.picture

    @dataclass
    class _Arrived(Message, bubble=False):
        path: Path
        box: tuple[int, int]
        loaded: Loaded

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._path: Path | None = None
        self._given: str | None = None
        self._base: Style | None = None
        self._loaded: Loaded | None = None
        self._strips: list[Strip] = []
        self._left = self._top = 0
        self._wait: Timer | None = None
        self._patience: Timer | None = None
        self._pixels: PixelWidget | None = None

    @property
    def path(self) -> Path | None:
        """The file that is shown, or will be in a moment."""
        return self._path

    @property
    def reason(self) -> str | None:
        """Why there is no picture, or None (also while that is not known yet)."""
        return self._given or (self._loaded.reason if self._loaded else None)

    def show(self, path: Path | None, reason: str | None = None, *, clear: bool = False) -> None:
        """Show another file, soon.

        Args:
            reason: why there is nothing to show, where that is known; the file is not tried then.
            clear: take the present picture away at once, where no other must be seen in the meantime.
        """
        given = safe(reason, limit=300) if reason else None
        if (path, given) == (self._path, self._given):
            return
        self._path, self._given = path, given
        self._stop_timers()
        if path is None or given or self._protocol.kind == "off":
            self.workers.cancel_group(self, "picture")
            self._draw(None)
            self.post_message(self.Shown(self, path, given))
            return
        box = self._box()
        known = pictures_of(self.app).peek(path, *box, self._mode()) if self.is_mounted else None
        if known is not None:
            self._draw(known)
        elif clear:
            self._draw(None)
        self._wait = self.set_timer(DEBOUNCE_S, self._load)

    def prefetch(self, path: Path) -> None:
        """Decode a picture that is likely to be wanted next."""
        if self._protocol.kind != "off":
            width, height = self._box()
            load = partial(pictures_of(self.app).load, path, width, height, self._mode())
            self.run_worker(load, thread=True, group="prefetch", exit_on_error=False)

    def compose(self) -> ComposeResult:
        if self._protocol.kind in ("kitty", "sixel"):
            self._pixels = self._protocol.widget()
            self._pixels.add_class("pixels")
            yield self._pixels

    def on_mount(self) -> None:
        pictures_of(self.app).open()

    def on_unmount(self) -> None:
        self._stop_timers()
        pictures_of(self.app).close()

    def on_resize(self, _: Resize) -> None:
        if self._path is not None and self._given is None and self._protocol.kind != "off":
            self._stop_timers()
            self._wait = self.set_timer(DEBOUNCE_S, self._load)
        self._lay_out()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted and self.rich_style != self._base:
            self._lay_out()  # the theme's background is in the strips

    def render_line(self, y: int) -> Strip:
        row = y - self._top
        width, base = self.size.width, self.rich_style
        if not 0 <= row < len(self._strips):
            return Strip.blank(width, base)
        strip = self._strips[row]
        right = width - self._left - strip.cell_length
        if right < 0:  # of another size than this, for the moment
            return strip.crop(0, width)
        return Strip(
            [Segment(" " * self._left, base), *strip, Segment(" " * right, base)]
            if self._left or right
            else list(strip),
            width,
        )

    @property
    def _protocol(self) -> PictureProtocol:
        return protocol_of(self.app)

    def _mode(self) -> Mode | Literal["pixels"]:
        return mode_in(self.app) if self._pixels is None else "pixels"

    def _box(self) -> tuple[int, int]:
        width, height = self.size
        if self._pixels is None:
            return width, height
        across, down = self._protocol.cell
        return width * across, height * down

    def _load(self) -> None:
        path, box = self._path, self._box()
        if path is None or 0 in box:
            return
        if self._loaded is not None:
            self._patience = self.set_timer(PATIENCE_S, partial(self._draw, None))
        load = partial(self._load_in_thread, path, box, self._mode())
        self.run_worker(load, thread=True, exclusive=True, group="picture", exit_on_error=False)

    def _load_in_thread(self, path: Path, box: tuple[int, int], mode: Mode | Literal["pixels"]) -> None:
        loaded = pictures_of(self.app).load(path, *box, mode)
        self.post_message(self._Arrived(path, box, loaded))

    def on_picture__arrived(self, message: _Arrived) -> None:
        if message.path != self._path or message.box != self._box():
            return
        self._stop_timers()
        if message.loaded is not self._loaded:
            self._draw(message.loaded)
        self.post_message(self.Shown(self, self._path, self.reason))

    def _draw(self, loaded: Loaded | None) -> None:
        self._loaded = loaded
        if self._pixels is not None:
            self._draw_pixels(self._pixels, loaded.pixels if loaded else None)
        self._lay_out()

    def _draw_pixels(self, widget: PixelWidget, pixels: Pixels | None) -> None:
        widget.display = pixels is not None
        if pixels is None:
            widget.image = None
            return
        from PIL import Image

        across, down = self._protocol.cell
        widget.styles.width = -(-pixels.width // across)
        widget.styles.height = -(-pixels.height // down)
        image = Image.frombytes("P", (pixels.width, pixels.height), pixels.indices)
        image.putpalette(pixels.palette)
        widget.image = image if self._protocol.kind == "kitty" else image.convert("RGB")

    def _lay_out(self) -> None:
        """Make the strips anew from what is to be shown."""
        width, height = self.size
        self._base = self.rich_style
        shown = Loaded(self._loaded.cells if self._loaded else None, reason=self.reason)
        self._strips = drawn_strips(shown, (width, height), self._base)
        widest = max((strip.cell_length for strip in self._strips), default=0)
        self._left, self._top = max(0, (width - widest) // 2), max(0, (height - len(self._strips)) // 2)
        self.refresh()

    def _stop_timers(self) -> None:
        for timer in (self._wait, self._patience):
            if timer is not None:
                timer.stop()
        self._wait = self._patience = None
