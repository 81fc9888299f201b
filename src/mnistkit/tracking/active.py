"""The run that a program carries out itself, from the start of its block to the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mnistkit.data.dataset import Dataset
from mnistkit.errors import MnistkitError, RunStateError, SpecError
from mnistkit.evaluation.scores import Evaluation
from mnistkit.jobs.job import ModelFormat
from mnistkit.jobs.spec import ModelSpec
from mnistkit.models.files import MODEL_FILES, parts
from mnistkit.models.fitted import check_fitted
from mnistkit.models.input import INPUT_FILE
from mnistkit.models.probe import PROBE_FILE
from mnistkit.runs.backend import ComputeBackend
from mnistkit.runs.context import FolderContext
from mnistkit.runs.record import RunRecord
from mnistkit.runs.run import Run
from mnistkit.training import input_spec, record_evaluation, write_model
from mnistkit.utils.serialization import to_json

__all__ = ["CLASSIFIER_TAG", "ActiveRun"]

_log = logging.getLogger(__name__)

CLASSIFIER_TAG = "classifier"
"""The tag with the classifier that a tracked run saved, as Python code."""

_MAX_CLASSIFIER_CHARS = 500


class ActiveRun(Run, FolderContext):
    """A run that this program carries out itself: what ``with trainer.start_run() as run:`` gives.

    Within the block it is also what `mnistkit.get_context` returns. After the block it is a `Run` like any other, to be
    registered, reported and compared.
    """

    def __init__(
        self, backend: ComputeBackend, record: RunRecord, folder: Path, dataset: Callable[[], Dataset]
    ) -> None:
        """Hold a run that has begun; for `start_run`.

        Args:
            backend: Keeps the run.
            record: Its record.
            folder: Its folder.
            dataset: Returns the data that its models are for.
        """
        Run.__init__(self, backend, record)
        FolderContext.__init__(self, folder)
        self._fetch = dataset
        self._dataset: Dataset | None = None
        self._is_active = True
        self._has_noticed_cancel = False

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process is a handle: the block, and so the run, is this one's.
        return Run, (self._backend, self._record)

    @property
    def outputs(self) -> Path:
        """The folder for what the run leaves behind; it exists.

        Raises:
            RunStateError: The block has ended.
        """
        self._check_active()
        return super().outputs

    @property
    def should_stop(self) -> bool:
        """True if the end of the run was requested, as by ``mnistkit runs cancel``.

        A block that ends normally after this was True is Canceled.
        """
        self._has_noticed_cancel = self._has_noticed_cancel or (self._is_active and super().should_stop)
        return self._has_noticed_cancel

    def log(self, name: str, value: float, *, step: int | None = None) -> None:
        """Log one value of a metric; see `mnistkit.runs.RunContext.log`.

        Raises:
            RunStateError: The block has ended.
        """
        self._check_active()
        super().log(name, value, step=step)

    def save_model(self, classifier: Any, *, model_format: ModelFormat = "skops") -> Path:
        """Keep a fitted classifier as the run's model, with its input and a probe as `Trainer.train` does.

        Args:
            classifier: Any fitted scikit-learn classifier, or a Pipeline that ends in one, which takes ``(n, h*w)``
                pixels from 0 to 1, as `Split.X` returns them. It replaces one that was saved before.
            model_format: As in `Trainer.job`.

        Returns:
            The file, in `outputs`.

        Raises:
            UsageError: It isn't fitted, or can't be written in this format.
            SpecError: It isn't a classifier.
            RunStateError: The block has ended.
        """
        self._check_active()
        check_fitted(classifier)
        dataset, outputs = self._fitting_dataset(classifier), self.outputs
        for name in (INPUT_FILE, PROBE_FILE):  # of the model that is replaced
            (outputs / name).unlink(missing_ok=True)
        path = write_model(classifier, outputs, model_format, dataset)
        for other in {*MODEL_FILES.values()} - {path.name}:
            for part in parts(other):
                (outputs / part).unlink(missing_ok=True)
        if dataset is not None:
            (outputs / INPUT_FILE).write_bytes(to_json(input_spec(dataset)))
        try:
            text = str(ModelSpec.from_estimator(classifier))
        except SpecError:  # it can't travel in a job; it need not
            text = type(classifier).__name__
        self.tag(CLASSIFIER_TAG, text[:_MAX_CLASSIFIER_CHARS])
        return path

    def evaluate(self, classifier: Any) -> Evaluation:
        """Predict the test images, log ``accuracy`` and ``log loss``, keep the scores with the run, and return them.

        Raises:
            UsageError: It isn't fitted, or takes images of another size.
            ModelError: Its predictions aren't one label per image.
            RunStateError: The block has ended.
        """
        self._check_active()
        check_fitted(classifier)
        return record_evaluation(classifier, self._data(), self)

    def close(self) -> bool:
        """Refuse to log from now on; return True if the block has read that its end was requested. For `start_run`."""
        self._is_active = False
        return self._has_noticed_cancel

    def poll(self, timeout: float | None = None) -> Iterator[Run]:
        """Read the record repeatedly; see `Run.poll`.

        Raises:
            RunStateError: The block hasn't ended: waiting in it would never end.
        """
        if self._is_active:
            raise RunStateError(f"Run {self.id} finishes when its block ends: wait for it after that.")
        return super().poll(timeout)

    def _check_active(self) -> None:
        if not self._is_active:
            raise RunStateError(
                f"Run {self.id} is {self.state}: log and save in its block. Afterwards use tag and note."
            )

    def _data(self) -> Dataset:
        if self._dataset is None:
            self._dataset = self._fetch()
        return self._dataset

    def _fitting_dataset(self, classifier: Any) -> Dataset | None:
        """Return the data if the classifier takes its images; else None, with a warning: the model is saved anyway."""
        try:
            dataset = self._data()
        except MnistkitError as error:
            _log.warning("The model of run %s is kept without its input and a probe: %s", self.id, error)
            return None
        height, width = dataset.train.images.shape[1:]
        takes = getattr(classifier, "n_features_in_", None)
        if takes in {None, height * width}:
            return dataset
        _log.warning(
            "The model of run %s is kept without its input and a probe: it takes rows of %s numbers, and images of %s "
            "have %s.", self.id, takes, dataset.name, height * width,
        )  # fmt: skip
        return None
