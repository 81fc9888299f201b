"""Long texts in properties: whole, bounded, and told from altered ones."""

from __future__ import annotations

import pytest

from mnistkit.azureml.properties import pack_text, unpack_text
from mnistkit.errors import IntegrityError

TEXTS = ("", "short", "x" * 900, "x" * 901, "é😀\n" * 2000)


@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_a_text_comes_back(text: str) -> None:
    """A text of any length is packed into short values, found by its plain name, and read as it was."""
    properties = pack_text("mnistkit_job", text)
    assert "mnistkit_job" in properties
    assert max(map(len, properties.values())) <= 900
    others = {"theirs": "1", **pack_text("mnistkit_job2", "another"), **pack_text("mnistkit_jo", "one more")}
    assert unpack_text("mnistkit_job", {**others, **properties}, "run 1") == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mnistkit_job", "y" * 900),
        ("mnistkit_job", None),
        ("mnistkit_job_part1", "y"),
        ("mnistkit_job_part1", None),
        ("mnistkit_job_part2", "added"),
        ("mnistkit_job_sha256", "0" * 64),
        ("mnistkit_job_sha256", None),
    ],
)
def test_an_altered_text_is_refused(name: str, value: str | None) -> None:
    """A part that was changed, removed or added is an `IntegrityError` that names run and text."""
    properties = pack_text("mnistkit_job", "x" * 1000)
    if value is None:
        del properties[name]
    else:
        properties[name] = value
    with pytest.raises(IntegrityError, match=r"run 1: the text mnistkit_job"):
        unpack_text("mnistkit_job", properties, "run 1")


def test_a_text_that_isnt_there_is_none() -> None:
    """Properties of others, and none at all, hold no text of ours."""
    assert unpack_text("mnistkit_job", {"theirs": "1", "mnistkit_jobs": "2"}, "run 1") is None
    assert unpack_text("mnistkit_job", None, "run 1") is None
