"""Pasted text as text: Textual reads an escape in it, and what follows, as keys of the app.

A terminal puts what is pasted between two marks. What is copied from elsewhere may hold control characters, and some
terminals pass them on; here they are dropped before Textual sees them.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from textual._xterm_parser import XTermParser

if TYPE_CHECKING:
    from textual.message import Message

__all__ = ["CleanPastes", "PasteParser", "use_clean_pastes"]

_START, _END = "\x1b[200~", "\x1b[201~"
_DROPPED = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}


class CleanPastes:
    """Takes control characters out of what is pasted, in input that comes in pieces cut anywhere."""

    def __init__(self) -> None:
        self._is_pasted = False
        self._before = ""
        """The end of the input before a paste, or within one what may be the beginning of its end mark."""

    def clean(self, data: str) -> str:
        """The input without them; what may be the end mark comes with the next piece."""
        out: list[str] = []
        while data:
            known = self._before + data
            if self._is_pasted:
                text, mark, data = known.partition(_END)
                self._before = "" if mark else _begun(text)
                self._is_pasted = not mark
                out += [text[: len(text) - len(self._before)].translate(_DROPPED), mark]
                continue
            at = known.find(_START)
            if at < 0:
                out.append(data)
                self._before = known[1 - len(_START) :]
                break
            cut = at + len(_START) - len(self._before)
            out.append(data[:cut])
            data, self._before, self._is_pasted = data[cut:], "", True
        return "".join(out)


def _begun(text: str) -> str:
    """The longest end of a text with which the end mark begins."""
    return next((_END[:size] for size in range(len(_END) - 1, 0, -1) if text.endswith(_END[:size])), "")


class PasteParser(XTermParser):
    """Textual's parser of what a terminal sends, with clean pastes."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._pastes = CleanPastes()

    def feed(self, data: str) -> Iterable[Message]:
        cleaned = self._pastes.clean(data)
        return super().feed(cleaned) if cleaned or not data else ()


def use_clean_pastes(driver: Literal["linux_driver", "web_driver"]) -> None:
    """Have Textual's driver of this process read its input with `PasteParser`."""
    vars(import_module(f"textual.drivers.{driver}"))["XTermParser"] = PasteParser
