"""Model versions and references as values."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from attrs.exceptions import FrozenInstanceError
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.errors import InvalidNameError
from mnistkit.registry.version import ModelRef, ModelVersion


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("sklearn_mnist", ModelRef("sklearn_mnist")),
        ("sklearn_mnist:3", ModelRef("sklearn_mnist", version=3)),
        ("sklearn_mnist@champion", ModelRef("sklearn_mnist", alias="champion")),
        ("a.b-c:123456789", ModelRef("a.b-c", version=123_456_789)),
    ],
)
def test_reference_reads_and_writes(text: str, ref: ModelRef) -> None:
    """The three spellings are read, and written the same way."""
    assert ModelRef.parse(text) == ref
    assert str(ref) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            "@",
            ":1",
            "@a",
            "a:",
            "a@",
            "a:0",
            "a:01",
            "a:-1",
            "a:x",
            "a:1.0",
            "a:1@b",
            "a@b:1",
            "a@b@c",
            "a:1:2",
        ),
        *("a b", "a/b:1", "../a", "a\n", "a:1\n", "a@b\n", "a:\u0663", "a:9999999999", "a@../b", "con", "a@con"),
    ],
)
def test_hostile_reference_is_refused(text: str) -> None:
    """What isn't one of the three spellings of good names is an `InvalidNameError`."""
    with pytest.raises(InvalidNameError):
        ModelRef.parse(text)


@given(st.text(max_size=20) | st.from_regex(r"[a-z.]{0,3}[:@]?[a-z0-9]{0,4}", fullmatch=True))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    """Whatever the text: it is refused, or a reference that is written the same way."""
    try:
        ref = ModelRef.parse(text)
    except InvalidNameError:
        return
    assert str(ref) == text


def test_version_has_an_id_that_is_a_reference() -> None:
    """``id`` is ``name:version``, which `ModelRef.parse` takes back."""
    model = _version()
    assert model.id == "digits:7"
    assert ModelRef.parse(model.id) == ModelRef("digits", version=7)


def test_version_is_frozen() -> None:
    """A version is a value: nothing of it can be set."""
    with pytest.raises(FrozenInstanceError):
        _version().version = 8  # type: ignore[misc]  # that is the point


def _version() -> ModelVersion:
    created = datetime(2026, 1, 31, tzinfo=timezone.utc)
    return ModelVersion(name="digits", version=7, created_at=created, format="files", files={}, digest="0" * 64)
