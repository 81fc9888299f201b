"""Manifests are read in one of two ways, which agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import fields_dict
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.manifest import Manifest, read_version
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.files import FileInfo

_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({"a": 1})


@given(key=st.sampled_from([*sorted(fields_dict(Manifest)), "extra"]), value=_PLAIN, inside=st.booleans())
def test_both_readings_agree(key: str, value: object, inside: bool) -> None:
    """The fast reading of a manifest gives what the careful one gives, or leaves it to that: also its refusals."""
    manifest = Manifest(
        name="digits", format="files", files={"a": FileInfo(1, "0")}, metrics={"m": 0.5}, tags={"t": "x"}
    )
    plain = json.loads(manifest.to_bytes())
    if inside and isinstance(plain.get(key), dict):
        plain[key][next(iter(plain[key]))] = value
    else:
        plain[key] = value
    data = json.dumps(plain).encode()
    assert _outcome(lambda: read_version(data, 1, "x", "y")) == _outcome(
        lambda: Manifest.parse(data, "y").as_version(1, data, "x")
    )


def _outcome(read: Callable[[], ModelVersion]) -> object:
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - compared with that of the other
        return repr(error)


def test_registered_manifests_are_read_fast(
    registry: FolderRegistry, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `register` writes needs no careful reading: listing ten thousand versions would show it."""
    registry.register("digits", source, ModelInfo(format="files", metrics={"accuracy": 1}, tags={"a": "b"}, run_id="r"))
    registry.register("digits", source, ModelInfo(format="files"))
    monkeypatch.setattr(Manifest, "parse", None)
    assert len(registry.versions("digits")) == 2
