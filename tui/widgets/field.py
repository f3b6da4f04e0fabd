"""A text field of one line for what may come from outside: names, paths, words of a vocabulary."""

from __future__ import annotations

import unicodedata

from rich.text import Text
from textual import events
from textual.widgets import Input

from colonnade.tui.safe import safe

__all__ = ["SafeInput", "pasted_words"]


def pasted_words(text: str) -> str:
    """Text from outside as one line: lines joined by a space, tabs as spaces, no control characters."""
    first, *rest = text.splitlines() or [""]
    words = [line.strip() for line in rest if line.strip()]
    joined = " ".join([first.rstrip(), *words] if words else [first])
    return "".join(c for c in joined.replace("\t", " ") if unicodedata.category(c) not in ("Cc", "Cs"))


class SafeInput(Input):
    """An `Input` without a frame and without blinking; it holds any text and shows it safely.

    Each unsafe character is shown as one other, so that the cursor stands where it is in the value.
    """

    def __init__(
        self,
        value: str = "",
        *,
        id: str | None = None,
        placeholder: str = "",
        select_on_focus: bool = False,
    ) -> None:
        super().__init__(value, id=id, placeholder=placeholder, select_on_focus=select_on_focus, compact=True)
        self.cursor_blink = False

    @property
    def _value(self) -> Text:
        return Text(safe(self.value, limit=len(self.value) + 1), no_wrap=True, overflow="ignore", end="")

    def on_paste(self, event: events.Paste) -> None:
        """All that is pasted, not its first line alone."""
        event.prevent_default()
        event.stop()
        words = pasted_words(event.text)
        if self.selection.is_empty:
            self.insert_text_at_cursor(words)
        elif words:
            self.replace(words, *self.selection)
