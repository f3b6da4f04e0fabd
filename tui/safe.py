"""The one door for outside text on its way to a terminal."""

from __future__ import annotations

import re

__all__ = ["safe"]

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, fillers, invisible marks
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"  # zero width, line separators, bidi
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff"  # lone surrogates
    "\U000e0000-\U000e0fff"
    "]"
)


def safe(text: object, *, limit: int = 4000) -> str:
    """`text` with control, bidi, zero-width and surrogate characters replaced, at most `limit` characters long.

    Each unsafe character becomes U+FFFD, so that nothing of it reaches the terminal and its place still shows.
    """
    plain = _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", str(text))
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
