"""Deployments: a registered model is packaged, sent to a target, and must answer its recorded probe as recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from mnistkit.errors import DeploymentError
from mnistkit.evaluation.images import read_images
from mnistkit.evaluation.predictions import Predictions, Predictor, predict_images, predictor_of
from mnistkit.models.probe import Probe
from mnistkit.registry.deployment import DeploymentRecord, DeploymentState, DeploymentTarget
from mnistkit.registry.loading import load_probe
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelRef, ModelVersion
from mnistkit.serving.calling import post_json
from mnistkit.serving.packaging import package_model
from mnistkit.utils.markup import render
from mnistkit.utils.names import check_name

__all__ = ["Deployment", "deploy_model"]

_BATCH_ROWS = 200


@frozen(eq=False)
class Deployment:
    """A handle on a deployment.

    Attributes:
        target: Where it runs.
        record: What was last read of it.
    """

    target: DeploymentTarget
    record: DeploymentRecord

    @property
    def name(self) -> str:
        """Return its name."""
        return self.record.name

    @property
    def model(self) -> str:
        """Return the version that it serves: ``name:3``."""
        return self.record.model

    @property
    def url(self) -> str:
        """Return where it takes requests."""
        return self.record.url

    @property
    def state(self) -> DeploymentState:
        """Return its state when it was last read; see `refresh`."""
        return self.record.state

    def refresh(self) -> Deployment:
        """Return a handle with what holds now."""
        return Deployment(self.target, self.target.get(self.name))

    def predict(self, images: Any) -> Predictions:
        """Predict images through HTTP, prepared as the model's training data was.

        Args:
            images: As for `mnistkit.Trainer.predict`.

        Raises:
            ServiceError: It doesn't answer, or answers with an error; see `logs`.
            DataFormatError: An array isn't one of the model's images, or no file is an image that can be read.
        """
        spec = self.record.input
        if spec is None:
            raise DeploymentError(
                f"{self.name} has no record of the images that {self.model} takes: send rows to its URL."
            )
        predictor = Predictor(
            name=f"{self.model} at {self.url}",
            classifier=_RemoteClassifier(self.record, _key_of(self)),
            spec=spec,
            note=spec.preparation,
        )
        return predict_images(predictor, read_images(images, spec))

    def keys(self) -> tuple[str, ...]:
        """Return the keys that clients may send as ``Authorization: Bearer KEY``."""
        return self.target.keys(self.name)

    def logs(self, *, lines: int = 100) -> str:
        """Return the last lines that it has written."""
        return self.target.logs(self.name, lines=lines)

    def delete(self) -> None:
        """End it, and remove all that is left of it."""
        self.target.delete(self.name)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.record.describe())


class _RemoteClassifier:
    """The served model, as far as labels go."""

    def __init__(self, record: DeploymentRecord, key: str) -> None:
        self._record, self._key = record, key

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the labels of rows, ``(n, d)``, a request for every few hundred of them."""
        labels: list[Any] = []
        for start in range(0, len(X), _BATCH_ROWS):
            rows = X[start : start + _BATCH_ROWS].tolist()
            answer = post_json(self._record.url, {"data": rows}, self._key)
            if not isinstance(answer, list) or len(answer) != len(rows):
                raise DeploymentError(
                    f"{self._record.name} answers {len(rows)} rows with {answer!r:.200}, not with a label for each."
                )
            labels += answer
        return np.asarray(labels)


def deploy_model(
    registry: ModelRegistry,
    target: DeploymentTarget,
    ref: str | ModelRef | ModelVersion,
    name: str,
    *,
    allow_pickle: bool = False,
    trusted: Iterable[str] = (),
) -> Deployment:
    """Deploy a registered version; return once it answers as recorded.

    The version that ``ref`` names now stays deployed, also when an alias moves. Its recorded probe is sent through
    HTTP: if another answer comes back than recorded, the deployment is removed.

    Args:
        registry: Where the model is.
        target: Where it is to run.
        ref: As for `mnistkit.load_model`.
        name: Of the deployment; new at that target.
        allow_pickle: As for `mnistkit.load_model`.
        trusted: As there, by name.

    Raises:
        ConflictError: There is a deployment of that name.
        DeploymentError: It doesn't come up, or answers differently. Nothing is left of it.
        MnistkitError: As from `mnistkit.load_model`.
    """
    check_name(name, "deployment name")
    version = ref if isinstance(ref, ModelVersion) else resolve_model(registry, ref)
    types = tuple(trusted)
    with tempfile.TemporaryDirectory(prefix="mnistkit-") as folder:
        package = package_model(registry, version, Path(folder) / "package", allow_pickle=allow_pickle, trusted=types)
        spec = version.input or predictor_of(version, registry, allow_pickle=allow_pickle, trusted=types).spec
        made = Deployment(target, target.deploy(evolve(version, input=spec), name, package))
    try:
        probe = load_probe(registry, version)
        if probe is not None:
            _check(made, probe)
    except BaseException:
        made.delete()
        raise
    return made


def _key_of(made: Deployment) -> str:
    return next(iter(made.keys()), "")


def _check(made: Deployment, probe: Probe) -> None:
    """Send the recorded rows, and compare the labels that come back."""
    labels = _RemoteClassifier(made.record, _key_of(made)).predict(probe.X)
    wrong = [i for i, (got, noted) in enumerate(zip(labels, probe.labels, strict=True)) if str(got) != str(noted)]
    if wrong:
        raise DeploymentError(
            f"{made.name} answers {len(wrong)} of {len(probe.labels)} recorded rows differently, the first with "
            f"{labels[wrong[0]]} instead of {probe.labels[wrong[0]]}: it was removed. Its libraries may be of other "
            "releases than those that made the model."
        )
