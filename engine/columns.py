"""Names that queries, vocabularies and tables share. Imports nothing, so that every front end can."""

from __future__ import annotations

__all__ = ["IMAGE_COLUMNS", "IMAGE_VALUES", "SHARD_BITS", "SHARD_IMAGES", "STATUSES", "TABLES", "shard_of"]

TABLES: dict[str, str | None] = {
    "images": None,
    "embeddings": "model",
    "prompts": "model",
    "scores": "attribute_code",
    "definitions": None,
    "labels": "attribute_code",
    "calibrations": "attribute_code",
    "sets": "set_name",
    "projections": "model",
}
"""Table -> the name of its partition column (None: the table is not partitioned)."""

IMAGE_COLUMNS: dict[str, str] = {
    "image_id": "BIGINT",
    "root": "VARCHAR",
    "path": "VARCHAR",
    "path_bytes": "BLOB",
    "uuid": "VARCHAR",
    "content_hash": "VARCHAR",
    "bytes": "BIGINT",
    "mtime": "TIMESTAMP",
    "width": "INTEGER",
    "height": "INTEGER",
    "format": "VARCHAR",
    "orientation": "INTEGER",
    "taken": "TIMESTAMP",
    "source": "VARCHAR",
    "state": "VARCHAR",
    "error": "VARCHAR",
}
"""Column of the images table -> its DuckDB type. An attribute's code may not equal one of these names."""

IMAGE_VALUES = {
    "format": ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "HEIF"),
    "source": ("file", "import"),
    "state": ("ok", "unreadable", "missing"),
}
"""Of the image columns that hold one of few words: which."""

STATUSES = ("accepted", "tentative", "rejected")

SHARD_BITS = 17
SHARD_IMAGES = 1 << SHARD_BITS


def shard_of(image_id: int) -> int:
    """The shard an image's rows live in, in every table that has one row per image."""
    return image_id >> SHARD_BITS
