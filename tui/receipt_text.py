"""The receipt of a calibration in words, and as an object for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from colonnade.tui.calibration_text import (
    as_json,
    bars,
    cut_words,
    fit_json,
    less,
    method_words,
    moment,
    number,
)
from colonnade.tui.review_text import interval

if TYPE_CHECKING:
    from colonnade.engine.calibration import Fit
    from colonnade.engine.calibration_receipt import ImageAtCut, Receipt
    from colonnade.engine.fit_history import FitVersion

__all__ = ["receipt_json", "receipt_lines"]

_WIDTH = 11
_TOLD_METRICS = ("constants", "constants_fitted_on", "seed")
"""Metrics that have a line of their own."""


def receipt_lines(receipt: Receipt) -> list[str]:
    """All that is to be said of an attribute's calibration, a fact a line."""
    row, fit = receipt.row, receipt.fit
    found = row.distribution
    lines = [f"{row.code}: {row.label}"]
    if fit is not None:
        lines.append(_line("method", _method(receipt, fit)))
        lines += [_line("", words) for words in _parameters(fit)]
        if row.cut is not None:
            lines.append(_line("cut", f"accepted from {cut_words(fit, row.cut)}"))
    if row.no_signal:
        lines.append(_line("no signal", _silence(fit)))
    if row.fallback:
        lines.append(_line("fallback", f"the model's own fixed calibration, because: {row.fallback}"))
    if row.to_make:
        how = "the next sync or tag fits it, where the background's phrases have vectors or can be encoded"
        lines.append(_line("to be made", f"{row.to_make}; {how}"))
    counts = f"{found.accepted:,} accepted, {found.tentative:,} tentative, {found.rejected:,} rejected"
    lines.append(_line("images", counts + (f", {row.unscored:,} not scored" if row.unscored else "")))
    if found.scored:
        spread = (
            f"{number(found.low)} to {number(found.high)}, mean {number(found.mean)}, std {number(found.std)}"
        )
        lines.append(_line("logits", f"{spread}  {bars(found.histogram)}"))
    lines += _grounds(fit) if fit is not None else []
    lines += _images("above", "just above the cut", receipt.above)
    lines += _images("below", "just below the cut", receipt.below)
    lines += _labels(receipt)
    if row.drift is not None:
        lines.append(_line("drift", f"{row.drift:.2f} between the images at the fit and now (0 to 1)"))
    if row.proposal:
        lines.append(_line("proposal", f"{row.proposal}: colonnade calibration fit {row.code}"))
    lines += _since(receipt)
    if row.stale:
        lines.append(_line("stale", f"{', '.join(row.stale)}: colonnade tag {row.code}"))
    return lines


def _silence(fit: Fit | None) -> str:
    """What `no signal` means for the images."""
    said = "nothing that it was fitted on shows it: no image is accepted"
    gate = fit.gate if fit is not None else None
    return said if gate is None else f"{said} below log odds {gate:.2f}"


def _line(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}}{text}"


def _method(receipt: Receipt, fit: Fit) -> str:
    when = f", fitted {moment(receipt.row.fitted_at)} UTC" if receipt.row.fitted_at else ""
    return method_words(fit) + when


def _parameters(fit: Fit) -> list[str]:
    """What the fit does with an image, in words."""
    if fit.method == "fixed":
        return [f"confidence = 1 / (1 + exp(-({less('logit', fit.center)}) / {fit.scale:g}))"]
    formula = f"confidence = 1 / (1 + exp(-{fit.slope:.3g} x (log odds {_signed(-fit.cut)}) - log 4))"
    lines = [f"{formula}, so .80 at log odds {fit.cut:.3f}"]
    if fit.axis is None:
        lines.append(f"log odds = ({less('logit', fit.center)}) / {fit.scale:g}")
    else:
        lines.append(
            "log odds: the logit against competing phrases on the same image, and a direction that its"
        )
        lines.append("likeliest images share")
    if fit.labels is not None:
        part = fit.labels
        lines.append(
            f"people's answers ({part.present:,} yes, {part.absent:,} no) moved the cut by {part.delta:+.2f}; by them"
        )
        lines.append(
            f"four images of ten show it between {part.delta_low:+.2f} and {part.delta_high:+.2f} of the cut "
            "before (90 %)"
        )
        lines.append(f"answers taken for slips: {part.lapse:.0%}")
    return lines


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):.3f}"


def _grounds(fit: Fit) -> list[str]:
    """What an `auto` fit rests on."""
    base = fit.base
    if base is None:
        return []
    metrics = dict(base.metrics)
    lines = [
        _line(
            "fitted on",
            f"{base.count:,} of {base.embedded:,} images, snapshot {base.snapshot}, seed {base.seed}",
        ),
        _line(
            "constants",
            f"{metrics.get('constants', '?')}, fitted on {metrics.get('constants_fitted_on', 'ViT-B-32/openai')}",
        ),
        _line("background", base.background),
    ]
    shown = [f"{name} {_plain(value)}" for name, value in metrics.items() if name not in _TOLD_METRICS]
    if shown:
        lines.append(_line("metrics", ", ".join(shown)))
    rivals = [f"{phrase} ({share:.0%})" for phrase, share in base.competing]
    lines += [_line("competing" if not i else "", text) for i, text in enumerate(_wrapped(rivals, 90))]
    return lines


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= width:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def _images(name: str, words: str, images: Sequence[ImageAtCut]) -> list[str]:
    from colonnade.engine.lookup import shown_path

    if not images:
        return [_line(name, f"no image is {words}")]
    return [
        _line(name if not i else "", f"{image.confidence:.3f}  {shown_path(image.root, image.path)}")
        for i, image in enumerate(images)
    ]


def _labels(receipt: Receipt) -> list[str]:
    row = receipt.row
    if not row.labels:
        return [_line("labels", f"none; colonnade review {row.code} asks for some")]
    if row.precision is None and row.recall is None:
        return [
            _line("labels", f"{row.labels:,}; colonnade review {row.code} --audit shows precision and recall")
        ]
    shares = f"precision {interval(row.precision)}, recall {interval(row.recall)}"
    return [_line("labels", f"{row.labels:,}; {shares}, 90 % intervals")]


def _since(receipt: Receipt) -> list[str]:
    since = receipt.since
    if since is None:
        gone = "what it changed is not known: the snapshots before it are no longer kept"
        return [] if receipt.is_known_since else [_line("last fit", gone)]
    last = receipt.history[0]
    what = since.before.fit.method if since.before.fit else "nothing stored"
    lines = [_line("last fit", f"snapshot {last.snapshot} ({last.command}); before it: {what}")]
    if since.difference and since.before.fit is not None:
        lines.append(_line("", ", ".join(since.difference)))
    lines.append(_line("", f"{since.entering:,} images accepted since, {since.leaving:,} no longer"))
    hint = f"colonnade diff {max(last.snapshot - 1, 1)} {last.snapshot} --attribute {receipt.row.code}"
    lines.append(_line("", hint))
    return lines


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """The table's row, and the receipt under `receipt`."""
    from dataclasses import asdict

    fit, since = receipt.fit, receipt.since
    base = fit.base if fit is not None else None
    return as_json(receipt.row) | {
        "receipt": {
            "labels": asdict(fit.labels) if fit is not None and fit.labels is not None else None,
            "base": None
            if base is None
            else {
                "cut": base.cut,
                "slope": base.slope,
                "no_signal": base.no_signal,
                "images": base.count,
                "embedded": base.embedded,
                "snapshot": base.snapshot,
                "seed": base.seed,
                "background": base.background,
                "constants": base.metrics.get("constants"),
                "constants_fitted_on": base.metrics.get("constants_fitted_on"),
                "metrics": {name: v for name, v in base.metrics.items() if name not in _TOLD_METRICS},
                "competing": [{"phrase": phrase, "share": share} for phrase, share in base.competing],
                "quantiles": list(base.quantiles),
            },
            "above": [asdict(image) for image in receipt.above],
            "below": [asdict(image) for image in receipt.below],
            "history": [_version(version) for version in receipt.history],
            "since": None
            if since is None
            else {
                "before": _version(since.before),
                "difference": list(since.difference),
                "entering": since.entering,
                "leaving": since.leaving,
            },
        }
    }


def _version(version: FitVersion) -> dict[str, Any]:
    return {
        "snapshot": version.snapshot,
        "created": version.created.isoformat(),
        "command": version.command,
        "fitted_at": version.fitted_at.isoformat() if version.fitted_at else None,
        "fit": None if version.fit is None else fit_json(version.fit) | {"cut": version.fit.cut},
    }
