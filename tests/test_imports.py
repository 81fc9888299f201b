"""What importing costs, and what the package offers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import mnistkit
from mnistkit.interfaces import DataSource

HEAVY = ("numpy", "scipy", "sklearn", "skops", "joblib", "urllib3", "matplotlib", "typer", "rich", "attrs", "cattrs",
         "rich.console")  # fmt: skip


def loaded_after(statement: str) -> set[str]:
    """Which heavy packages a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing() -> None:
    """``import mnistkit`` loads no other package."""
    assert loaded_after("import mnistkit") == set()


@pytest.mark.parametrize(
    "module",
    [
        "mnistkit.plugins",
        "mnistkit.trainer.trainer",
        "mnistkit.data.web",
        "mnistkit.local.threads",
        "mnistkit.local.registry.registry",
    ],
)
def test_modules_load_the_heavy_ones_late(module: str) -> None:
    """scikit-learn and friends are imported when something is trained or loaded, not before."""
    assert not loaded_after(f"import {module}") & {"sklearn", "scipy", "skops", "joblib", "urllib3", "matplotlib"}


NUMERIC = {"numpy", "scipy", "sklearn", "skops", "joblib", "matplotlib"}


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        (("--version",), NUMERIC | {"attrs", "cattrs", "typer", "rich"}),
        (("--help",), NUMERIC | {"cattrs", "urllib3", "rich.console"}),
        (("runs", "list"), NUMERIC | {"urllib3", "rich.console"}),
        (("experiments",), NUMERIC | {"urllib3", "rich.console"}),
        (("models", "list"), NUMERIC | {"urllib3", "rich.console"}),
        (("models", "history", "sklearn_mnist", "champion"), NUMERIC | {"urllib3", "rich.console"}),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="runs are processes of their own only where there is fork")
def test_a_command_imports_what_it_shows(
    command: tuple[str, ...], kept: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list of runs needs no numpy, help and version need still less; colours are for terminals alone."""
    monkeypatch.setenv("MNISTKIT_COMPUTE", "process")
    program = (
        f"import sys; sys.argv[1:] = {command!r}; from mnistkit.cli import main\nwith suppress(SystemExit): main()"
    )
    assert not loaded_after(f"from contextlib import suppress\n{program}") & kept


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_training_imports_scikit_learn_once(
    tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``mnistkit train`` leaves scikit-learn to the process that fits; it reads the data, so it has numpy."""
    monkeypatch.setenv("MNISTKIT_COMPUTE", "process")
    monkeypatch.chdir(tmp_path)
    arguments = ("train", "--data", tiny_mnist.uri, "--tol", "0.1")
    program = (
        f"import sys; sys.argv[1:] = {arguments!r}; from mnistkit.cli import main\nwith suppress(SystemExit): main()"
    )
    loaded = loaded_after(f"from contextlib import suppress\n{program}")
    assert "numpy" in loaded
    assert not loaded & {"scipy", "sklearn", "skops", "joblib", "matplotlib", "urllib3"}


def test_the_pytest_plugin_is_light() -> None:
    """Every pytest run with mnistkit installed loads the plugin: it loads nothing heavy."""
    assert loaded_after("import mnistkit.testing.plugin") == set()


@pytest.mark.parametrize("module", ["mnistkit.azureml.v2.node", "mnistkit.azureml.node.attempt"])
def test_a_node_of_azure_starts_a_script_without_the_heavy_ones(module: str) -> None:
    """A script that runs on Azure waits for neither numpy nor what runs need for their records."""
    assert not loaded_after(f"import {module}") & {"numpy", "cattrs", "sklearn", "scipy", "skops", "joblib", "urllib3"}


def test_every_public_name_is_there() -> None:
    """All names of ``__all__`` exist, ``dir`` lists them and nothing else, and others raise AttributeError."""
    for name in mnistkit.__all__:
        assert getattr(mnistkit, name) is not None
    assert sorted(mnistkit.__all__) == dir(mnistkit)
    with pytest.raises(AttributeError, match="nothing"):
        mnistkit.nothing  # noqa: B018 - the access is the test
