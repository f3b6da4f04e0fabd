"""Edits of a vocabulary's text in place: everything but the edit itself stays as it is, byte for byte.

The text is cut and filled where the parser says that a value stands, so comments, quotes, alignment and line
ends survive. What results is only trusted once it has been read again: see `vocabulary_edit`.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence as SequenceType

from colonnade.engine.vocabulary_layout import Layout
from colonnade.engine.vocabulary_write import Value, double_quoted, scalar, written
from colonnade.engine.vocabulary_yaml import Mapping, Node, Scalar, Sequence, compose

__all__ = ["Text", "UnusualLayoutError"]

_ORDER = ("code", "label", "description", "type", "prompts", "thresholds", "rule")


class UnusualLayoutError(Exception):
    """The text is laid out in a way that cannot be edited in place."""


class Text:
    """The text of a vocabulary and its nodes; every edit returns a new one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._at = Layout(text)
        root = compose(text, lambda fault: None)
        if not isinstance(root, Mapping):
            raise UnusualLayoutError
        self._root = root

    def list_of(self, key: str) -> Sequence | None:
        """The list under a top-level key, where there is one with items."""
        node = self._root.get(key)
        return node if isinstance(node, Sequence) and node.items and not node.aliased else None

    def item(self, code: str) -> Mapping:
        """The mapping of the attribute with that code."""
        for key in ("base_attributes", "derived_attributes"):
            listed = self.list_of(key)
            for item in listed.items if listed else ():
                named = item.get("code") if isinstance(item, Mapping) and not item.aliased else None
                if isinstance(named, Scalar) and named.value.strip() == code and isinstance(item, Mapping):
                    return item
        raise UnusualLayoutError

    def append(self, key: str, items: SequenceType[MappingType[str, Value]]) -> Text:
        """Put attributes at the end of a top-level list, which may be empty or absent."""
        if not items:
            return self
        if self._root.flow:
            raise UnusualLayoutError
        listed = self.list_of(key)
        if listed is None:
            return self._start_list(key, items)
        last = listed.items[-1]
        if listed.flow:
            return self._splice(
                self._at.end(last), self._at.end(last), "".join(f", {written(item)}" for item in items)
            )
        first = listed.items[0]
        dash = self._at.dash(first)
        gap = first.column - 1 - dash if isinstance(first, Mapping) and not first.flow else 2
        place = self._at.line_end(self._at.end(last))
        place = self._at.after_comments(place, dash)
        between = self._newline if self._at.spaced(listed) else ""
        new = "".join(self._newline + between + self._item(item, dash, gap) for item in items)
        return self._splice(place, place, new)

    def remove(self, code: str) -> Text:
        """Take an attribute out of its list, with the comments inside it; those around it stay."""
        item = self.item(code)
        for key in ("base_attributes", "derived_attributes"):
            listed = self.list_of(key)
            if listed is not None and item in listed.items:
                return self._without(listed, listed.items.index(item))
        raise UnusualLayoutError

    def rename(self, old: str, new: str) -> Text:
        """Write another code wherever an attribute declares it or a rule names it."""
        places: list[Scalar] = []
        for key in ("base_attributes", "derived_attributes"):
            listed = self.list_of(key)
            for item in listed.items if listed else ():
                places += [node for node in _codes_in(item) if node.value.strip() == old]
        edited = self.text
        for node in sorted(
            {node.start: node for node in places}.values(), key=lambda n: n.start, reverse=True
        ):
            raw = edited[node.start : node.end]
            at = raw.rfind(old)
            if at < 0:
                raise UnusualLayoutError
            fresh = scalar(new, flow=True) if node.plain else new
            edited = edited[: node.start] + raw[:at] + fresh + raw[at + len(old) :] + edited[node.end :]
        return Text(edited)

    def drop_from_rule(self, user: str, code: str) -> Text:
        """Take a code out of the rule of another attribute."""
        found = self
        while True:
            rule = found.item(user).get("rule")
            if not isinstance(rule, Mapping):
                raise UnusualLayoutError
            for _, listed in rule.pairs:
                if not isinstance(listed, Sequence):
                    continue
                at = next((i for i, n in enumerate(listed.items) if _says(n, code)), None)
                if at is None:
                    continue
                alone = len(listed.items) == 1 and not listed.flow
                found = found._delete(rule, listed) if alone else found._without(listed, at)
                break
            else:
                return found

    def set(self, code: str, path: tuple[str, ...], value: Value | None) -> Text:
        """Write one field of an attribute (`("label",)`, `("thresholds", "accepted")`); None removes it."""
        owner: Mapping = self.item(code)
        for depth, key in enumerate(path[:-1]):
            inner = owner.get(key)
            if inner is None:
                if value is None:
                    return self
                for outer in reversed(path[depth + 1 :]):
                    value = {outer: value}
                return self._insert(owner, key, value)
            if not isinstance(inner, Mapping) or inner.aliased:
                raise UnusualLayoutError
            owner = inner
        node = owner.get(path[-1])
        if node is None:
            return self if value is None else self._insert(owner, path[-1], value)
        if value is None:
            return self._delete(owner, node)
        if isinstance(node, Sequence) and not node.aliased and node.items and isinstance(value, list | tuple):
            return self._set_list(node, value)
        return self._splice(node.start, self._at.end(node), self._like(node, value, owner.flow))

    # --- lists of texts ---

    def _set_list(self, listed: Sequence, values: SequenceType[str]) -> Text:
        """Change what differs, item by item, so that comments beside the rest stay."""
        kept = min(len(listed.items), len(values))
        splices: list[tuple[int, int, str]] = []
        for node, value in zip(listed.items[:kept], values, strict=False):
            if not _says(node, value):
                splices.append((node.start, self._at.end(node), self._like(node, value, listed.flow)))
        last = listed.items[kept - 1]
        if len(values) > kept:
            place = self._at.end(last) if listed.flow else self._at.line_end(self._at.end(last))
            lead = ", " if listed.flow else self._newline + " " * (listed.column - 1) + "- "
            new = "".join(lead + scalar(value, flow=listed.flow) for value in values[kept:])
            splices.append((place, place, new))
        elif len(listed.items) > kept:
            end = self._at.end(listed.items[-1])
            start = self._at.end(last) if listed.flow else self._at.line_end(self._at.end(last))
            splices.append((start, end if listed.flow else self._at.line_end(end), ""))
        edited = self.text
        for start, end, new in reversed(splices):
            edited = edited[:start] + new + edited[end:]
        return Text(edited)

    def _without(self, listed: Sequence, index: int) -> Text:
        item, end = listed.items[index], self._at.end(listed.items[index])
        if not listed.flow:
            start = self._at.line_start(self._at.dash_offset(item))
            last = index == len(listed.items) - 1
            return self._cut_lines(start, end, separated=last and self._at.spaced(listed))
        if index:
            return self._splice(self._at.end(listed.items[index - 1]), end, "")
        follower = listed.items[1].start if len(listed.items) > 1 else end
        return self._splice(item.start, follower, "")

    # --- keys of a mapping ---

    def _insert(self, owner: Mapping, key: str, value: Value) -> Text:
        before = [n for k, n in owner.pairs if isinstance(k, Scalar) and _rank(k.value) < _rank(key)]
        node = before[-1] if before else owner.pairs[-1][1] if owner.pairs else None
        if node is None:
            raise UnusualLayoutError
        if owner.flow:
            return self._splice(self._at.end(node), self._at.end(node), f", {key}: {written(value)}")
        place = self._at.line_end(self._at.end(node))
        return self._splice(place, place, self._newline + self._field(key, value, owner.column - 1))

    def _delete(self, owner: Mapping, node: Node) -> Text:
        at = next(i for i, (_, value) in enumerate(owner.pairs) if value is node)
        key, end = owner.pairs[at][0], self._at.end(node)
        if owner.flow and at:
            return self._splice(self._at.end(owner.pairs[at - 1][1]), end, "")
        if at == 0 and len(owner.pairs) > 1:
            return self._splice(key.start, owner.pairs[1][0].start, "")
        if owner.flow or at == 0:
            raise UnusualLayoutError
        return self._cut_lines(self._at.line_start(key.start), end)

    # --- writing ---

    def _field(self, key: str, value: Value, indent: int) -> str:
        lead = " " * indent + f"{key}: "
        if isinstance(value, str):
            return lead + scalar(value, flow=False)
        if key == "prompts" and not isinstance(value, MappingType | float | int):
            rows = [" " * (indent + 2) + "- " + scalar(item, flow=False) for item in value]
            return self._newline.join([lead.rstrip(), *rows])
        return lead + written(value)

    def _item(self, item: MappingType[str, Value], dash: int, gap: int) -> str:
        rows = [self._field(key, value, dash + gap) for key, value in item.items()]
        return " " * dash + "-" + " " * (gap - 1) + self._newline.join(rows)[dash + gap :]

    def _like(self, node: Node, value: Value, flow: bool) -> str:
        """A value written the way the one it replaces was: same quotes, anchor kept."""
        if not isinstance(value, str) or not isinstance(node, Scalar):
            return written(value)
        quote = self.text[self._at.end(node) - 1]
        if not node.plain and quote == "'" and value.isprintable():
            return "'" + value.replace("'", "''") + "'"
        if not node.plain and quote == '"':
            return double_quoted(value)
        return scalar(value, flow=flow)

    def _start_list(self, key: str, items: SequenceType[MappingType[str, Value]]) -> Text:
        rows = "".join(self._newline + self._item(item, 2, 2) for item in items)
        node = self._root.get(key)
        if node is None:
            body = self.text.rstrip()
            return Text(body + self._newline * 2 + f"{key}:" + rows + self._newline)
        if self.text[node.start : node.end] not in ("", "[]", "[ ]", "~", "null"):
            raise UnusualLayoutError
        place = self._at.line_end(node.end)
        head = self.text[: node.start].rstrip(" ") + self.text[node.end : place].rstrip(" ")
        return Text(head + rows + self.text[place:])

    def _splice(self, start: int, end: int, new: str) -> Text:
        return Text(self.text[:start] + new + self.text[end:])

    def _cut_lines(self, start: int, end: int, *, separated: bool = False) -> Text:
        """Remove whole lines; the blank line above goes with them where it would stand beside another.

        Args:
            separated: that blank line only set off what is removed, so it goes in any case.
        """
        after = self._at.line_end(end)
        rest = self.text[after:].removeprefix("\r").removeprefix("\n")
        head = self.text[:start]
        blank = self._newline * 2
        if head.endswith(blank) and (separated or not rest.strip() or rest.startswith(self._newline)):
            head = head[: -len(self._newline)]
        return Text(head + rest)


def _codes_in(item: Node) -> list[Scalar]:
    """The scalars of an attribute that hold codes and are written there."""
    if not isinstance(item, Mapping) or item.aliased:
        return []
    rule = item.get("rule")
    lists = [v for _, v in rule.pairs] if isinstance(rule, Mapping) and not rule.aliased else []
    nodes = [
        item.get("code"),
        *(n for v in lists if isinstance(v, Sequence) and not v.aliased for n in v.items),
    ]
    return [node for node in nodes if isinstance(node, Scalar) and not node.aliased]


def _says(node: Node, text: str) -> bool:
    return isinstance(node, Scalar) and node.value.strip(" \t\r\n") == text


def _rank(key: str) -> int:
    return _ORDER.index(key) if key in _ORDER else len(_ORDER)
