"""Lists of model versions that a notebook shows as a table."""

from __future__ import annotations

from collections.abc import Mapping

from mnistkit.registry.version import ModelVersion
from mnistkit.utils.markup import render
from mnistkit.utils.summary import Summary, SummaryTable
from mnistkit.utils.text import local_time

__all__ = ["VersionTable"]

_MAX_ROWS = 100
_MAX_METRICS = 6


class VersionTable(tuple[ModelVersion, ...]):
    """A tuple of model versions, which a notebook shows as a table."""

    __slots__ = ()

    def describe(self) -> Summary:
        """Return a row per version, at most 100: its metrics, data, run and time of registration."""
        names = list(dict.fromkeys(name for model in self for name in model.metrics))[:_MAX_METRICS]
        table = SummaryTable(
            title="Versions",
            columns=("model", *(f"{name}#" for name in names), "data", "format", "registered#", "run"),
            rows=[
                (model.id, *_values(model.metrics, names), _data(model), model.format,
                 local_time(model.created_at), model.run_id or "-")
                for model in self[:_MAX_ROWS]
            ],
        )  # fmt: skip
        more = f"The first {_MAX_ROWS} of {len(self)} versions." if len(self) > _MAX_ROWS else ""
        return Summary(title="Model versions", facts={"Versions": str(len(self))}, tables=(table,), note=more)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return render(self.describe())


def _values(metrics: Mapping[str, float], names: list[str]) -> list[float | None]:
    return [metrics.get(name) for name in names]


def _data(model: ModelVersion) -> str:
    return (model.input.dataset if model.input else "") or "-"
