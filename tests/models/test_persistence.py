"""Saving and loading models: what loads, and what must never run."""

from __future__ import annotations

import ast
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import skops.io
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import mnistkit
from mnistkit.errors import IntegrityError, ModelError, ModelNotFoundError, UnsafeModelError, UsageError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models import persistence
from mnistkit.models.persistence import MODEL_FILES, TRUSTED_TYPES, loads_model, save_model
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.loading import load_model
from support.naive import NaiveRegistry
from support.pickle_payloads import Trap, traps

_TREE = "sklearn.tree._tree.Tree"
_PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"

Arrays = tuple[NDArray[np.float32], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def data() -> Arrays:
    """150 digits, (150, 64) float32 in 0..1."""
    X, y = load_digits(return_X_y=True)
    return (X[:150] / 16).astype(np.float32), y[:150].astype(np.uint8)


@pytest.fixture(scope="module")
def model(data: Arrays) -> LogisticRegression:
    """A fitted model."""
    return LogisticRegression(C=2).fit(*data)


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """An empty registry."""
    return FolderRegistry(tmp_path / "home")


def _fitted(classifier: Any, data: Arrays) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few digits don't let every solver converge
        return classifier.fit(*data)


# --- what loads -----------------------------------------------------------------------------------------------------

_HAS_TEMPERATURE = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) >= (1, 8)

_FREE = [
    LogisticRegression(),
    OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    OneVsOneClassifier(Perceptron()),
    make_pipeline(StandardScaler(), PCA(10), LogisticRegression()),
    make_pipeline(MinMaxScaler(), Nystroem(n_components=20), SGDClassifier()),
    make_pipeline(FunctionTransformer(np.log1p), RidgeClassifier()),
    SVC(),
    LinearSVC(),
    KNeighborsClassifier(),
    NearestCentroid(),
    GaussianNB(),
    MultinomialNB(),
    LinearDiscriminantAnalysis(),
    DummyClassifier(),
    MLPClassifier((8,), max_iter=5),
    MLPClassifier((8,), max_iter=5, solver="sgd"),
    CalibratedClassifierCV(LinearSVC(), cv=2),
    CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2),
    pytest.param(
        CalibratedClassifierCV(GaussianNB(), method="temperature", cv=2),
        marks=pytest.mark.skipif(not _HAS_TEMPERATURE, reason="scikit-learn 1.8 brought temperature scaling"),
    ),
    VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]),
    StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], cv=2),
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2),
]


@pytest.mark.parametrize("classifier", _FREE, ids=lambda c: repr(c).replace("\n", "")[:40])
def test_common_classifiers_load(classifier: Any, data: Arrays, registry: FolderRegistry, tmp_path: Path) -> None:
    """Classifiers without trees load from skops with nothing more to trust, and predict as before."""
    fitted = _fitted(classifier, data)
    save_model(fitted, tmp_path / "outputs")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    loaded = load_model(registry, "digits")
    assert type(loaded) is type(fitted)
    np.testing.assert_array_equal(loaded.predict(data[0]), fitted.predict(data[0]))


@pytest.mark.parametrize(
    ("classifier", "type_"),
    [
        (DecisionTreeClassifier(), _TREE),
        (RandomForestClassifier(3), _TREE),
        (GradientBoostingClassifier(n_estimators=2), _TREE),
        (HistGradientBoostingClassifier(max_iter=2), _PREDICTOR),
    ],
)
def test_trees_load_when_trusted(classifier: Any, type_: str, data: Arrays) -> None:
    """Trees are refused with an error that names the type and the argument; with that argument they load."""
    fitted = _fitted(classifier, data)
    content = skops.io.dumps(fitted)
    with pytest.raises(UnsafeModelError) as caught:
        loads_model(content, "skops", source="forest:1")
    assert "forest:1" in str(caught.value)
    assert f"trusted=[{type_!r}]" in str(caught.value)
    loaded = loads_model(content, "skops", trusted=[type_])
    np.testing.assert_array_equal(loaded.predict(data[0]), fitted.predict(data[0]))


@pytest.mark.parametrize("format_", ["skops", "joblib"])
def test_saved_file_has_the_format_s_name(format_: Any, model: Any, data: Arrays, tmp_path: Path) -> None:
    """`save_model` writes one file, with the name of its format, into a folder that it creates."""
    path = save_model(model, tmp_path / "new" / "outputs", format=format_)
    assert [p.name for p in path.parent.iterdir()] == [MODEL_FILES[format_]]
    loaded = loads_model(path.read_bytes(), format_, allow_pickle=True)
    np.testing.assert_array_equal(loaded.predict_proba(data[0]), model.predict_proba(data[0]))


def test_load_by_any_reference(model: Any, registry: FolderRegistry, tmp_path: Path) -> None:
    """``name``, ``name:N``, ``name@alias`` and a version at hand are all taken."""
    save_model(model, tmp_path / "outputs")
    version = registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    registry.assign("digits", "champion", 1)
    for ref in ("digits", "digits:1", "digits@champion", version):
        assert load_model(registry, ref).C == 2
    with pytest.raises(ModelNotFoundError, match="champion"):
        load_model(registry, "digits@nobody")


def test_load_finds_the_only_model_file(model: Any, registry: FolderRegistry, tmp_path: Path) -> None:
    """A version with one file of its format, under any name and beside others, loads; with two it is an error."""
    path = save_model(model, tmp_path / "outputs")
    path.rename(path.with_name("mine.skops"))
    path.with_name("evaluation.json").write_text("{}")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    assert load_model(registry, "digits").C == 2
    path.with_name("other.skops").write_bytes(b"")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    with pytest.raises(ModelError, match=r"mine\.skops, other\.skops"):
        load_model(registry, "digits")


def test_load_of_files_says_how(registry: FolderRegistry, tmp_path: Path) -> None:
    """A version of format ``files`` is the caller's to load; the error says how to get it."""
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "weights.bin").write_bytes(b"1")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="files"))
    with pytest.raises(ModelError, match=r"registry\.download"):
        load_model(registry, "digits")
    with pytest.raises(ModelError, match=r"registry\.download"):
        loads_model(b"1", "files")


def test_usage_errors(model: Any, tmp_path: Path) -> None:
    """Unknown formats, a text or True as ``trusted``, and a model that can't be written are usage errors."""
    with pytest.raises(UsageError, match="skops, joblib, linear"):
        save_model(model, tmp_path, format="onnx")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="skops, joblib"):
        loads_model(b"", "onnx")
    for trusted in ("sklearn.tree._tree.Tree", True):
        with pytest.raises(UsageError, match="list of types"):
            loads_model(skops.io.dumps(model), "skops", trusted=trusted)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="FunctionTransformer as joblib"):
        save_model(FunctionTransformer(lambda X: X), tmp_path / "outputs", format="joblib")
    assert not (tmp_path / "outputs").exists()


def test_trusted_takes_types(data: Arrays) -> None:
    """``trusted`` takes types as well as their names."""
    from sklearn.tree._tree import Tree

    content = skops.io.dumps(DecisionTreeClassifier().fit(*data))
    assert loads_model(content, "skops", trusted=[Tree]).n_classes_ == 10


def test_altered_bytes_are_refused_even_from_a_careless_registry(model: Any, tmp_path: Path) -> None:
    """The bytes that are loaded are compared with the manifest, whatever the registry did or didn't check."""
    save_model(model, tmp_path / "outputs")
    registry = NaiveRegistry(tmp_path / "home")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    assert load_model(registry, "digits").C == 2
    save_model(LogisticRegression(C=9), tmp_path / "home" / "digits" / "1")
    with pytest.raises(IntegrityError, match=r"digits:1: model\.skops"):
        load_model(registry, "digits")


# --- what must never run --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["model.skops", "sklearn_mnist_model.pkl", "model.joblib", "x.skops"])
@pytest.mark.parametrize("format_", ["skops", "joblib", "linear", "files"])
def test_traps_never_run(format_: str, file: str, registry: FolderRegistry, tmp_path: Path) -> None:
    """No booby-trapped file runs without ``allow_pickle=True``, whatever it is called and registered as."""
    marker = tmp_path / "marker"
    all_traps = dict(traps(marker))
    assert len(all_traps) == 12
    for content in all_traps.values():
        folder = tmp_path / "outputs"
        folder.mkdir(exist_ok=True)
        (folder / file).write_bytes(content)
        version = registry.register("digits", folder, ModelInfo(format=format_))
        for ref in ("digits", version):
            with pytest.raises(ModelError):
                load_model(registry, ref, trusted=["posix.mkdir", "nt.mkdir", "builtins.list"])
        with pytest.raises((ModelError, UsageError)):
            loads_model(content, format_)
        assert not marker.exists()


def test_traps_work(tmp_path: Path) -> None:
    """The traps of these tests are real: with ``allow_pickle=True`` they run."""
    for name, content in traps(tmp_path / "marker"):
        if name != "inside a zip":
            loads_model(content, "joblib", allow_pickle=True)
            (tmp_path / "marker").rmdir()


@pytest.mark.parametrize("allow", [False, None, 0, 1, "yes", [True]])
def test_only_true_allows_pickle(allow: Any, model: Any, registry: FolderRegistry, tmp_path: Path) -> None:
    """A joblib file loads with ``allow_pickle=True`` at that call and with nothing else; the error says so."""
    path = save_model(model, tmp_path / "outputs", format="joblib")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="joblib", tags={"allow_pickle": "True"}))
    with pytest.raises(UnsafeModelError, match="allow_pickle=True"):
        load_model(registry, "digits", allow_pickle=allow)
    with pytest.raises(UnsafeModelError, match="allow_pickle=True"):
        loads_model(path.read_bytes(), "joblib", allow_pickle=allow)
    assert load_model(registry, "digits", allow_pickle=True).C == 2


def test_manifest_can_not_switch_pickle_on(registry: FolderRegistry, tmp_path: Path) -> None:
    """A manifest edited to format joblib, with a list of trusted types of its own, opens nothing."""
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model.pkl").write_bytes(pickle.dumps(Trap(tmp_path / "marker")))
    version = registry.register("digits", tmp_path / "outputs", ModelInfo(format="files"))
    path = Path(version.location) / "manifest.json"
    manifest = json.loads(path.read_bytes())
    for edit in (
        {"format": "joblib"},
        {"format": "joblib", "tags": {"allow_pickle": "true", "trusted": "posix.mkdir"}},
    ):
        path.write_text(json.dumps(manifest | edit))
        with pytest.raises(UnsafeModelError):
            load_model(registry, "digits")
    path.write_text(json.dumps(manifest | {"trusted": ["posix.mkdir"], "allow_pickle": True}))
    with pytest.raises(IntegrityError):
        load_model(registry, "digits")
    assert not (tmp_path / "marker").exists()


def test_one_place_unpickles() -> None:
    """The package imports no module that unpickles, and calls ``joblib.load`` in exactly one place.

    In the process of a scoring script the emulator loads the user's own model besides, as MLflow does there.
    """
    calls, imports = [], []
    for path in Path(mnistkit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names):
                    imports += [(path.name, alias.name) for alias in names]
                case ast.ImportFrom(module=str(module), names=names):
                    imports += [(path.name, module), *((path.name, f"{module}.{alias.name}") for alias in names)]
                case ast.Call(func=ast.Attribute(value=ast.Name(id="joblib"), attr="load")):
                    calls.append(path.name)
                case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                    calls.append(path.name)
    unpicklers = {"pickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib.load", "joblib.numpy_pickle"}
    assert sorted(calls) == ["mlflow_scoring.py", "persistence.py"]
    assert [(file, name) for file, name in imports if name in unpicklers] == []


def test_import_is_light() -> None:
    """Importing the module loads none of the libraries that it saves and loads with."""
    code = (
        "import sys, mnistkit.models.persistence; print({'numpy', 'sklearn', 'skops', 'joblib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- hostile skops files --------------------------------------------------------------------------------------------


def _rezipped(content: bytes, compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, members.get(name, old.read(name)))
        for name in members.keys() - set(old.namelist()):
            new.writestr(name, members[name])
    return stream.getvalue()


def test_foreign_function_is_refused(model: Any, tmp_path: Path) -> None:
    """A skops file that names a function of the system is refused, and names it."""
    content = skops.io.dumps(FunctionTransformer(os.system, kw_args={"command": f"touch {tmp_path / 'marker'}"}))
    with pytest.raises(UnsafeModelError, match=rf"{os.name}\.system"):
        loads_model(content, "skops")
    schema = json.loads(zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))).read("schema.json"))
    schema["__module__"], schema["__class__"] = "os", "system"
    with pytest.raises(ModelError):
        loads_model(_rezipped(skops.io.dumps(model), **{"schema.json": json.dumps(schema).encode()}), "skops")
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_member_is_refused(compression: int, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed member, which could unpack to any size, is refused before skops sees a byte."""
    content = _rezipped(skops.io.dumps(model), compression, **{"bomb.npy": bytes(20_000_000)})
    monkeypatch.setattr(skops.io, "loads", _unreachable)
    with pytest.raises(UnsafeModelError, match="compressed"):
        loads_model(content, "skops")


def test_forged_sizes_are_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members that claim more bytes than the file has, or share them, are refused before skops sees a byte."""
    content = skops.io.dumps(model)
    monkeypatch.setattr(skops.io, "loads", _unreachable)
    start = content.index(b"PK\x01\x02")
    for forged in (start + 20, start + 24):  # the compressed and the plain size of the first member
        with pytest.raises(UnsafeModelError, match="more bytes than it has"):
            loads_model(content[:forged] + b"\xff\xff\xff\x7f" + content[forged + 4 :], "skops")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More members than any model has are refused before the archive is even parsed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number in range(10_001):
            archive.writestr(str(number), b"")
    monkeypatch.setattr(zipfile, "ZipFile", _unreachable)
    with pytest.raises(UnsafeModelError, match="10000 members"):
        loads_model(stream.getvalue(), "skops")


def test_too_large_is_refused(
    model: Any, registry: FolderRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file above the size limit is refused by its manifest, before it is copied, and by its bytes."""
    path = save_model(model, tmp_path / "outputs")
    registry.register("digits", tmp_path / "outputs", ModelInfo(format="skops"))
    monkeypatch.setattr(persistence, "_MAX_MODEL_BYTES", 1000)
    monkeypatch.setattr(skops.io, "loads", _unreachable)
    with pytest.raises(UnsafeModelError, match="1000"):
        loads_model(path.read_bytes(), "skops")
    monkeypatch.setattr(FolderRegistry, "download", _unreachable)
    with pytest.raises(UnsafeModelError, match="1000"):
        load_model(registry, "digits")


def test_damaged_files_are_typed_errors(model: Any) -> None:
    """Truncated, empty, random and malformed skops files are a `ModelError` that names the source."""
    content = skops.io.dumps(model)
    huge = (
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000,), }".ljust(128)
        + b"\n"
    )
    arrays = [name for name in zipfile.ZipFile(io.BytesIO(content)).namelist() if name.endswith(".npy")]
    bad = [
        b"",
        b"PK",
        content[: len(content) // 2],
        content[:-30],
        os.urandom(5000),
        _rezipped(content, **{"schema.json": b"{}"}),
        _rezipped(content, **{"schema.json": b"[" * 100_000}),
        _rezipped(content, **{"schema.json": b"\xff"}),
        _rezipped(content, **{arrays[0]: huge}),
    ]
    for number, data in enumerate(bad):
        with pytest.raises(ModelError, match=f"case {number}"):
            loads_model(data, "skops", source=f"case {number}")
    with pytest.raises(ModelError, match="case joblib"):
        loads_model(b"nonsense", "joblib", allow_pickle=True, source="case joblib")


def test_trusted_types_are_reviewed() -> None:
    """The list of trusted types is this one: a change to it is a decision, and no tree is in it."""
    assert TRUSTED_TYPES == (
        "mnistkit.estimators.accurate.AccurateClassifier",
        "mnistkit.estimators.columns.ColumnSelector",
        "mnistkit.estimators.components.WithinClassComponents",
        "mnistkit.estimators.gradients.OrientedGradients",
        "mnistkit.estimators.liblinear.LiblinearLogisticRegression",
        "mnistkit.estimators.logistic.FastLogisticRegression",
        "mnistkit.estimators.nystroem_ridge.NystroemRidgeClassifier",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.RepeatedKFold",
        "sklearn.model_selection._split.RepeatedStratifiedKFold",
        "sklearn.model_selection._split.ShuffleSplit",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.model_selection._split.StratifiedShuffleSplit",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
    )


def _unreachable(*_: object, **__: object) -> None:
    raise AssertionError("this must not be reached")
