"""The page about MLflow can be followed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mnistkit.mlflow._sdk import sdk

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "with-mlflow.md"
BLOCK = re.compile(r"^```python\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python blocks of the page, run in order in an empty folder, end without an error."""
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, "")  # the page sets them
    namespace: dict[str, object] = {"__name__": "snippet"}
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert len(blocks) == 3
    for text in blocks:
        exec(compile(text, str(PAGE), "exec", dont_inherit=True), namespace)  # noqa: S102 - that is the point
    sdk().set_tracking_uri(None)
    sdk().set_registry_uri(None)
    assert sorted(path.name for path in folder.iterdir()) == ["my-home", "my-mlflow", "my-script"]
