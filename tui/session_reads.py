"""What the screens read of a store without searching: overview, attributes, one image, jobs."""

from __future__ import annotations

from colonnade.engine.duck import duck_errors
from colonnade.engine.errors import InputError, StoreError
from colonnade.tui.session_base import SessionBase
from colonnade.tui.session_damage import damage_words
from colonnade.tui.session_model import AttributeRow, ImageRow, Overview, ScoreRow

__all__ = ["Reads"]


class Reads(SessionBase):
    """The facts of a store."""

    def overview(self) -> Overview:
        """Images per state, attributes, model, and what stands in the way."""
        from colonnade.tui.session_facts import image_states, row_count
        from colonnade.tui.session_problems import damages, problems

        state = self._now()
        active = state.settings.active
        damage, states, embedded, scored = "", {}, 0, False
        try:
            with self._reading() as cursor:
                states = image_states(cursor, state.snapshot)
                embedded = row_count(cursor, state.snapshot, "embeddings", active.key) if active else 0
            scored = bool(state.snapshot.partitions("scores"))
        except StoreError as error:
            damage = damage_words(error) or ""
            if not damage:
                raise
        absent = tuple(str(root.path) for root in state.settings.roots if not root.path.is_dir())
        vocabulary = state.vocabulary
        shown = Overview(
            images=sum(states.values()),
            ok=states.get("ok", 0),
            unreadable=states.get("unreadable", 0),
            missing=states.get("missing", 0),
            embedded=embedded,
            attributes=len(vocabulary.codes),
            derived=len(vocabulary.derived),
            roots=len(state.settings.roots),
            absent_roots=absent,
            model=state.settings.model_key or state.settings.spec or None,
            snapshot=state.snapshot.number,
            damage=damage,
        )
        faults = (*damages(state.snapshot, damage), state.fault, state.saved_fault)
        return problems(shown, scored=scored, writable=self.writable, faults=faults)

    def attributes(self) -> tuple[AttributeRow, ...]:
        """The attributes in the vocabulary's order, then those that are scored but no longer in it.

        Whether one is stale is known once `refresh_states` was asked; until then its state is ''.
        """
        from colonnade.tui.session_facts import StatusCounts, image_states, status_counts

        state = self._now()
        with self._lock:
            fresh = self._states is not None and self._states[0] == state.mark
            found = self._states[1] if self._states is not None else {}
        rows = []
        with self._reading() as cursor:
            states = image_states(cursor, state.snapshot)
            all_ok = set(states) <= {"ok"}
            for code in self._names(state).codes:
                try:
                    with duck_errors(str(state.snapshot.path)):
                        counts = status_counts(self._columns, cursor, state.snapshot, code, all_ok=all_ok)
                    damaged = False
                except StoreError as error:
                    counts, damaged = StatusCounts(0, 0, 0), damage_words(error) is not None
                    if not damaged:
                        raise
                known = state.vocabulary.attribute(code) if code in state.vocabulary else None
                thresholds = getattr(known, "thresholds", None)
                scored = damaged or bool(state.snapshot.files("scores", code))
                rows.append(
                    AttributeRow(
                        code=code,
                        label=known.label if known else code,
                        description=known.description if known else "",
                        type=known.type if known else None,
                        derived=known is not None and thresholds is None,
                        accepted=counts.accepted,
                        tentative=counts.tentative,
                        scored=counts.scored,
                        unscored=max(0, states.get("ok", 0) - counts.scored),
                        thresholds=(thresholds.accepted, thresholds.tentative) if thresholds else None,
                        state="damaged"
                        if damaged
                        else _state(found.get(code, ""), known is not None, scored, sure=fresh),
                    )
                )
        return tuple(rows)

    def made_of(self, code: str) -> tuple[str, ...]:
        """The attributes that a derived one follows from; none for others."""
        derived = self._now().vocabulary.derived
        return next((attribute.rule.codes for attribute in derived if attribute.code == code), ())

    def image_row(self, image_id: int) -> ImageRow:
        """One image.

        Raises:
            InputError: the snapshot has no image of this id.
        """
        from colonnade.tui.session_facts import read_image

        state = self._now()
        with self._reading() as cursor:
            row = read_image(cursor, state.snapshot, state.settings, image_id)
        if row is None:
            raise InputError(f"image {image_id}: not in snapshot {state.snapshot.number}; search again")
        return row

    def scores(self, image_id: int) -> tuple[ScoreRow, ...]:
        """What every attribute says of one image, in the order of `attributes`."""
        from colonnade.tui.session_facts import read_scores

        state = self._now()
        derived = {attribute.code for attribute in state.vocabulary.derived}
        labels = {attribute.code: attribute.label for attribute in state.vocabulary.attributes}
        wanted = [(code, labels.get(code, code), code in derived) for code in self._names(state).codes]
        with self._reading() as cursor:
            return read_scores(cursor, state.snapshot, image_id, wanted)


def _state(found: str, known: bool, scored: bool, *, sure: bool) -> str:
    """The state of an attribute, given what the helper found of it (of an older store, unless `sure`)."""
    if not known:
        return "orphan"
    if not scored:
        return "not scored"
    return found if sure else ""
