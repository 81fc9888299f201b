"""HyperDrive's early termination: the running children that a policy cancels."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import frozen

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_types
from mnistkit.emulator.routing import Refusal

__all__ = ["Policy"]

Series = Mapping[str, Sequence[float]]
_POLICY_PROPERTIES: Mapping[str, frozenset[str]] = {
    "default": frozenset(),
    "bandit": frozenset({"slack_factor", "slack_amount"}),
    "medianstopping": frozenset(),
    "truncationselection": frozenset({"truncation_percentage", "exclude_finished_jobs"}),
}


@frozen(kw_only=True)
class Policy:
    """An early termination policy, as Azure's documentation defines it.

    Attributes:
        name: ``default`` (none), ``bandit``, ``medianstopping`` or ``truncationselection``.
        interval: It is applied after each so many values of the primary metric that a run has logged.
        delay: Not before a run has logged so many.
        slack_factor: Bandit: the ratio to the best run that is forgiven.
        slack_amount: Bandit: or else the distance.
        truncation: Truncation selection: the percentage of runs that goes each time.
        only_running: Truncation selection: whether runs that are through aren't counted.
    """

    name: str
    interval: int = 1
    delay: int = 0
    slack_factor: float = 0.0
    slack_amount: float = 0.0
    truncation: int = 0
    only_running: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Policy:
        """Return the policy of a HyperDrive ``policy_config``.

        Raises:
            Refusal: 400: it can't be understood.
        """
        check_types(config, properties=dict)
        name, properties = str(config.get("name", "")).lower(), config.get("properties") or {}
        if name not in _POLICY_PROPERTIES:
            raise NotEmulated("sweeps", f"The termination policy {config.get('name')!r} isn't emulated.")
        unknown = sorted(set(properties) - {"evaluation_interval", "delay_evaluation"} - _POLICY_PROPERTIES[name])
        if unknown:
            raise Refusal(400, f"The termination policy {config['name']!r} has no {unknown}.")
        policy = cls(
            name=name,
            interval=_number(properties, "evaluation_interval", 1, int),
            delay=_number(properties, "delay_evaluation", 0, int),
            slack_factor=_number(properties, "slack_factor", 0.0),
            slack_amount=_number(properties, "slack_amount", 0.0),
            truncation=_number(properties, "truncation_percentage", 0, int),
            only_running=bool(properties.get("exclude_finished_jobs")),
        )
        if policy.interval < 1:
            raise Refusal(400, "The evaluation_interval of a termination policy is at least 1.")
        return policy

    def to_cancel(self, series: Series, running: Collection[str], *, maximize: bool) -> set[str]:
        """Return the running runs to cancel.

        Args:
            series: What each run has logged of the primary metric so far, in order.
            running: The running runs.
            maximize: Whether more is better.
        """
        if self.name == "default":
            return set()
        better = {run: [value if maximize else -value for value in values] for run, values in series.items()}
        return {run for run in running if self._is_to_cancel(run, better, running, maximize=maximize)}

    def _is_to_cancel(self, run: str, series: Series, running: Collection[str], *, maximize: bool) -> bool:
        moment = len(series.get(run, ())) // self.interval * self.interval
        if moment < max(1, self.delay):
            return False
        if self.name == "bandit":
            mine = max(series[run][:moment])
            best = max(max(values[:moment]) for values in series.values() if values)
            limit = best - self.slack_amount
            if self.slack_factor:
                limit = best / (1 + self.slack_factor) if maximize else best * (1 + self.slack_factor)
            return mine < limit
        reached = {name: values for name, values in series.items() if len(values) >= moment}
        if self.name == "medianstopping":
            averages = [statistics.fmean(values[:moment]) for values in reached.values()]
            return max(series[run][:moment]) < statistics.median(averages)
        compared = [name for name in reached if not self.only_running or name in running]
        worst = sorted(compared, key=lambda name: reached[name][moment - 1])
        return run in worst[: math.floor(len(compared) * self.truncation / 100)]


def _number(properties: Mapping[str, Any], name: str, default: Any, kind: type = float) -> Any:
    value = properties.get(name)
    if value is None:
        return default
    is_number = isinstance(value, (int, kind)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:
        raise Refusal(400, f"The {name} of a termination policy has to be a number that isn't negative, not {value!r}.")
    return value
