"""The notebooks run from top to bottom, one after the other, and are stored without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))


def cells(path: Path, kind: str = "code") -> list[dict[str, Any]]:
    """The cells of a notebook file."""
    stored = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in stored if cell["cell_type"] == kind]


def test_both_parts_are_here() -> None:
    """There are notebooks: the search for them didn't go blind."""
    assert [path.name for path in NOTEBOOKS] == ["part1-training.ipynb", "part2-testing.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    """No cell has outputs, a count, or metadata beyond tags; one cell holds what is to be replaced for a quick run."""
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path))
    assert all(set(cell["metadata"]) <= {"tags"} for cell in [*cells(path), *cells(path, "markdown")])
    assert [cell["metadata"] for cell in cells(path)].count({"tags": ["parameters"]}) == 1


@pytest.mark.timeout(600)
def test_the_notebooks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parts, in one folder and on small data, run without an error, and part 2 finds what part 1 registered."""
    nbformat = pytest.importorskip("nbformat", reason="the dependency group 'notebooks' isn't installed")
    client = pytest.importorskip("nbclient", reason="the dependency group 'notebooks' isn't installed")
    monkeypatch.delenv("MNISTKIT_HOME")
    monkeypatch.setenv("MNISTKIT_COMPUTE", "process")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shown = {}
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.metadata.get("tags") == ["parameters"]:
                cell.source = 'DATA = "digits"'
        client.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        assert not [output for output in outputs if output.get("name") == "stderr"]
        shown[path.stem] = json.dumps(outputs)
        assert shown[path.stem].count("image/png") >= 3
    assert "sklearn_mnist:1" in shown["part1-training"]
    assert "sklearn_mnist:1" in shown["part2-testing"]
