"""Rows of the projections table: which images are on a model's map, where, and how they came there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from colonnade.engine.errors import StoreError
from colonnade.engine.freshness import CellState, cell_states
from colonnade.engine.schemas import column_fault
from colonnade.engine.settings import Model
from colonnade.engine.snapshots import DataFile, Snapshot
from colonnade.engine.sphere import from_degrees, to_degrees
from colonnade.engine.tables import read_files

__all__ = ["MapRows", "Parameters", "ProjectionState", "projection_rows", "projection_state", "read_map"]

_MOST_PARAMETERS = 1000
_MAX_TEXT = 10_000


@dataclass(frozen=True, slots=True)
class Parameters:
    """How a map was fitted. Each row of it carries them, with whether the image was fitted or placed."""

    fit: str
    """16 hex digits that name the fit."""
    seed: int
    sample: int
    """The most images that a fit takes."""
    fitted: int
    """Images that were fitted."""
    images: int
    """Images with a vector when it was fitted."""
    neighbours: int
    spread: float
    min_dist: float
    epochs: int
    umap: str

    def json(self, *, how: str) -> str:
        """The text of the column `parameters`, `how` being `fitted` or `placed`."""
        return json.dumps({"how": how, **asdict(self)}, sort_keys=True)


class ProjectionState(NamedTuple):
    """How the map of a model stands."""

    placed: int
    """Images on the map that have a vector."""
    missing: int
    """Images with a vector that are not on the map."""
    parameters: Parameters | None
    """How it was fitted; None where there is no map, or not one to place images on."""


@dataclass(frozen=True, slots=True)
class MapRows:
    """Some images of a map."""

    ids: np.ndarray
    """int64 [n], ascending"""
    latitude: np.ndarray
    """float32 [n], degrees"""
    longitude: np.ndarray
    """float32 [n], degrees"""
    fitted: np.ndarray
    """bool [n]: fitted, not placed"""
    fits: frozenset[Parameters | None]
    """Those that the rows are of; None for rows of unknown origin."""

    @property
    def places(self) -> np.ndarray:
        """Unit vectors float64 [n, 3]."""
        return from_degrees(self.latitude, self.longitude)


def read_map(files: Sequence[DataFile]) -> MapRows:
    """The rows of some files of the projections table.

    Raises:
        StoreError: a file is damaged.
    """
    ids, north, east, fitted = [np.empty(0, np.int64)], [np.empty(0, np.float32)], [np.empty(0, np.float32)], [
        np.empty(0, bool)
    ]  # fmt: skip
    fits: set[Parameters | None] = set()
    for file in files:
        rows = _read(file, ["image_id", "latitude", "longitude", "parameters"])
        known, codes = _texts(rows["parameters"])
        parsed = [*map(_parse, known), (None, False)]
        fits |= {parsed[code][0] for code in np.unique(codes).tolist()}
        ids.append(rows["image_id"].to_numpy())
        north.append(rows["latitude"].to_numpy())
        east.append(rows["longitude"].to_numpy())
        fitted.append(np.array([one[1] for one in parsed], dtype=bool)[codes])
    all_ids, all_north, all_east = np.concatenate(ids), np.concatenate(north), np.concatenate(east)
    order = np.argsort(all_ids, kind="stable")
    good = np.isfinite(all_north) & np.isfinite(all_east)
    return MapRows(
        all_ids[order],
        all_north[order],
        all_east[order],
        (np.concatenate(fitted) & good)[order],
        frozenset(fits),
    )


def projection_rows(ids: np.ndarray, places: np.ndarray, parameters: Parameters, *, how: str) -> pa.Table:
    """Rows of the projections table for ids int64 [n] at the unit vectors `places` [n, 3]."""
    latitude, longitude = to_degrees(places)
    text = pa.array([parameters.json(how=how)])
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(len(ids), np.int32)), text)
    return pa.table(
        {
            "image_id": pa.array(ids),
            "latitude": pa.array(latitude),
            "longitude": pa.array(longitude),
            "parameters": texts.cast(pa.string()),
        }
    )


def projection_state(snapshot: Snapshot, model: Model | None) -> ProjectionState:
    """How the map of a model stands in a snapshot: from footers, and ids where they differ.

    Raises:
        StoreError: a file is damaged.
    """
    if model is None:
        return ProjectionState(0, 0, None)
    embedded = cell_states(snapshot, "embeddings", model.key)
    mapped = cell_states(snapshot, "projections", model.key)
    placed = missing = 0
    for shard, source in embedded.items():
        cell = mapped.get(shard)
        common = 0 if cell is None else source.rows if cell.same_ids(source) else _common(source, cell)
        placed += common
        missing += source.rows - common
    return ProjectionState(placed, missing, _parameters(snapshot.files("projections", model.key)))


def _common(one: CellState, other: CellState) -> int:
    left, right = (read_files(cell.files, ["image_id"])["image_id"].to_numpy() for cell in (one, other))
    return int(np.isin(left, right, assume_unique=True).sum())


def _parameters(files: Sequence[DataFile]) -> Parameters | None:
    """The parameters that every row has; None if there are several, or none."""
    found: set[Parameters | None] = set()
    for file in files:
        known, codes = _texts(_read(file, ["parameters"])["parameters"])
        found |= {_parse(known[code])[0] if code < len(known) else None for code in np.unique(codes).tolist()}
    return found.pop() if len(found) == 1 else None


def _read(file: DataFile, columns: list[str]) -> pa.Table:
    """Columns of a file, the texts as dictionaries: the same few are in every row."""
    try:
        with pq.ParquetFile(file.path, read_dictionary=["parameters"]) as parquet:
            if fault := column_fault("projections", parquet.schema_arrow, columns):
                raise ValueError(fault)
            return parquet.read(columns=columns).unify_dictionaries().combine_chunks()
    except (pa.ArrowException, ValueError, TypeError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise StoreError(f"{file.path}: damaged ({said}); run `colonnade verify`") from None


def _texts(column: pa.ChunkedArray) -> tuple[list[str | None], np.ndarray]:
    """(the distinct texts, the number of each row's text int64 [n]; a null has the number after the last)."""
    if not len(column):
        return [], np.empty(0, np.int64)
    array = column.chunk(0)
    known = array.dictionary.to_pylist()[:_MOST_PARAMETERS]
    codes = np.asarray(array.indices.fill_null(len(known)), dtype=np.int64)
    return known, np.minimum(codes, len(known))


def _parse(text: str | None) -> tuple[Parameters | None, bool]:
    """What a row's parameters say: the fit, and whether the image was fitted. Anything foreign is (None, False)."""
    try:
        if text is None or len(text) > _MAX_TEXT:
            return None, False
        facts = json.loads(text)
        numbers = {
            name: int(facts[name]) for name in ("seed", "sample", "fitted", "images", "neighbours", "epochs")
        }
        parameters = Parameters(
            fit=str(facts["fit"]),
            spread=float(facts["spread"]),
            min_dist=float(facts["min_dist"]),
            umap=str(facts["umap"]),
            **numbers,
        )
        return parameters, facts.get("how") == "fitted"
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None, False
