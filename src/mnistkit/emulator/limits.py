"""The limits of the emulator: one table, and the refusal of a request that goes beyond them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from mnistkit.emulator.routing import Refusal

__all__ = ["LIMITS", "Limit", "NotEmulated", "limits_table"]


@frozen
class Limit:
    """A limit of the emulator, as the documentation shows it.

    Attributes:
        missing: The parts of Azure that aren't emulated.
        instead: The way around it.
    """

    missing: str
    instead: str


LIMITS: Mapping[str, Limit] = {
    "services": Limit(
        "AutoML, Databricks, Synapse, Kubernetes, registries",
        "-",
    ),
    "pipelines": Limit(
        "Pipelines of the SDK v1: steps other than `PythonScriptStep`, `CommandStep` and `HyperDriveStep`; "
        "modules and drafts; plain files that are parsed between steps; runs that a schedule starts",
        "these three; `published.submit(...)` in place of a schedule's time",
    ),
    "compute": Limit(
        "Compute other than clusters and instances, and changes of a cluster beyond its scale", "a cluster, or `local`"
    ),
    "jobs": Limit(
        "Spark and R jobs, data caches, more processes than 4",
        "datasets as inputs; up to 4 nodes or processes",
    ),
    "schedules": Limit("Schedules that become due, and those that monitor or import", "`schedules.trigger(name)`"),
    "sweeps": Limit("Bayesian sampling; with the SDK v1, sweeps of commands", "random or grid sampling"),
    "web services": Limit(
        "Kubernetes, local containers, containers of one's own, TLS and virtual networks of services, data collection",
        "`AciWebservice`, or a managed online endpoint with a scoring script or an MLflow model",
    ),
    "data": Limit(
        "Data of other storage accounts and of other hosts",
        "`--blob ACCOUNT/CONTAINER=FOLDER` or `--web HOST/PATH=FOLDER`",
    ),
    "datastores": Limit("File shares, data lakes and databases", "blob containers"),
    "datasets": Limit("Hashes of data, pending registrations", "-"),
    "storage": Limit("Copies, leases, tags, snapshots and page blobs", "uploads"),
    "environments": Limit("Images, and sections of a definition that aren't known here", "-"),
    "artifacts": Limit("Artifacts that are appended to by the artifact service", "the whole content at once"),
    "workspaces": Limit("Changes of a workspace, other resource groups, connections", "workspaces of the same group"),
}


class NotEmulated(Refusal):
    """A request goes beyond the emulator's limits; the emulator notes each, whatever the client does with the answer.

    Args:
        limit: A key of ``LIMITS``.
        message: What was requested, and the way around it.
        status: The HTTP status.
        headers: As for `Refusal`.
    """

    def __init__(
        self, limit: str, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        if limit not in LIMITS:
            raise KeyError(limit)
        super().__init__(status, message, code="NotEmulated", headers=headers)


def limits_table() -> str:
    """Return ``LIMITS`` as a table in Markdown."""
    rows = [f"| {limit.missing} | {limit.instead} |" for limit in LIMITS.values()]
    return "\n".join(["| isn't emulated | instead |", "|---|---|", *rows, ""])
