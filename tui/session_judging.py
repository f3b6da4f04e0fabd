"""Calibrations and labels: where cuts lie, what moving them does, and what people say of the pictures."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colonnade.engine.errors import InputError
from colonnade.tui.session_damage import missing_scores
from colonnade.tui.session_helped import Helped

if TYPE_CHECKING:
    from colonnade.tui.helper_client import Progress
    from colonnade.tui.session_distribution import Distribution

__all__ = ["Judging"]

_FIT_S = 1800.0


class Judging(Helped):
    """Calibration and review. Scores that follow from a moved cut are made anew before a call returns."""

    reviewer: str = ""
    """Who answers; the login name where it is empty and `who` is asked."""

    @property
    def who(self) -> str:
        """The name that answers are saved under."""
        if not self.reviewer:
            try:
                self.reviewer = getpass.getuser()
            except (OSError, KeyError):
                self.reviewer = "somebody"
        return self.reviewer

    # Calibration

    def calibration_table(self, codes: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """A row for each base attribute: what `colonnade calibration --json` tells, and its `cells` in words."""
        found: list[dict[str, Any]] = self._write(
            "calibration_table", codes=None if codes is None else list(codes)
        )
        missing = missing_scores(self._now().snapshot)
        for row in found:
            if row["code"] in missing:
                row["cells"] |= {"state": "damaged", "note": "its scores are missing: `colonnade verify`"}
        return found

    def calibration_receipt(self, code: str) -> dict[str, Any]:
        """The receipt of an attribute's calibration: `lines` for people, and facts (competing phrases, history)."""
        found: dict[str, Any] = self._write("calibration_receipt", code=code)
        return found

    def distribution(self, code: str) -> Distribution:
        """The distribution of an attribute and where its lines stand; moving them asks nobody anything.

        Raises:
            HelperError: kind `input`: not a base attribute, not scored, or its scores are stale.
            StoreError: the files cannot be read.
        """
        import numpy as np

        from colonnade.tui.session_distribution import Axis, Distribution

        axis = Axis(**self._write("fit_in_force", code=code))
        snapshot = self._now().snapshot
        with self._reading() as cursor:
            base = self._columns.base(cursor, snapshot)
            values = self._columns.floats(cursor, snapshot, axis.column, code).values
        places = np.flatnonzero(np.isfinite(values) & base.ok)
        order = places[np.argsort(values[places], kind="stable")]
        return Distribution(axis, snapshot.number, base.ids[order], values[order].astype(np.float64))

    def save_cut(self, moved: Distribution, accepted_at: float, *, dry_run: bool = False) -> dict[str, Any]:
        """Let `accepted` begin elsewhere on the distribution's axis, or see what that would change.

        Raises:
            InputError: no cut decides what is accepted, for the threshold is 0 or 1.
            HelperError: the store cannot be written, or the attribute needs tagging first.
        """
        if not 0 < moved.axis.accepted < 1:
            raise InputError(
                f"{moved.code}: its threshold for accepted is {moved.axis.accepted:g}; move that first"
            )
        cut = moved.axis.eighty(accepted_at)
        found: dict[str, Any] = self._write("set_cut", code=moved.code, cut=cut, dry_run=dry_run)
        return found

    def fit_attributes(
        self,
        codes: Sequence[str] | None = None,
        method: str | None = None,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Fit attributes anew, or see what that would change: `changes`, `changed`, `written`, `waiting`.

        Args:
            method: fixed, auto or labels; None: labels where there are enough, else auto, else fixed.
        """
        found: dict[str, Any] = self.helper("model").call(
            "fit_attributes",
            timeout=_FIT_S,
            progress=progress,
            codes=None if codes is None else list(codes),
            method=method,
            dry_run=dry_run,
        )
        return found

    # Labels

    def labels(self, codes: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """What is labelled per attribute: yes, no, unsure, images, reviewers, set_aside."""
        found: list[dict[str, Any]] = self._write("labels", codes=None if codes is None else list(codes))
        return found

    def label(self, code: str, image_id: int, present: bool | None, content_hash: str | None) -> None:
        """Save what is said of one image that somebody chose; None: unsure.

        Args:
            content_hash: of the picture that was shown: `image_row(id).content_hash`.

        Raises:
            HelperError: kind `input`: the picture changed since it was shown; nothing was saved.
        """
        self._write(
            "label",
            code=code,
            image_id=image_id,
            present=present,
            content_hash=content_hash,
            reviewer=self.who,
        )

    def labels_worth(self, codes: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Per attribute what one more label is worth, the most first: `code`, `labels`, `worth`, `why` not."""
        found: list[dict[str, Any]] = self._write(
            "labels_worth", codes=None if codes is None else list(codes)
        )
        return found

    def review(self, code: str, *, audit: bool = False, restart: bool = False) -> dict[str, Any]:
        """What to ask next: `question` (None: nothing is left), the `standing` of what is known, `label`.

        A question has image_id, path, shown, file, content_hash, above, policy, probability, said.
        """
        return self._review("review", code, audit, restart=restart)

    def review_page(self, code: str, *, audit: bool = False, count: int = 24) -> dict[str, Any]:
        """The next `questions` at once, for a page of thumbnails; answer each with `review_answer(ask=False)`."""
        return self._review("review_page", code, audit, count=count)

    def review_answer(
        self,
        code: str,
        question: dict[str, Any],
        present: bool | None,
        *,
        audit: bool = False,
        ask: bool = True,
    ) -> dict[str, Any]:
        """Save an answer (None: unsure), then what `review` gives; saved before this returns."""
        return self._review("review_answer", code, audit, question=question, present=present, ask=ask)

    def review_back(self, code: str, *, audit: bool = False, steps: int = 1) -> dict[str, Any]:
        """The question answered `steps` answers ago, with what was `said`; `question` is None where there is none."""
        return self._review("review_back", code, audit, steps=steps)

    def _review(self, op: str, code: str, audit: bool, **args: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._write(op, code=code, audit=audit, reviewer=self.who, **args)
        return found
