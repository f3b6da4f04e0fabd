"""A text field of one line for what may come from outside: names, paths, words of a vocabulary."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Input

from colonnade.tui.safe import safe

__all__ = ["SafeInput"]


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
