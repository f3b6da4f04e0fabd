"""Edits by a round trip through ruamel.yaml, for files whose layout cannot be edited in place.

Comments, order and quotes are kept; spacing inside a line may change. This is the only user of ruamel.yaml.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableMapping, MutableSequence
from typing import Any

from colonnade.engine.vocabulary_model import Attribute, BaseAttribute, Thresholds, Vocabulary

__all__ = ["reconcile"]


def reconcile(text: str, wanted: Vocabulary, renamed: Mapping[str, str]) -> str | None:
    """`text` changed to say what `wanted` says, or None where ruamel.yaml cannot read it.

    Args:
        renamed: new code -> the code it has in `text`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    try:
        tree = yaml.load(text)
        _fill(tree, wanted, renamed)
        out = io.StringIO()
        yaml.dump(tree, out)
    except (YAMLError, RecursionError, TypeError, KeyError, AttributeError):
        return None
    return out.getvalue()


def _fill(tree: Any, wanted: Vocabulary, renamed: Mapping[str, str]) -> None:
    for key, attributes in (("base_attributes", wanted.base), ("derived_attributes", wanted.derived)):
        items = tree.get(key)
        if items is None:
            if not attributes:
                continue
            tree[key] = items = []
        kept = {renamed.get(a.code, a.code) for a in attributes}
        for index in range(len(items) - 1, -1, -1):
            if str(items[index]["code"]).strip() not in kept:
                del items[index]
        by_code = {str(item["code"]).strip(): item for item in items}
        for attribute in attributes:
            item = by_code.get(renamed.get(attribute.code, attribute.code))
            if item is None:
                item = {}
                items.append(item)
            _fill_item(item, _fields(attribute, wanted.thresholds))


def _fields(attribute: Attribute, defaults: Thresholds) -> dict[str, Any]:
    fields: dict[str, Any] = {
        name: getattr(attribute, name) for name in ("code", "label", "description", "type")
    }
    if isinstance(attribute, BaseAttribute):
        own = attribute.thresholds
        names = ("accepted", "tentative")
        changed = {
            name: getattr(own, name) for name in names if getattr(own, name) != getattr(defaults, name)
        }
        fields |= {"prompts": list(attribute.prompts or ()) or None, "thresholds": changed or None}
    else:
        rule = attribute.rule
        lists = {"all_of": list(rule.all_of), "any_of": list(rule.any_of), "none_of": list(rule.none_of)}
        fields["rule"] = {name: codes for name, codes in lists.items() if codes}
    return fields


def _fill_item(item: MutableMapping[str, Any], fields: Mapping[str, Any]) -> None:
    for key, value in fields.items():
        present = item.get(key)
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict) and isinstance(present, MutableMapping):
            for name in [name for name in present if name not in value]:
                del present[name]
            _fill_item(present, value)
        elif isinstance(value, list) and isinstance(present, MutableSequence):
            if [str(entry).strip() for entry in present] != value:
                present[:] = value
        elif present is None or not _same(present, value):
            item[key] = value


def _same(present: Any, value: Any) -> bool:
    return present.strip() == value if isinstance(present, str) else bool(present == value)
