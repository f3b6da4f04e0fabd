"""From vectors to logits and rows of scores."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from vector_files import vectors

from colonnade.engine.calibration import ACCEPTED, REJECTED, TENTATIVE, UNKNOWN
from colonnade.engine.errors import StoreError
from colonnade.engine.scoring import attribute_vector, codes_of_statuses, logits, scores_table, unit_length
from colonnade.engine.settings import Model


def test_unit_length() -> None:
    assert np.allclose(unit_length(np.array([[3, 4], [0, 0]], np.float32)), [[0.6, 0.8], [0.0, 0.0]])
    assert unit_length(np.ones((2, 3), np.float64)).dtype == np.float32


def test_an_ensemble_is_the_mean_direction_of_unit_vectors() -> None:
    prompts = np.array([[2, 0, 0], [0, 5, 0]], np.float32)
    assert np.allclose(attribute_vector(prompts), [np.sqrt(0.5), np.sqrt(0.5), 0])
    one = vectors(1)
    assert np.allclose(attribute_vector(one), one[0])


@pytest.mark.parametrize("bias", [0.0, -16.5])
def test_logit_is_scale_times_cosine_plus_bias(bias: float) -> None:
    images, attributes = vectors(5), vectors(3, seed=1)
    found = logits(images, attributes, Model("m", "", 8, 100.0, bias))
    assert found.dtype == np.float32
    assert found.shape == (5, 3)
    wanted = [[100 * np.dot(i, a) + bias for a in attributes.astype(float)] for i in images.astype(float)]
    assert np.allclose(found, wanted, atol=1e-4)


def test_a_logit_depends_on_its_own_vectors_alone() -> None:
    images, attributes = vectors(2500, 512), vectors(40, 512, seed=1)
    model = Model("m", "", 512, 100.0, -3.0)
    together = logits(images, attributes, model)
    for image, attribute in ((0, 0), (1023, 15), (1024, 16), (2499, 39)):
        alone = logits(images[image : image + 1], attributes[attribute : attribute + 1], model)
        assert alone[0, 0] == together[image, attribute]
    assert np.array_equal(logits(images[::-1], attributes[::-1], model)[::-1, ::-1], together)
    assert logits(images[:0], attributes, model).shape == (0, 40)


def test_rows_keep_what_is_unknown() -> None:
    codes = np.array([ACCEPTED, TENTATIVE, REJECTED, UNKNOWN], np.int8)
    confidence = np.array([0.9, 0.6, 0.1, np.nan], np.float32)
    table = scores_table(
        np.arange(4),
        logit=None,
        confidence=confidence,
        status=codes,
        label_source="derived_rule",
        model="m",
        definition="d",
    )
    assert table["status"].to_pylist() == ["accepted", "tentative", "rejected", None]
    assert table["confidence"].to_pylist()[3] is None
    assert table["logit"].null_count == 4
    assert set(table["model"].to_pylist()) == {"m"}
    assert codes_of_statuses(table["status"]).tolist() == codes.tolist()


def test_codes_of_statuses_of_any_encoding() -> None:
    words = ["rejected", None, "accepted", "tentative"]
    wanted = [REJECTED, UNKNOWN, ACCEPTED, TENTATIVE]
    chunks = pa.chunked_array([pa.array(words[:2]), pa.array(words[2:])])
    encoded = pa.chunked_array(
        [pa.array(words[:2]).dictionary_encode(), pa.array(words[2:]).dictionary_encode()]
    )
    for column in (chunks, encoded, pa.chunked_array([pa.array(words)])):
        assert codes_of_statuses(column).tolist() == wanted
    assert codes_of_statuses(pa.chunked_array([], pa.string())).tolist() == []
    assert codes_of_statuses(pa.chunked_array([[None]], pa.string())).tolist() == [UNKNOWN]
    with pytest.raises(StoreError, match="maybe"):
        codes_of_statuses(pa.chunked_array([["maybe"]]))
