"""Backends by name."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mnistkit import plugins
from mnistkit.errors import MissingExtraError, UnknownNameError, UsageError
from mnistkit.interfaces import ComputeBackend, DataSource, ModelRegistry

SDK = {"azureml": {"sdk": "v2"}}
"""What makes Azure's backends where no SDK is installed."""


def test_every_builtin_name_leads_somewhere(tmp_path: Path) -> None:
    """Each name of the tables makes an object of its interface."""
    for name in plugins.DATA_SOURCES.keys() - {"array"}:  # arrays are known by their content alone
        uri = {"idx": f"idx:{tmp_path}", "azureml": "azureml:mnist_opendataset"}.get(name, name)
        source = plugins.data_source(uri, SDK.get(name))
        assert isinstance(source, DataSource)
        assert source.uri == uri
    for name in plugins.COMPUTE_BACKENDS.keys() - ({"dask"} if find_spec("distributed") is None else set()):
        assert isinstance(plugins.compute_backend(name, tmp_path, SDK.get(name)), ComputeBackend)
    for name in plugins.MODEL_REGISTRIES.keys() - ({"mlflow"} if find_spec("mlflow") is None else set()):
        assert isinstance(plugins.model_registry(name, tmp_path, SDK.get(name)), ModelRegistry)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_lists_the_valid_ones(tmp_path: Path) -> None:
    """An unknown dataset, backend or option is an error that lists what there is, and guesses."""
    with pytest.raises(
        UnknownNameError, match=r"no dataset 'minst'; there are digits, idx:FOLDER, mnist.*mean 'mnist'"
    ):
        plugins.data_source("minst")
    with pytest.raises(UnknownNameError, match="no compute backend 'cloud'; there are process, in-process"):
        plugins.compute_backend("cloud", tmp_path)
    with pytest.raises(UnknownNameError, match="has no option 'paralel'; it has parallel"):
        plugins.compute_backend("in-process", tmp_path, {"paralel": 2})
    with pytest.raises(UnknownNameError, match="has no option 'x'; it has none"):
        plugins.model_registry("folder", tmp_path, {"x": 2})
    with pytest.raises(UsageError, match="parallel"):
        plugins.compute_backend("in-process", tmp_path, {"parallel": "two"})


PLUGIN = """
from mnistkit.data.folders import FolderSource
class Source(FolderSource): ...
def make(uri):
    return Source.from_uri("idx:" + uri.partition(":")[2])
"""


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with entry points."""
    site = tmp_path / "site"
    info = site / "elsewhere-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mnistkit.data_sources]\nelsewhere = elsewhere_data:make\nmnist = elsewhere_data:make\n"
        "broken = elsewhere_data:nothing\n"
    )
    (site / "elsewhere_data.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("elsewhere_data", None)


def test_other_packages_add_names(distribution: Path, tmp_path: Path) -> None:
    """A name from an entry point works and is listed, after the built-in ones, which stay what they are."""
    assert plugins.data_source(f"elsewhere:{tmp_path}").uri == f"idx:{tmp_path}"
    assert plugins.names("dataset")[-2:] == ("broken", "elsewhere")
    assert plugins.names("dataset").count("mnist") == 1
    assert plugins.data_source("mnist").uri == "mnist"
    with pytest.raises(MissingExtraError, match="elsewhere_data:nothing"):
        plugins.data_source("broken")
