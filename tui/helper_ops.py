"""What the helper process can be asked for. Each op takes and gives what JSON has; engine modules load when needed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import ConflictError, InputError

if TYPE_CHECKING:
    import numpy as np

    from colonnade.engine.embedder import Embedder
    from colonnade.engine.review import Review
    from colonnade.engine.store import Store
    from colonnade.tui.helper_bench import Bench

__all__ = ["OPS", "Helper"]

Progress = Callable[[str, int, int], None]
MAX_SET_NAME = 64


class Helper:
    """Runs ops on one store; keeps the model once it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.progress: Progress = lambda what, done, total: None
        self.texts: dict[tuple[str, str], np.ndarray] = {}
        """(model key, text) -> vector float32 [D], of texts that were tried."""
        self.bench: tuple[object, Bench] | None = None
        """The images that wordings are tried on, and what tells that they are still the same."""
        self.reviews: dict[tuple[str, str, bool], tuple[tuple[str, ...], Review]] = {}
        """(code, reviewer, audit) -> the score files that a review was begun on, and the review."""
        self._embedders: dict[str, Embedder] = {}

    @property
    def store(self) -> Store:
        from colonnade.engine.store import Store

        return Store(self.path)

    def load(self, spec: str) -> Embedder:
        """The model of a specification, loaded once.

        Raises:
            ModelError: it cannot be loaded.
        """
        if spec not in self._embedders:
            from colonnade.engine.embedder import load_embedder

            self.progress("loading the model", 0, 0)
            self._embedders.clear()
            self._embedders[spec] = load_embedder(spec)
        return self._embedders[spec]

    def run(self, op: str, args: Mapping[str, Any], progress: Progress) -> Any:
        """Do one thing.

        Raises:
            InputError: no such op, or arguments that it does not take.
        """
        function = OPS.get(op) or _judge_ops().get(op) or _model_ops().get(op)
        if function is None:
            raise InputError(f"{op[:80]!r}: the helper has no such op")
        try:
            inspect.signature(function).bind(self, **args)
        except TypeError as error:
            raise InputError(f"{op}: {error}") from None
        self.progress = progress
        return function(self, **args)


def _judge_ops() -> dict[str, Callable[..., Any]]:
    from colonnade.tui.helper_judge import JUDGE_OPS

    return JUDGE_OPS


def _model_ops() -> dict[str, Callable[..., Any]]:
    from colonnade.tui.helper_model import MODEL_OPS

    return MODEL_OPS


def ping(helper: Helper) -> str:
    """Says that the process is there."""
    return "pong"


def create_store(helper: Helper, roots: Sequence[str], vocabulary: str, model: str) -> dict[str, Any]:
    """Make the store; `vocabulary` is what `colonnade init --vocabulary` takes."""
    from colonnade.engine.registry import absolute_spec
    from colonnade.engine.store import Store
    from colonnade.engine.vocabulary import parse_vocabulary
    from colonnade.tui.commands.setup import vocabulary_source

    source, name = vocabulary_source(vocabulary)
    parse_vocabulary(source, name)
    store = Store.create(
        helper.path,
        roots=[Path(root).expanduser() for root in roots],
        vocabulary=source,
        model=absolute_spec(model),
    )
    return {"path": str(store.path), "attributes": len(store.vocabulary().codes)}


def add_root(helper: Helper, folder: str) -> dict[str, str]:
    """Make a folder of images a root of the store."""
    from colonnade.engine.registry import add_root

    root = add_root(helper.store, Path(folder).expanduser())
    return {"name": root.name, "path": str(root.path)}


def use_model(helper: Helper, name: str) -> str:
    """Make another model the active one."""
    from colonnade.engine.registry import use_model

    settings = use_model(helper.store, name)
    return settings.model_key or settings.spec


def plan(helper: Helper, scan: bool = True) -> dict[str, Any]:
    """What a sync would do: `lines` for people, and the facts of `colonnade plan --json`."""
    from colonnade.engine.sync import make_plan
    from colonnade.tui.plan_text import plan_json, plan_lines

    store = helper.store
    made = make_plan(store, scan=scan)
    return {**plan_json(made), "lines": plan_lines(made, store)}


def states(helper: Helper) -> dict[str, str]:
    """Code -> `fresh`, `no signal`, `stale: why`, `not scored` or `orphan`, of every attribute."""
    from colonnade.engine.sync import make_plan

    store = helper.store
    snapshot, vocabulary, made = store.snapshot(), store.vocabulary(), make_plan(store, scan=False)
    reasons = {work.code: ", ".join(work.reasons) for work in (*made.base, *made.derived)}
    usual = "fresh" if store.settings.active else "stale: model changed, nothing embedded with it yet"
    found = {}
    for code in vocabulary.codes:
        if not snapshot.files("scores", code):
            found[code] = "not scored"
        elif code in reasons:
            found[code] = f"stale: {reasons[code]}"
        else:
            found[code] = "no signal" if code in made.no_signal else usual
    return found | dict.fromkeys(made.orphans, "orphan")


def explain(helper: Helper, image_id: int, code: str | None = None) -> dict[str, Any]:
    """Why scores of an image are what they are: `lines` for people, and the facts."""
    from dataclasses import asdict

    from colonnade.engine.explain import explain_image
    from colonnade.engine.lookup import find_image
    from colonnade.tui.commands.status import _in_words

    store = helper.store
    snapshot = store.snapshot()
    image = find_image(store, snapshot, f"id:{image_id}")
    found = explain_image(store, snapshot, image, [code] if code else None)
    lines = [line for item in found for line in _in_words(item, readable=image.state != "unreadable")]
    return {"lines": lines, "attributes": [asdict(item) for item in found]}


def save_set(helper: Helper, name: str, ids: Sequence[int], replace: bool = True) -> int:
    """Store a set of images under a name; gives its size. `replace`: in place of a set of that name."""
    import numpy as np
    import pyarrow as pa

    from colonnade.engine.columns import SHARD_BITS
    from colonnade.engine.schemas import SCHEMAS
    from colonnade.engine.stage import conflict_retries, open_stage

    _check_set_name(name)
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in ids):
        raise InputError("a set holds image ids")
    wanted = np.unique(np.array(ids, dtype=np.int64))
    store = helper.store
    for _ in conflict_retries(store.path):
        snapshot = store.snapshot()
        if name in snapshot.partitions("sets") and not replace:
            raise InputError(f"{name!r}: there is a set of this name; choose another, or replace it")
        missing = np.setdiff1d(wanted, _image_ids(snapshot))
        if len(missing):
            raise InputError(f"image {missing[0]}: not in the store; search again")
        try:
            with open_stage(store.path, command=f"set {name}") as stage:
                stage.drop("sets", name, read=snapshot.files("sets", name))
                shards = wanted >> SHARD_BITS
                for shard in np.unique(shards).tolist():
                    data = pa.table({"image_id": wanted[shards == shard]}, schema=SCHEMAS["sets"])
                    stage.replace("sets", name, shard, data, read=snapshot.cell("sets", name, shard))
                stage.commit()
        except ConflictError:
            continue
        return len(wanted)
    raise AssertionError("unreachable")


def remove_set(helper: Helper, name: str) -> None:
    """Remove a set; images and labels stay."""
    from colonnade.engine.stage import conflict_retries, open_stage

    store = helper.store
    for _ in conflict_retries(store.path):
        files = store.snapshot().files("sets", name)
        if not files:
            raise InputError(f"{name[:80]!r}: no such set")
        try:
            with open_stage(store.path, command=f"remove set {name}") as stage:
                stage.drop("sets", name, read=files)
                stage.commit()
        except ConflictError:
            continue
        return
    raise AssertionError("unreachable")


def _check_set_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_SET_NAME or not name.isprintable():
        raise InputError(f"a set's name has 1 to {MAX_SET_NAME} characters that can be printed")


def _image_ids(snapshot: Any) -> Any:
    from colonnade.engine.tables import read_table

    return read_table("images", snapshot.files("images"), ["image_id"])["image_id"].to_numpy()


def restore(helper: Helper, number: int) -> int:
    """Make a new snapshot that equals an older one; gives its number."""
    from colonnade.engine.history import restore as restore_snapshot

    return restore_snapshot(helper.path, number).number


OPS: dict[str, Callable[..., Any]] = {
    "ping": ping,
    "create_store": create_store,
    "add_root": add_root,
    "use_model": use_model,
    "plan": plan,
    "states": states,
    "explain": explain,
    "save_set": save_set,
    "remove_set": remove_set,
    "restore": restore,
}
"""Ops that need no model."""
