"""The values that the local pages show, from a trainer."""

from __future__ import annotations

from attrs import define, field, frozen

from mnistkit import plugins
from mnistkit.errors import MnistkitError, NotFoundError, UsageError
from mnistkit.evaluation.run_comparison import compare_runs
from mnistkit.registry.promotion import promote, rollback
from mnistkit.registry.version import ModelRef
from mnistkit.reports.run import run_report
from mnistkit.runs.record import RunRecord
from mnistkit.runs.run import Run
from mnistkit.runs.table import RunTable
from mnistkit.trainer.trainer import Trainer
from mnistkit.ui.models import ModelView, model_view, model_views
from mnistkit.ui.samples import ClassSamples, class_samples
from mnistkit.ui.sweeps import SweepRow, sweep_rows
from mnistkit.utils.redaction import redacted
from mnistkit.utils.summary import Summary

__all__ = ["DatasetRow", "PageValues"]

_MAX_REPORTS = 4


@frozen
class DatasetRow:
    """A dataset in the list of them.

    Attributes:
        uri: Of the data.
        n: The number of runs on it.
        is_own: True if it is the configured one.
    """

    uri: str
    n: int
    is_own: bool


@define(eq=False)
class PageValues:
    """The values of the pages, of one trainer.

    Attributes:
        trainer: Whose runs, models and data are shown.
    """

    trainer: Trainer
    _reports: dict[str, tuple[RunRecord, str]] = field(factory=dict, init=False)

    def report(self, run_id: str) -> str:
        """Return the report of a run as HTML; that of an unchanged, finished run is kept.

        Raises:
            RunNotFoundError: No run has that id.
        """
        run = self.trainer.run(run_id)
        known = self._reports.get(run_id)
        if known is not None and known[0] == run.record:
            return known[1]
        html = run_report(run)
        if run.state.is_terminal:
            self._reports[run_id] = (run.record, html)
            while len(self._reports) > _MAX_REPORTS:
                self._reports.pop(next(iter(self._reports)))
        return html

    def sweeps(self) -> list[SweepRow]:
        """Return the sweeps, the newest first."""
        return sweep_rows(RunTable.of(self.trainer.compute).rows)

    def comparison(self, run_ids: list[str], *, predictions: bool) -> Summary:
        """Return what differs between runs.

        Raises:
            RunNotFoundError: No run has such an id.
            UsageError: There are fewer than two, or more than twenty.
        """
        runs = [Run(self.trainer.compute, self.trainer.compute.get(each)) for each in dict.fromkeys(run_ids)]
        return compare_runs(runs, predictions=predictions).describe()

    def models(self) -> list[ModelView]:
        """Return the registered models."""
        return model_views(self.trainer.models)

    def model(self, name: str) -> ModelView:
        """Return one of them.

        Raises:
            ModelNotFoundError: There is no such model.
        """
        return model_view(self.trainer.models, name)

    def promote(self, name: str, version: str, alias: str, reason: str) -> None:
        """Point an alias to a version.

        Raises:
            UsageError: The version is no number, or the alias breaks the naming rule.
            ModelNotFoundError: There is no such version.
        """
        if not version.isdecimal() or not alias:
            raise UsageError("Name a version by its number, and an alias such as champion.")
        promote(self.trainer.models, ModelRef(name, int(version)), alias, reason=reason)

    def roll_back(self, name: str, alias: str, reason: str) -> None:
        """Undo the last promotion of an alias.

        Raises:
            ModelNotFoundError: There is no such alias, or no version before the present one.
            UsageError: The last promotion has been undone.
        """
        rollback(self.trainer.models, name, alias, reason=reason)

    def datasets(self) -> list[DatasetRow]:
        """Return the configured dataset, and those that runs are on."""
        own = self.trainer.data.uri
        counts = {own: 0}
        for row in RunTable.of(self.trainer.compute).rows:
            counts[row.data] = counts.get(row.data, 0) + 1
        return [DatasetRow(uri, n, uri == own) for uri, n in counts.items() if uri]

    def dataset(self, uri: str) -> tuple[Summary, list[ClassSamples]]:
        """Return a dataset of `datasets`, and samples of each class; one that can't be loaded is a note.

        Raises:
            NotFoundError: It is none of them: an address alone can't make this program read any folder.
        """
        if uri not in {each.uri for each in self.datasets()}:
            raise NotFoundError(f"No run is on the data {uri!r:.200}, and it isn't the configured one.")
        try:
            found = self.trainer.dataset() if uri == self.trainer.data.uri else plugins.load_dataset(uri)
        except MnistkitError as error:
            return Summary(title=uri, note=redacted(str(error))), []
        return found.describe(), class_samples(found)
