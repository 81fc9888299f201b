"""A HyperDrive configuration, read completely or refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from email.parser import BytesParser
from typing import Any

from attrs import frozen

from mnistkit.emulator.hyperparameters import configurations
from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.payloads import check_types, list_of
from mnistkit.emulator.routing import Refusal, Request, parse_json
from mnistkit.emulator.termination import Policy

__all__ = ["Sweep", "config_of"]

Points = Sequence[Mapping[str, Any]]
_MAX_JOBS, _MAX_CONCURRENT_JOBS, _MAX_MINUTES = 1000, 100, 43200
_CONFIG_KEYS = {
    "generator_config", "max_concurrent_jobs", "max_duration_minutes", "max_total_jobs", "platform", "platform_config",
    "policy_config", "primary_metric_config", "name", "user", "description", "debug_flag", "study_id", "resume_from",
}  # fmt: skip


@frozen(kw_only=True)
class Sweep:
    """A sweep, as its configuration describes it.

    Attributes:
        run_id: Of the parent run.
        experiment: The name of its experiment.
        points: The hyperparameters of each child.
        at_once: How many children run at the same time.
        seconds: How long all may take.
        policy: Which children are to be ended early.
        metric: The name of the primary metric.
        maximize: Whether more of it is better.
        configuration: The run configuration that the hyperparameters are added to.
        snapshot_id: The children's files.
        resume_from: The ids of finished sweeps, whose points are counted as tried.
    """

    run_id: str
    experiment: str
    points: Sequence[Mapping[str, Any]]
    at_once: int
    seconds: float
    policy: Policy
    metric: str
    maximize: bool
    configuration: Mapping[str, Any]
    snapshot_id: str | None
    resume_from: Sequence[str]

    @classmethod
    def of(
        cls, config: Mapping[str, Any], run_id: str, experiment: str, tried: Callable[[str], Points] = lambda _: ()
    ) -> Sweep:
        """Read a HyperDrive configuration.

        Args:
            config: The configuration.
            run_id: The id of the parent run.
            experiment: The name of its experiment.
            tried: Returns the points of an earlier sweep, by its run's id.

        Raises:
            Refusal: 400: it can't be understood, or asks for what isn't emulated.
        """
        unknown = sorted(key for key in config if config[key] is not None and key not in _CONFIG_KEYS)
        if unknown:
            raise NotEmulated("sweeps", f"The emulator's HyperDrive can't do {unknown}.")
        if config.get("platform") != "AML":
            raise NotEmulated(
                "sweeps", f"HyperDrive on the platform {config.get('platform')!r} isn't emulated, only on AML."
            )
        for name in ("generator_config", "policy_config", "primary_metric_config", "platform_config"):
            if not isinstance(config.get(name), dict):
                raise Refusal(400, f"The HyperDrive configuration lacks {name!r}.")
        definition = config["platform_config"].get("Definition")
        configuration = definition.get("Overrides") if isinstance(definition, dict) else None
        if not isinstance(configuration, dict) or not configuration.get("script") or configuration.get("command"):
            raise NotEmulated("sweeps", "HyperDrive is emulated for scripts: its run configuration has to name one.")
        check_types(configuration, script=str, arguments=list, target=str)
        check_types(definition, SnapshotId=str)
        metric = config["primary_metric_config"]
        check_types(metric, name=str, goal=str)
        if metric.get("goal") not in {"maximize", "minimize"} or not metric.get("name"):
            raise Refusal(400, f"The primary metric has to have a name and a goal, it is {metric!r}.")
        earlier = [_run_of(each) for each in list_of(config, "resume_from", dict)]
        known = [point for run in earlier for point in tried(run)]
        total = int(_limit(config, "max_total_jobs", _MAX_JOBS))
        return cls(
            run_id=run_id,
            experiment=experiment,
            points=configurations(config["generator_config"], total, known),
            at_once=int(_limit(config, "max_concurrent_jobs", _MAX_CONCURRENT_JOBS)),
            seconds=60.0 * _limit(config, "max_duration_minutes", _MAX_MINUTES),
            policy=Policy.of(config["policy_config"]),
            metric=metric["name"],
            maximize=metric["goal"] == "maximize",
            configuration=configuration,
            snapshot_id=definition.get("SnapshotId"),
            resume_from=earlier,
        )


def config_of(request: Request) -> dict[str, Any]:
    """Return the JSON file ``config`` in a multipart form.

    Raises:
        Refusal: 400: there is none.
    """
    kind = request.headers.get("content-type", "")
    form = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + request.body)
    for part in form.walk() if form.is_multipart() else []:
        if part.get_param("name", header="content-disposition") == "config":
            content = part.get_payload(decode=True)
            config = parse_json(content if isinstance(content, bytes) else b"", "The HyperDrive configuration")
            if isinstance(config, dict):
                return config
    raise Refusal(400, "The form has no part 'config' that is a JSON object.")


def _run_of(key: Mapping[str, Any]) -> str:
    if not isinstance(key.get("run_id"), str):
        raise Refusal(400, f"{key!r} isn't the key of a run.")
    return str(key["run_id"])


def _limit(config: Mapping[str, Any], name: str, most: int) -> float:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise Refusal(400, f"{name} has to be a number above 0, it is {value!r}.")
    if value > most:
        raise Refusal(400, f"{name} is at most {most}, it is {value}.")
    return value
