"""Models of other releases: refused by name, or loaded and seen to answer as they did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from mnistkit.errors import ModelError, UnsafeModelError, UsageError, VersionMismatchError
from mnistkit.jobs.environment import library_versions
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models import probe as probe_module
from mnistkit.models.archives import arrays_to_bytes
from mnistkit.models.persistence import loads_model, save_model
from mnistkit.models.probe import PROBE_FILE, PROBE_ROWS, Probe, mismatches, probe_rows
from mnistkit.registry.loading import load_model, load_probe

OLD = Path(__file__).parent / "old_models"
_HERE = library_versions()["scikit-learn"]
_TRUSTED = {
    "forest": ["sklearn.tree._tree.Tree"],
    "sgd": ["sklearn.linear_model._sgd_fast.Hinge"],
    "boosting": ["sklearn.tree._tree.Tree", "_loss.CyHalfBinomialLoss"],
    "histograms": [
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "_loss.CyHalfBinomialLoss",
    ],
}


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """An empty registry."""
    return FolderRegistry(tmp_path / "home")


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions that this process takes for its own: a later scikit-learn."""
    versions = {**library_versions(), "scikit-learn": "9.9.1"}
    monkeypatch.setattr(probe_module, "library_versions", lambda: versions)
    return versions


def _data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.random((40, 5)).astype(np.float32)
    return X, (X[:, 0] * 3).astype(np.uint8)


# --- models that scikit-learn 1.5.2 made -----------------------------------------------------------------------------


@pytest.mark.skipif(_HERE.startswith("1.5."), reason="here they aren't old")
@pytest.mark.parametrize("name", ["logistic", "pipeline", "sgd", "svc", "neighbors", "forest", "perceptron"])
def test_old_model_loads_on_request(name: str, registry: FolderRegistry) -> None:
    """An old model is refused with both versions and what to install; on request it loads, and its probe is met."""
    registry.register(name, OLD / name, format="skops")
    with pytest.raises(VersionMismatchError) as caught:
        load_model(registry, name)
    for expected in (f"{name}:1", "scikit-learn 1.5.2", _HERE, "python -m pip install 'scikit-learn==1.5.*'"):
        assert expected in str(caught.value)
    model = load_model(registry, name, allow_version_mismatch=True, trusted=_TRUSTED.get(name, ()))
    probe = load_probe(registry, registry.get(name))
    assert probe is not None
    np.testing.assert_array_equal(model.predict(probe.X), probe.labels)


@pytest.mark.skipif(_HERE.startswith("1.5."), reason="here they aren't old")
@pytest.mark.parametrize("name", ["boosting", "histograms", "histograms-joblib"])
def test_old_boosting_is_a_typed_error(name: str, registry: FolderRegistry) -> None:
    """Boosted trees, which can't be unpickled or built any more, are a typed error with and without the flag."""
    format_ = "joblib" if name.endswith("joblib") else "skops"
    registry.register(name, OLD / name, format=format_)
    for allow in (False, True):
        with pytest.raises(VersionMismatchError, match=r"scikit-learn 1\.5\.2") as caught:
            load_model(registry, name, allow_pickle=True, trusted=_TRUSTED.get(name, ()), allow_version_mismatch=allow)
        assert ("can't be read here" in str(caught.value)) is allow


def test_flag_trusts_nothing(registry: FolderRegistry) -> None:
    """Allowing another version allows no pickle and no type."""
    registry.register("forest", OLD / "forest", format="skops")
    registry.register("boosted", OLD / "histograms-joblib", format="joblib")
    for name in ("forest", "boosted"):
        with pytest.raises(UnsafeModelError):
            load_model(registry, name, allow_version_mismatch=True)


# --- what the probe tells --------------------------------------------------------------------------------------------


def test_same_release_needs_no_flag(registry: FolderRegistry, tmp_path: Path) -> None:
    """A model of this release loads, with and without a probe, with and without the flag."""
    X, y = _data()
    model = LogisticRegression().fit(X, y)
    save_model(model, tmp_path / "with", probe=X)
    save_model(model, tmp_path / "without")
    for folder in ("with", "without"):
        registry.register(folder, tmp_path / folder, format="skops")
        for allow in (False, True):
            assert load_model(registry, folder, allow_version_mismatch=allow).C == 1
    assert load_probe(registry, registry.get("without")) is None


@pytest.mark.parametrize("allow", [None, 1, "yes"])
def test_only_true_allows_it(allow: Any, other: dict[str, str], registry: FolderRegistry, tmp_path: Path) -> None:
    """The flag is True and nothing else."""
    X, y = _data()
    save_model(LogisticRegression().fit(X, y), tmp_path / "outputs", probe=X)
    registry.register("digits", tmp_path / "outputs", format="skops")
    assert load_model(registry, "digits", allow_version_mismatch=True).C == 1
    with pytest.raises(VersionMismatchError, match=r"9\.9\.1"):
        load_model(registry, "digits", allow_version_mismatch=allow)


@pytest.mark.parametrize("format_", ["skops", "joblib"])
def test_other_answers_are_refused(
    format_: Any, other: dict[str, str], registry: FolderRegistry, tmp_path: Path
) -> None:
    """A model of another release whose answers aren't the recorded ones is refused, by how they differ."""
    X, y = _data()
    model = LogisticRegression().fit(X, y)
    probe = Probe.ask(model, X)
    save_model(model, tmp_path / "outputs", format=format_)
    for changed, expected in (
        (evolve(probe, labels=probe.labels[::-1]), "labels differ"),
        (evolve(probe, probabilities=probe.probabilities * (1 + 1e-5)), "probabilities differ"),
        (evolve(probe, probabilities=probe.probabilities[:, 1:]), "shape"),
        (evolve(probe, X=probe.X[:, 1:]), "fails with ValueError"),
    ):
        changed.save(tmp_path / "outputs")
        registry.register("digits", tmp_path / "outputs", format=format_)
        with pytest.raises(VersionMismatchError, match=expected):
            load_model(registry, "digits", allow_pickle=True, allow_version_mismatch=True)
    evolve(probe, probabilities=probe.probabilities * (1 + 1e-7)).save(tmp_path / "outputs")
    registry.register("digits", tmp_path / "outputs", format=format_)
    assert load_model(registry, "digits", allow_pickle=True, allow_version_mismatch=True).C == 1


def test_without_a_probe_nothing_can_be_compared(
    other: dict[str, str], registry: FolderRegistry, tmp_path: Path
) -> None:
    """A model of another release without a probe is refused even with the flag; `loads_model` still takes its bytes."""
    save_model(LogisticRegression().fit(*_data()), tmp_path / "outputs")
    registry.register("digits", tmp_path / "outputs", format="skops")
    path = Path(registry.get("digits").location) / "manifest.json"
    path.write_text(path.read_text().replace(_HERE, "1.0.0"))
    with pytest.raises(VersionMismatchError, match=r"no probe\.npz"):
        load_model(registry, "digits", allow_version_mismatch=True)
    assert loads_model((tmp_path / "outputs" / "model.skops").read_bytes(), "skops").C == 1


def test_linear_is_of_no_release(other: dict[str, str], registry: FolderRegistry, tmp_path: Path) -> None:
    """A linear model is numbers: it loads under any release."""
    X, y = _data()
    save_model(LogisticRegression().fit(X, y), tmp_path / "outputs", format="linear", probe=X)
    registry.register("digits", tmp_path / "outputs", format="linear")
    assert load_model(registry, "digits").n_features_in_ == 5


def test_which_releases_matter() -> None:
    """Another major.minor of scikit-learn matters, and for joblib another major of numpy; nothing else does."""
    here = library_versions()
    sklearn_, numpy_ = here["scikit-learn"].split("."), here["numpy"].split(".")
    patch = {**here, "scikit-learn": ".".join([*sklearn_[:2], "99"]), "python": "3.1.0", "skops": "0.1"}
    minor = {**here, "scikit-learn": f"{sklearn_[0]}.99.0"}
    array = {**here, "numpy": f"{int(numpy_[0]) - 1}.0.0"}
    assert [len(mismatches(versions, "skops")) for versions in ({}, here, patch, minor, array)] == [0, 0, 0, 1, 0]
    assert [len(mismatches(versions, "joblib")) for versions in ({}, here, patch, minor, array)] == [0, 0, 0, 1, 1]
    assert mismatches(minor, "linear") == mismatches(minor, "files") == {}
    assert mismatches(minor, "skops") == {"scikit-learn": (minor["scikit-learn"], here["scikit-learn"])}


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64, str, object])
def test_probe_round_trips(dtype: Any, tmp_path: Path) -> None:
    """A probe comes back as it was, for labels of any type; equal ones are equal bytes; it meets its model."""
    X, y = _data()
    y = np.array([f"c{label}" for label in y], dtype) if dtype in (str, object) else y.astype(dtype)
    model = KNeighborsClassifier(3).fit(X, y)
    probe = Probe.ask(model, X)
    path = probe.save(tmp_path)
    content = path.read_bytes()
    found = Probe.parse(content, "it")
    np.testing.assert_array_equal(found.X, X[:PROBE_ROWS])
    assert found.X.dtype == X.dtype
    np.testing.assert_array_equal(found.labels, model.predict(X[:PROBE_ROWS]).astype(probe.labels.dtype))
    np.testing.assert_array_equal(found.probabilities, model.predict_proba(X[:PROBE_ROWS]))
    assert found.versions == library_versions()
    assert found.difference(model) == ""
    assert probe.save(tmp_path).read_bytes() == content


def test_probe_of_a_model_without_probabilities(tmp_path: Path) -> None:
    """Where there are no probabilities, labels are compared alone."""
    X, y = _data()
    model = LinearSVC().fit(X, y)
    probe = Probe.parse(Probe.ask(model, X).save(tmp_path).read_bytes(), "it")
    assert probe.probabilities.shape == (PROBE_ROWS, 0)
    assert probe.difference(model) == ""
    assert "shape" in probe.difference(LogisticRegression().fit(X, y))


def test_bad_probes(tmp_path: Path) -> None:
    """Rows that are none, and a model that can't answer, are usage errors; a file that is no probe a model error."""
    X, y = _data()
    model = LogisticRegression().fit(X, y)
    for rows in (X[0], X[:0], np.array([["a"]]), X[:, :2]):
        with pytest.raises(UsageError):
            save_model(model, tmp_path / "outputs", probe=rows)
    assert not (tmp_path / "outputs").exists()
    labels, empty = np.zeros(2), np.zeros((2, 0))
    for arrays in (
        {"X": np.zeros((3, 2)), "labels": labels, "probabilities": empty, "versions": np.array(["a==1"])},
        {"X": np.zeros((2, 2)), "labels": labels, "probabilities": empty},
    ):
        with pytest.raises(ModelError):
            Probe.parse(arrays_to_bytes(arrays), "it")
    with pytest.raises(ModelError):
        Probe.parse(b"nonsense", "it")


def test_rows_are_spread() -> None:
    """The rows of a probe are spread over the data; fewer rows are all taken."""
    rows = probe_rows(np.arange(100))
    assert (len(rows), rows[0], rows[1], rows[-1]) == (16, 0, 6, 90)
    assert probe_rows(np.arange(3)).tolist() == [0, 1, 2]
    assert PROBE_FILE == "probe.npz"
