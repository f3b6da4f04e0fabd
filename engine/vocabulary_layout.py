"""Where things stand in the text of a vocabulary: ends of values, lines, dashes, comments below a list."""

from __future__ import annotations

from colonnade.engine.vocabulary_yaml import Node, Scalar, Sequence

__all__ = ["Layout"]


class Layout:
    """Places in one text, as offsets from its start."""

    def __init__(self, text: str) -> None:
        self._text = text

    def end(self, node: Node) -> int:
        """Where the last character of a value stands, plus one: without the blank lines after it."""
        while not (isinstance(node, Scalar) or node.flow or node.aliased):
            inner = node.items if isinstance(node, Sequence) else [value for _, value in node.pairs]
            node = inner[-1]
        return node.start + len(self._text[node.start : node.end].rstrip())

    def line_start(self, offset: int) -> int:
        return self._text.rfind("\n", 0, offset) + 1

    def line_end(self, offset: int) -> int:
        """The offset of the line's break, or of the end of the text."""
        end = self._text.find("\n", offset)
        end = len(self._text) if end < 0 else end
        return end - 1 if self._text[offset:end].endswith("\r") else end

    def dash_offset(self, item: Node) -> int:
        return self._text.rindex("-", 0, item.start)

    def dash(self, item: Node) -> int:
        """Column of the dash before an item, from 0."""
        offset = self.dash_offset(item)
        return offset - self.line_start(offset)

    def spaced(self, listed: Sequence) -> bool:
        """Whether a blank line stands between the last two items."""
        if len(listed.items) < 2:
            return False
        before, last = listed.items[-2:]
        lines = self._text[self.end(before) : self.dash_offset(last)].split("\n")
        return any(not line.strip() for line in lines[1:-1])

    def after_comments(self, place: int, dash: int) -> int:
        """Past the comment lines right below that are indented like the list's items."""
        while place < len(self._text):
            start = self._text.find("\n", place) + 1
            if not start:
                return place
            end = self.line_end(start)
            line = self._text[start:end]
            indent = len(line) - len(line.lstrip(" "))
            if not line.lstrip().startswith("#") or indent <= dash:
                return place
            place = end
        return place
