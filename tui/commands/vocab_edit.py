"""Changing the vocabulary: add, edit, rename, remove. Every edit keeps the file's comments and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade.tui.commands.vocab_import import DryRunOption, apply_edit, vocab_import
from colonnade.tui.console import StoreOption, open_store, say

if TYPE_CHECKING:
    from colonnade.engine.store import Store
    from colonnade.engine.vocabulary import Attribute, Rule

__all__ = ["COMMANDS"]

CodeArgument = Annotated[str, typer.Argument(metavar="CODE", help="The attribute's code.")]
LabelOption = Annotated[str | None, typer.Option(metavar="TEXT", help="What people call it.")]
DescriptionOption = Annotated[
    str | None, typer.Option(metavar="TEXT", help="What is to be seen; the templates put it into prompts.")
]
TypeOption = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Free grouping.")]
PromptOption = Annotated[
    list[str] | None, typer.Option("--prompt", metavar="TEXT", help="A complete prompt; may be repeated.")
]
AcceptedOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Confidence from which it is accepted.")
]
TentativeOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Confidence from which it is tentative.")
]
AllOfOption = Annotated[
    list[str] | None, typer.Option("--all-of", metavar="CODE,...", help="A rule: each of these accepted.")
]
AnyOfOption = Annotated[
    list[str] | None, typer.Option("--any-of", metavar="CODE,...", help="A rule: one of these accepted.")
]
NoneOfOption = Annotated[
    list[str] | None,
    typer.Option("--none-of", metavar="CODE,...", help="A rule: each of these below tentative."),
]


def vocab_add(
    code: CodeArgument,
    description: Annotated[
        str, typer.Option(metavar="TEXT", help="What is to be seen; the templates put it into prompts.")
    ],
    store: StoreOption = None,
    label: LabelOption = None,
    kind: TypeOption = None,
    prompt: PromptOption = None,
    accepted: AcceptedOption = None,
    tentative: TentativeOption = None,
    all_of: AllOfOption = None,
    any_of: AnyOfOption = None,
    none_of: NoneOfOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Add an attribute that the model scores or, with --all-of, --any-of or --none-of, one derived by a rule.

    Example: colonnade vocab add comet --label Comet --description "a comet with a long bright tail"

    Example: colonnade vocab add lone_comet --description "Nothing but a comet" --all-of comet --none-of earth,moon
    """
    from colonnade.engine.vocabulary import (
        BaseAttribute,
        DerivedAttribute,
        Rule,
        Thresholds,
        parse_vocabulary,
    )
    from colonnade.engine.vocabulary_edit import add_attributes

    label = label or code.replace("_", " ").capitalize()
    ruled = any(given is not None for given in (all_of, any_of, none_of))
    if ruled and (prompt or accepted is not None or tentative is not None):
        raise typer.BadParameter("a derived attribute has a rule, but no --prompt, --accepted or --tentative")

    def edit(source: bytes, name: str) -> bytes:
        attribute: Attribute
        if ruled:
            rule = Rule(_codes(all_of), _codes(any_of), _codes(none_of))
            attribute = DerivedAttribute(code, label, description, kind, rule)
        else:
            default = parse_vocabulary(source, name).thresholds
            own = Thresholds(
                default.accepted if accepted is None else accepted,
                default.tentative if tentative is None else tentative,
            )
            attribute = BaseAttribute(code, label, description, kind, tuple(prompt) if prompt else None, own)
        return add_attributes(source, [attribute], name)

    opened = open_store(store)
    if apply_edit(opened, edit, dry_run):
        say(f"{code} added; `colonnade plan` shows what scoring it takes")


def vocab_change(
    code: CodeArgument,
    store: StoreOption = None,
    label: LabelOption = None,
    description: DescriptionOption = None,
    kind: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help='Free grouping; "" takes it away.')
    ] = None,
    prompt: PromptOption = None,
    no_prompts: Annotated[bool, typer.Option("--no-prompts", help="Use the templates again.")] = False,
    accepted: AcceptedOption = None,
    tentative: TentativeOption = None,
    default_thresholds: Annotated[
        bool, typer.Option("--default-thresholds", help="Take its own thresholds away.")
    ] = False,
    all_of: AllOfOption = None,
    any_of: AnyOfOption = None,
    none_of: NoneOfOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Change fields of an attribute. Prompts and lists of a rule are replaced as a whole; "" empties a list.

    Example: colonnade vocab edit earth --description "planet Earth from orbit" --accepted 0.9
    """
    from colonnade.engine.vocabulary_edit import Changes, edit_attribute

    if prompt and no_prompts:
        raise typer.BadParameter("--prompt and --no-prompts exclude each other")

    def edit(source: bytes, name: str) -> bytes:
        changes = Changes(
            label=label,
            description=description,
            type=kind,
            prompts=() if no_prompts else tuple(prompt) if prompt else None,
            accepted=accepted,
            tentative=tentative,
            default_thresholds=default_thresholds,
            rule=_changed_rule(source, name, code, all_of, any_of, none_of),
        )
        if changes == Changes():
            raise typer.BadParameter("nothing to change: name at least one field, such as --label")
        after = edit_attribute(source, code, changes, name)
        if after == source:
            say(f"{code} says so already; nothing changed")
            raise typer.Exit
        return after

    if apply_edit(open_store(store), edit, dry_run):
        say(f"{code} changed; `colonnade plan` shows what that makes stale")


def vocab_rename(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The code it has.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The code it gets.")],
    store: StoreOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Give an attribute another code, in the rules that name it as well.

    What is stored under the old code (scores, labels, calibrations) stays there.

    Example: colonnade vocab rename sun star
    """
    from colonnade.engine.vocabulary_edit import rename_attribute

    opened = open_store(store)
    if apply_edit(opened, lambda source, name: rename_attribute(source, old, new, name), dry_run):
        say(f"{old} is {new} now{_left(opened, old)}")
        _warn_queries(opened, old)


def vocab_remove(
    code: CodeArgument,
    store: StoreOption = None,
    from_rules: Annotated[
        bool, typer.Option("--from-rules", help="Take it out of the rules that name it, too.")
    ] = False,
    dry_run: DryRunOption = False,
) -> None:
    """Remove an attribute from the file. Its scores stay, as orphans, until they are dropped.

    Example: colonnade vocab remove comet --from-rules
    """
    from colonnade.engine.vocabulary_edit import remove_attribute

    opened = open_store(store)
    if apply_edit(
        opened, lambda source, name: remove_attribute(source, code, name, from_rules=from_rules), dry_run
    ):
        say(f"{code} removed{_left(opened, code)}")
        _warn_queries(opened, code)


def _codes(given: Sequence[str] | None) -> tuple[str, ...]:
    """Codes of a repeated option, each of which may hold several with commas between."""
    return tuple(code for text in given or () for part in text.split(",") if (code := part.strip()))


def _changed_rule(
    source: bytes,
    name: str,
    code: str,
    all_of: list[str] | None,
    any_of: list[str] | None,
    none_of: list[str] | None,
) -> Rule | None:
    """The attribute's rule with the lists that were given in the place of its own; None where none was."""
    from colonnade.engine.vocabulary import DerivedAttribute, Rule, parse_vocabulary

    if all_of is None and any_of is None and none_of is None:
        return None
    attribute = parse_vocabulary(source, name).attribute(code)
    old = attribute.rule if isinstance(attribute, DerivedAttribute) else Rule()
    return Rule(
        old.all_of if all_of is None else _codes(all_of),
        old.any_of if any_of is None else _codes(any_of),
        old.none_of if none_of is None else _codes(none_of),
    )


def _left(store: Store, code: str) -> str:
    """What to say of the scores that a code leaves behind; nothing where there are none."""
    stay = f"; its scores stay, as {code}, until `colonnade drop {code}`"
    return stay if store.snapshot().files("scores", code) else ""


def _warn_queries(store: Store, code: str) -> None:
    """Name the saved queries that use a code which the vocabulary no longer has."""
    import re

    from colonnade.engine.queries_file import read_queries

    word = re.compile(rf"\b{re.escape(code)}\b")
    users = [name for name, text in read_queries(store.path).items() if word.search(text)]
    if users:
        say(f"saved queries that still name {code}: {', '.join(users)}")


COMMANDS: dict[str, Callable[..., None]] = {
    "add": vocab_add,
    "edit": vocab_change,
    "rename": vocab_rename,
    "remove": vocab_remove,
    "import": vocab_import,
}
"""The edits, for the `vocab` commands."""
