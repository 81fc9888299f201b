"""The contract of `DeploymentTarget`, as tests to subclass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit.errors import ConflictError, DeploymentError, InvalidNameError, NotFoundError
from mnistkit.interfaces import DeploymentTarget, ModelRegistry
from mnistkit.models.input import InputSpec
from mnistkit.models.persistence import save_model
from mnistkit.models.probe import PROBE_FILE, Probe, probe_rows
from mnistkit.registry.deployment import DeploymentState
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.version import ModelVersion
from mnistkit.serving.deployment import Deployment, deploy_model
from mnistkit.testing.contract import ContractSuite

__all__ = ["DeploymentTargetSuite"]

_NAME = "mnistkit-suite"
_SIDE_PIXELS = 4


class DeploymentTargetSuite(ContractSuite):
    """The contract of a deployment target. Subclass it with fixtures ``target`` (without deployments) and ``registry``.

    ::

        class TestMyTarget(DeploymentTargetSuite):
            @pytest.fixture
            def target(self, tmp_path):
                return MyTarget(tmp_path)

            @pytest.fixture
            def registry(self, tmp_path):
                return FolderRegistry(tmp_path / "models")

    The docstring of each test is the promise of the contract that it proves. What a failed test leaves is deleted.
    """

    interface = "DeploymentTarget"

    @pytest.fixture
    def version(self, registry: ModelRegistry, tmp_path: Path) -> ModelVersion:
        """A registered classifier of small images."""
        return _register(registry, tmp_path / "model")

    @pytest.fixture
    def deployed(
        self,
        target: DeploymentTarget,
        registry: ModelRegistry,
        version: ModelVersion,
        capsys: pytest.CaptureFixture[str],
    ) -> Iterator[Deployment]:
        """A deployment of it; standard output is the program's, where ``mnistkit deploy`` prints the URL."""
        made = deploy_model(registry, target, version, _NAME)
        assert capsys.readouterr().out == ""
        yield made
        if any(record.name == _NAME for record in target.deployments()):
            target.delete(_NAME)

    def test_a_deployment_answers_until_it_is_deleted(
        self, target: DeploymentTarget, deployed: Deployment, version: ModelVersion, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A deployment is healthy, listed, has keys and a log, predicts as the model does, and is gone once deleted.

        None of that prints anything.
        """
        assert (deployed.name, deployed.model, deployed.record.digest) == (_NAME, version.id, version.digest)
        assert target.get(_NAME).state is DeploymentState.HEALTHY
        assert [record.name for record in target.deployments()] == [_NAME]
        assert target.get(_NAME).input == version.input
        images, labels = _images()
        assert deployed.predict(images).labels.tolist() == labels.tolist()
        assert deployed.refresh().predict(images[:1]).labels.tolist() == labels[:1].tolist()
        assert all(target.keys(_NAME))
        assert isinstance(target.logs(_NAME), str)
        deployed.delete()
        assert target.deployments() == ()
        with pytest.raises(NotFoundError):
            target.get(_NAME)
        assert capsys.readouterr().out == ""

    def test_a_name_is_deployed_once(
        self, target: DeploymentTarget, registry: ModelRegistry, deployed: Deployment, version: ModelVersion
    ) -> None:
        """A second deployment of a name is refused, and the first one keeps answering."""
        with pytest.raises(ConflictError, match=_NAME):
            deploy_model(registry, target, version, _NAME)
        images, labels = _images()
        assert deployed.predict(images[:2]).labels.tolist() == labels[:2].tolist()

    def test_what_does_not_come_up_leaves_nothing(
        self, target: DeploymentTarget, version: ModelVersion, tmp_path: Path
    ) -> None:
        """A deployment that can't start raises, with the last lines of its log, and leaves nothing."""
        package = tmp_path / "broken"
        package.mkdir()
        for script in ("score.py", "serve.py"):
            (package / script).write_text("raise RuntimeError('no such weights')\n")
        (package / "conda.yaml").write_text("dependencies:\n  - python=3.11\n")
        with pytest.raises(DeploymentError, match="no such weights"):
            target.deploy(version, _NAME, package)
        assert target.deployments() == ()

    def test_another_answer_than_recorded_is_no_deployment(
        self, target: DeploymentTarget, registry: ModelRegistry, tmp_path: Path
    ) -> None:
        """A model that answers its recorded probe differently isn't deployed, and nothing is left."""
        version = _register(registry, tmp_path / "other", is_swapped=True)
        with pytest.raises(Exception, match=r"recorded|probe"):
            deploy_model(registry, target, version, _NAME)
        assert target.deployments() == ()

    def test_names_are_checked(self, target: DeploymentTarget, version: ModelVersion, tmp_path: Path) -> None:
        """A name that could be a path is refused before anything is done."""
        for name in ("../up", "a/b", "", "."):
            with pytest.raises(InvalidNameError):
                target.deploy(version, name, tmp_path)

    @pytest.mark.parametrize("what", ["get", "delete", "logs", "keys"])
    def test_unknown(self, target: DeploymentTarget, what: str) -> None:
        """A name that isn't deployed is a NotFoundError."""
        with pytest.raises(NotFoundError, match="nothing-here"):
            getattr(target, what)("nothing-here")


def _images() -> tuple[Any, Any]:
    """Return eight images, of which the upper or the lower half is light, ``(8, h, w) uint8``, and their labels."""
    labels = np.arange(8) % 2
    images = np.zeros((8, _SIDE_PIXELS, _SIDE_PIXELS), dtype=np.uint8)
    images[labels == 0, : _SIDE_PIXELS // 2] = 200
    images[labels == 1, _SIDE_PIXELS // 2 :] = 200
    return images, labels


def _register(registry: ModelRegistry, folder: Path, *, is_swapped: bool = False) -> ModelVersion:
    """Register a classifier; with ``is_swapped`` its recorded labels are wrong."""
    from sklearn.linear_model import LogisticRegression

    images, labels = _images()
    X = np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)
    folder.mkdir()
    classifier = LogisticRegression().fit(X, labels)
    save_model(classifier, folder, probe=probe_rows(X))
    if is_swapped:
        right = Probe.record(classifier, X)
        (folder / PROBE_FILE).unlink()
        Probe(right.X, 1 - right.labels, right.probabilities).save(folder)
    spec = InputSpec(height=_SIDE_PIXELS, width=_SIDE_PIXELS)
    return registry.register("suite", folder, ModelInfo(format="skops", input=spec))
