"""The input of a model, compared with that of another."""

from __future__ import annotations

import pytest
from attrs import evolve

from mnistkit.models.input import InputSpec

SPEC = InputSpec(height=8, width=8, class_names=("cat", "dog"), dataset="pets", dataset_sha256="a" * 64)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (SPEC, ""),
        (evolve(SPEC, dataset_sha256="b" * 64), ""),
        (evolve(SPEC, dataset="pets-copied"), ""),
        (evolve(SPEC, dataset="", class_names=()), ""),
        (evolve(SPEC, dataset="cars", dataset_sha256="b" * 64), "the dataset pets, not cars"),
        (evolve(SPEC, dataset="cars", dataset_sha256=""), "the dataset pets, not cars"),
        (evolve(SPEC, dataset="copy", class_names=("dog", "cat")), "the classes cat, dog, not dog, cat"),
        (evolve(SPEC, width=4), "images of 8 × 8 pixels, not 8 × 4 pixels"),  # noqa: RUF001 - the sign for sizes
    ],
    ids=["same", "release", "renamed", "unknown", "other", "unhashed", "classes", "size"],
)
def test_differences_are_of_the_data_not_of_its_name(other: InputSpec, words: str) -> None:
    """The same images under another name, or another release under the same name, are no difference."""
    assert SPEC.differences(other) == words
