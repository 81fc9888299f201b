"""Recorded predictions of a model on a few rows, to compare those of another release with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from mnistkit.errors import ModelError, UnsafeModelError, UsageError, VersionMismatchError
from mnistkit.jobs.environment import library_versions
from mnistkit.models.archives import arrays_to_bytes, read_arrays
from mnistkit.utils.files import write_atomically

if TYPE_CHECKING:  # loads numpy
    from numpy.typing import NDArray

__all__ = ["PROBE_FILE", "PROBE_ROWS", "Probe", "load_mismatched", "mismatches", "probe_rows"]

PROBE_FILE: Final = "probe.npz"
"""The probe's file name, beside the model's."""

PROBE_ROWS: Final = 16
"""How many rows of input a probe has."""

_RELATIVE_TOLERANCE = 1e-6
_ABSOLUTE_TOLERANCE = 1e-9  # a probability below this is compared as 0: it may be the rounding error of a sum


@frozen(eq=False)
class Probe:
    """Rows of input with a model's predictions.

    Attributes:
        X: ``(n, d)``: the input, in the dtype in which it was given.
        labels: ``(n,)``: what ``predict`` returned; integers, floats, booleans or texts.
        probabilities: ``(n, k)``: what ``predict_proba`` returned; ``(n, 0)`` if the model has none.
        versions: Of Python and the libraries that predicted, by name.
    """

    X: NDArray[Any]
    labels: NDArray[Any]
    probabilities: NDArray[Any]
    versions: Mapping[str, str] = field(factory=library_versions)

    @classmethod
    def record(cls, model: Any, X: Any) -> Probe:
        """Return the predictions of a fitted classifier for the first rows of ``X``, ``(n, d)`` numbers.

        Raises:
            UsageError: They aren't that, or the model can't predict them.
        """
        import numpy as np

        X = np.array(X[:PROBE_ROWS])
        if X.ndim != 2 or X.dtype.kind not in "biuf" or not len(X):  # noqa: PLR2004 - rows of features
            raise UsageError(f"A probe needs rows of numbers, shape (n, d); got {X.dtype} with shape {X.shape}.")
        try:
            probe = cls(X, *_predictions(model, X))
            # A probe that can't be read again would keep its model from being loaded.
            cls.parse(probe.to_bytes(), PROBE_FILE)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise UsageError(f"{type(model).__name__} can't predict the probe: {what}") from error
        return probe

    def save(self, folder: Path) -> Path:
        """Write it into a folder, and return the file."""
        write_atomically(folder / PROBE_FILE, self.to_bytes())
        return folder / PROBE_FILE

    def to_bytes(self) -> bytes:
        """Return the content of its file, which `parse` reads."""
        import numpy as np

        arrays = {
            "X": self.X,
            "labels": self.labels,
            "probabilities": self.probabilities,
            "versions": np.array([f"{name}=={version}" for name, version in sorted(self.versions.items())]),
        }
        return arrays_to_bytes(arrays)

    @classmethod
    def parse(cls, data: bytes, source: str) -> Probe:
        """Read what `save` wrote, without unpickling.

        Raises:
            ModelError: It isn't that.
        """
        arrays = read_arrays(data, {"X": 2, "labels": 1, "probabilities": 2, "versions": 1}, source)
        pairs = [str(text).partition("==") for text in arrays.pop("versions")]
        probe = cls(**arrays, versions={name: version for name, _, version in pairs})
        if not len(probe.X) == len(probe.labels) == len(probe.probabilities):
            raise ModelError(f"{source} isn't a probe: its arrays differ in length.")
        return probe

    def difference(self, model: Any) -> str:
        """Return how a model's predictions differ from the recorded ones, in words; empty if they don't.

        Labels must be equal, probabilities within a relative 1e-6.
        """
        try:
            labels, probabilities = _predictions(model, self.X)
        except Exception as error:  # noqa: BLE001 - a model of another release may fail in any way
            return f"it fails with {type(error).__name__}: {error}"
        return self.compare(labels, probabilities, rtol=_RELATIVE_TOLERANCE, atol=_ABSOLUTE_TOLERANCE)

    def compare(self, labels: NDArray[Any], probabilities: NDArray[Any], *, rtol: float, atol: float) -> str:
        """Return how these predictions differ from the recorded ones, in words; empty if they don't."""
        import numpy as np

        if labels.shape != self.labels.shape or probabilities.shape != self.probabilities.shape:
            return f"predictions of shape {labels.shape} and {probabilities.shape}"
        wrong = int((labels.astype(str) != self.labels.astype(str)).sum())
        if wrong:
            return f"{wrong} of {len(labels)} labels differ"
        if not np.allclose(probabilities, self.probabilities, rtol=rtol, atol=atol, equal_nan=True):
            worst = np.abs(probabilities - self.probabilities).max()
            return f"probabilities differ by up to {worst:.2g}"
        return ""


def probe_rows(X: Any) -> Any:
    """Return `PROBE_ROWS` rows of ``X``, ``(n, d)``, spread evenly over it: datasets may be sorted by class."""
    step = max(1, len(X) // PROBE_ROWS)
    return X[::step][:PROBE_ROWS]


def mismatches(versions: Mapping[str, str], format: str) -> dict[str, tuple[str, str]]:  # noqa: A002 - the field's word for it
    """Return the libraries whose other release may read a file of this format differently.

    scikit-learn's estimators are what both formats hold: another major.minor counts, for both. Pickled arrays name
    numpy's own modules, which moved with its major version: that counts for joblib. Other libraries, Python among them,
    promise to read what older ones wrote. What isn't recorded isn't compared.

    Args:
        versions: Those that wrote the file, by name.
        format: One of `mnistkit.models.FORMATS`.

    Returns:
        What was recorded and what is here, by library.
    """
    here = library_versions()
    parts = {"skops": {"scikit-learn": 2}, "joblib": {"scikit-learn": 2, "numpy": 1}}.get(format, {})
    return {
        name: (versions[name], here[name])
        for name, count in parts.items()
        if name in versions and name in here and _release(versions[name], count) != _release(here[name], count)
    }


def load_mismatched(
    load: Callable[[], Any], probe: Probe | None, found: Mapping[str, tuple[str, str]], source: str, *, allow: bool
) -> Any:
    """Load what another release made, if that is allowed, and compare its predictions with the recorded ones.

    Args:
        load: Loads the model.
        probe: What it is compared with, if there is one.
        found: What `mismatches` returned.
        source: What it is, for messages.
        allow: Whether it is allowed.

    Raises:
        VersionMismatchError: It isn't; or there is no probe; or it can't be read here, or predicts differently.
        UnsafeModelError: As from ``load``.
    """
    if allow is not True:
        why = "It may not load, or may predict differently."
        hint = (
            ". Or load it with allow_version_mismatch=True, on the command line --allow-version-mismatch: that "
            "compares its predictions with the recorded ones."
        )
        raise _version_error(source, found, why, hint)
    if probe is None:
        raise _version_error(source, found, f"It has no {PROBE_FILE} to compare its predictions with.", ".")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*version.*")  # the probe decides what scikit-learn can only warn of
        try:
            model = load()
        except UnsafeModelError:
            raise
        except ModelError as error:
            raise _version_error(source, found, f"It can't be read here: {error.__cause__!r}.", ".") from error
        difference = probe.difference(model)
    if difference:
        raise _version_error(source, found, f"Its predictions aren't the recorded ones: {difference}.", ".")
    return model


def _version_error(source: str, found: Mapping[str, tuple[str, str]], why: str, hint: str) -> VersionMismatchError:
    """Return the error for a model of other releases: which, why it isn't loaded, and what to install."""
    then = ", ".join(f"{name} {there}" for name, (there, _) in found.items())
    now = ", ".join(f"{name} {here}" for name, (_, here) in found.items())
    pins = " ".join(f"'{name}=={'.'.join(there.split('.')[:2])}.*'" for name, (there, _) in found.items())
    return VersionMismatchError(
        f"{source} was saved with {then}; here is {now}. {why} Install what it was saved with: "
        f"python -m pip install {pins}{hint}"
    )


def _release(version: str, count: int) -> list[str]:
    return version.split(".")[:count]


def _predictions(model: Any, X: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import numpy as np

    labels = np.asarray(model.predict(X))
    labels = labels.astype(str) if labels.dtype.kind == "O" else labels
    labels = labels.ravel() if labels.shape == (len(X), 1) else labels
    if hasattr(model, "predict_proba"):
        return labels, np.asarray(model.predict_proba(X))
    return labels, np.empty((len(X), 0))
