"""Several processes for one job: how many, and the variables by which each finds the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from mnistkit.emulator.limits import NotEmulated
from mnistkit.emulator.routing import Refusal

__all__ = ["MAX_PROCESSES", "Distribution"]

MAX_PROCESSES = 4
_HOST = "127.0.0.1"
_FRAMEWORKS = frozenset({"python", "pytorch", "tensorflow"})
_MPI = frozenset({"openmpi", "intelmpi", "mpi"})
_TORCH = frozenset({"nccl", "gloo", "pytorch"})


@frozen(kw_only=True)
class Distribution:
    """The processes of one job, all of them on this machine.

    Attributes:
        kind: ``""`` for one process alone, ``"nodes"`` for one a node without a communicator, ``"mpi"``, ``"pytorch"``
            or ``"tensorflow"``.
        nodes: How many nodes of the cluster it occupies.
        per_node: How many processes each has.
        servers: How many of them are TensorFlow's parameter servers.
    """

    kind: str = ""
    nodes: int = 1
    per_node: int = 1
    servers: int = 0

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Distribution:
        """Read the part of a run configuration that distributes a job.

        Raises:
            Refusal: 400: it can't be read, or can't be had here.
        """
        framework = str(configuration.get("framework") or "Python")
        communicator = str(configuration.get("communicator") or "None").lower()
        if framework.lower() not in _FRAMEWORKS:
            raise NotEmulated("jobs", f"This emulator's jobs don't have the framework {framework}, only Python.")
        nodes = _count(configuration.get("nodeCount"), "nodeCount")
        if communicator in {"", "none"}:
            found = cls(kind="nodes" if nodes > 1 else "", nodes=nodes)
        elif communicator in _MPI:
            mpi = configuration.get("mpi") or {}
            nodes = max(nodes, _count(mpi.get("nodeCount"), "nodeCount"))
            per_node = _count(mpi.get("processCountPerNode"), "processCountPerNode")
            found = cls(kind="mpi", nodes=nodes, per_node=per_node)
        elif communicator in _TORCH:
            torch = configuration.get("pytorch") or {}
            nodes = max(nodes, _count(torch.get("nodeCount"), "nodeCount"))
            total = _count(torch.get("processCount") or nodes, "processCount")
            if total % nodes:
                raise Refusal(400, f"{total} processes can't be spread evenly over {nodes} nodes.")
            found = cls(kind="pytorch", nodes=nodes, per_node=total // nodes)
        elif communicator == "parameterserver":
            flow = configuration.get("tensorflow") or {}
            workers = _count(flow.get("workerCount"), "workerCount")
            servers = _count(flow.get("parameterServerCount") or 1, "parameterServerCount")
            found = cls(kind="tensorflow", nodes=workers, per_node=1, servers=servers)
        else:
            raise NotEmulated("jobs", f"This emulator's jobs don't have the communicator {communicator!r}.")
        if found.processes > MAX_PROCESSES:
            text = f"The job has {found.processes} processes; a job has {MAX_PROCESSES} at most here."
            raise NotEmulated("jobs", text)
        return found

    @property
    def processes(self) -> int:
        """The number of processes."""
        return self.nodes * self.per_node + self.servers

    def variables(self, port: int) -> list[dict[str, str]]:
        """Return the variables of each process, by its rank.

        Args:
            port: A free one on loopback; those after it are used by TensorFlow.
        """
        if not self.kind:
            return [{}]
        return [self._of(rank, port) for rank in range(self.processes)]

    def _of(self, rank: int, port: int) -> dict[str, str]:
        node, local = divmod(rank, self.per_node)
        size, address = str(self.processes), f"{_HOST}:{port}"
        found = {
            "AZ_BATCH_MASTER_NODE": address,
            "AZ_BATCHAI_MPI_MASTER_NODE": _HOST,
            "AZ_BATCH_NODE_LIST": ";".join([_HOST] * self.nodes),
            "AZ_BATCH_HOST_LIST": ",".join([_HOST] * self.nodes),
            "AZ_BATCH_IS_CURRENT_NODE_MASTER": str(rank == 0).lower(),
            "AZUREML_NODE_COUNT": str(self.nodes),
            "AZUREML_PROCESS_NAME": f"rank_{rank}",
        }
        if self.kind in {"mpi", "pytorch", "nodes"}:
            found |= {"MASTER_ADDR": _HOST, "MASTER_PORT": str(port), "NODE_RANK": str(node)}
        if self.kind == "mpi":
            found |= {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": size}
            found |= {"OMPI_COMM_WORLD_LOCAL_RANK": str(local), "OMPI_COMM_WORLD_LOCAL_SIZE": str(self.per_node)}
            found |= {"PMI_RANK": str(rank), "PMI_SIZE": size}
        if self.kind == "pytorch":
            found |= {"RANK": str(rank), "WORLD_SIZE": size, "LOCAL_RANK": str(local)}
        if self.kind == "tensorflow":
            found |= {"TF_CONFIG": json.dumps(self._tensorflow(rank, port))}
        return found

    def _tensorflow(self, rank: int, port: int) -> dict[str, Any]:
        workers = [f"{_HOST}:{port + number}" for number in range(self.nodes)]
        servers = [f"{_HOST}:{port + self.nodes + number}" for number in range(self.servers)]
        is_worker = rank < self.nodes
        task = {"type": "worker" if is_worker else "ps", "index": rank if is_worker else rank - self.nodes}
        return {"cluster": {"worker": workers, "ps": servers}, "task": task, "environment": "cloud"}


def _count(value: object, name: str) -> int:
    if value is None:
        return 1
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refusal(400, f"{name!r} is {value!r}: expected a whole number above 0.")
    return value
