"""Reading the vocabulary: list, show, check, lint. Its edits are in `vocab_edit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from colonnade.tui.commands import vocab_edit
from colonnade.tui.commands.setup import vocabulary_source
from colonnade.tui.console import (
    JsonOption,
    StoreOption,
    add_group,
    emit,
    emit_json,
    open_store,
    print_table,
    safe,
    say,
)

if TYPE_CHECKING:
    from colonnade.engine.store import Store
    from colonnade.engine.vocabulary import Attribute, Vocabulary

__all__ = ["register"]

_HELP = """The vocabulary: which attributes there are, and in what words. Edits keep the file's comments.

Example: colonnade vocab add comet --description "a comet with a long bright tail" && colonnade sync
"""

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="The attribute's code.")]
FileArgument = Annotated[
    str | None,
    typer.Argument(metavar="[FILE]", help="A vocabulary file, or one that ships; else the store's own."),
]


def vocab_list(
    store: StoreOption = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only attributes of this type.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """List the attributes, in the order of the file.

    Example: colonnade vocab list --type celestial_body
    """
    vocabulary = open_store(store).vocabulary()
    wanted = [a for a in vocabulary.attributes if kind is None or a.type == kind]
    if json_:
        emit_json([_document(vocabulary, attribute) for attribute in wanted])
        return
    print_table(
        ["code", "label", "type", "kind", "accepted", "tentative", "says"],
        [_row(vocabulary, attribute) for attribute in wanted],
        right={"accepted", "tentative"},
    )


def _row(vocabulary: Vocabulary, attribute: Attribute) -> list[str]:
    from colonnade.engine.vocabulary import BaseAttribute

    words = [attribute.code, attribute.label, attribute.type or ""]
    if isinstance(attribute, BaseAttribute):
        prompts = vocabulary.prompts(attribute.code)
        more = f" (1 of {len(prompts)})" if len(prompts) > 1 else ""
        thresholds = attribute.thresholds
        return [*words, "base", f"{thresholds.accepted:g}", f"{thresholds.tentative:g}", prompts[0] + more]
    return [*words, "derived", "", "", _rule_text(attribute.rule)]


def _rule_text(rule: Any) -> str:
    lists = (("all_of", rule.all_of), ("any_of", rule.any_of), ("none_of", rule.none_of))
    return "; ".join(f"{name}: {', '.join(codes)}" for name, codes in lists if codes)


def _document(vocabulary: Vocabulary, attribute: Attribute) -> dict[str, Any]:
    """An attribute as JSON; the keys are those of the vocabulary file, with what follows from them."""
    from colonnade.engine.vocabulary import BaseAttribute

    base = isinstance(attribute, BaseAttribute)
    document: dict[str, Any] = {
        "code": attribute.code,
        "kind": "base" if base else "derived",
        "label": attribute.label,
        "description": attribute.description,
        "type": attribute.type,
        "line": attribute.line,
        "used_by": list(vocabulary.users(attribute.code)),
    }
    if isinstance(attribute, BaseAttribute):
        document["prompts"] = list(vocabulary.prompts(attribute.code))
        document["own_prompts"] = attribute.prompts is not None
        document["thresholds"] = dict(vars(attribute.thresholds))
    else:
        document["rule"] = {key: list(codes) for key, codes in vars(attribute.rule).items()}
    return document


def vocab_show(code: CodeArgument, store: StoreOption = None, json_: JsonOption = False) -> None:
    """Show one attribute: its words, prompts or rule, thresholds, and which rules use it.

    Example: colonnade vocab show earth
    """
    opened = open_store(store)
    vocabulary = opened.vocabulary()
    document = _document(vocabulary, vocabulary.attribute(code))
    if json_:
        emit_json(document)
        return
    for key in ("code", "kind", "label", "description", "type"):
        emit(f"{key + ':':13}{safe(document[key] or '')}".rstrip())
    for prompt in document.get("prompts", ()):
        emit(f"{'prompt:':13}{safe(prompt)}")
    for name, value in document.get("thresholds", {}).items():
        emit(f"{name + ':':13}{value:g}")
    for name, codes in document.get("rule", {}).items():
        emit(f"{name + ':':13}{', '.join(codes)}".rstrip())
    emit(f"{'used by:':13}{', '.join(document['used_by'])}".rstrip())
    emit(f"{'place:':13}{safe(opened.vocabulary_path)}:{document['line']}")


def vocab_check(file: FileArgument = None, store: StoreOption = None, json_: JsonOption = False) -> None:
    """Report every fault of a vocabulary file with its place; exit 3 where there is one.

    Example: colonnade vocab check my-words.yaml
    """
    from colonnade.engine.vocabulary import VocabularyError, parse_vocabulary

    source, name = _source(file, store)
    try:
        vocabulary = parse_vocabulary(source, name)
    except VocabularyError as error:
        if json_:
            faults = [vars(fault) for fault in error.faults]
            emit_json({"file": name, "ok": False, "base": None, "derived": None, "faults": faults})
        else:
            for fault in error.faults:
                emit(fault.render(name))
            count = len(error.faults)
            say(f"{count:,} fault{'s' if count > 1 else ''}")
        raise typer.Exit(3) from None
    base, derived = len(vocabulary.base), len(vocabulary.derived)
    if json_:
        emit_json({"file": name, "ok": True, "base": base, "derived": derived, "faults": []})
    else:
        say(f"{name}: {base:,} base and {derived:,} derived attributes, no faults")


def vocab_lint(
    file: FileArgument = None,
    store: StoreOption = None,
    encode: Annotated[
        bool,
        typer.Option("--model-encode", help="Load the store's model to encode prompts and count tokens."),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Advise on wording, rules that can never hold and loose ends; exit 1 where there is something to say.

    Prompts are compared by the vectors that the store has cached for its active model.

    Example: colonnade vocab lint
    """
    from colonnade.engine.lint import lint
    from colonnade.engine.lint_inputs import lint_inputs
    from colonnade.engine.vocabulary import parse_vocabulary

    source, name = _source(file, store)
    vocabulary = parse_vocabulary(source, name)
    inputs = lint_inputs(vocabulary, _store_for_lint(file, store, encode), encode=encode)
    findings = lint(
        vocabulary,
        inputs.vectors,
        inputs.token_counts,
        inputs.context_length,
        inputs.queries,
        counted=inputs.counted,
    )
    if json_:
        emit_json(
            {"file": name, "findings": [vars(finding) for finding in findings], "left_out": inputs.left_out}
        )
    else:
        for finding in findings:
            subject = f" {finding.code}:" if finding.code else ""
            emit(f"{name}:{finding.line}: {finding.rule}:{subject} {finding.message}; {finding.hint}")
    for line in inputs.left_out:
        say(line)
    if findings:
        raise typer.Exit(1)
    say(f"{name}: nothing to say")


def _source(file: str | None, store: Any) -> tuple[bytes, str]:
    """The bytes to look at and what messages call them."""
    from colonnade.engine.errors import StoreError
    from colonnade.engine.vocabulary import read_source

    if file is not None:
        return vocabulary_source(file)
    path = open_store(store).vocabulary_path
    if not path.exists():
        raise StoreError(f"{path}: missing; restore it, or copy it from {path.parent / 'live'}/")
    return read_source(path), str(path)


def _store_for_lint(file: str | None, store: Any, encode: bool) -> Store | None:
    """The store whose vectors and queries count: always where one is meant, else where there is one."""
    from colonnade.engine.errors import StoreError

    try:
        return open_store(store)
    except StoreError:
        if file is None or store is not None or encode:
            raise
        return None


def register(app: typer.Typer) -> None:
    """Add this area's commands."""
    commands = {"list": vocab_list, "show": vocab_show, "check": vocab_check, "lint": vocab_lint}
    add_group(app, "vocab", _HELP, commands | vocab_edit.COMMANDS)
