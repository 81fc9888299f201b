"""The one module that imports ``dask`` and ``distributed``: connections, messages, and errors translated."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnistkit.dask.addresses import warn_without_tls
from mnistkit.errors import MissingExtraError, ServiceError, ServiceTimeoutError, UsageError

try:
    import dask
    import distributed
    from distributed.comm import inproc
    from distributed.diagnostics.plugin import SchedulerPlugin
    from distributed.utils import sync
except ImportError as error:
    raise MissingExtraError(
        f"DaskCompute needs Dask, and {error.name} can't be imported: python -m pip install 'mnistkit[dask]'."
    ) from error

__all__ = ["Connection", "Node", "SchedulerPlugin", "can_travel", "current_node"]

_CONNECT_SECONDS = 5.0
_CALL_SECONDS = 10.0
_RESULT_SECONDS = 300.0
_SUBMIT_SECONDS = 60.0
_PAUSE_SECONDS = 0.005


class Connection:
    """A client of a scheduler: the caller's, one of an address, or one of workers in this process.

    It is made when it is first used. Every method raises a ServiceError that names the scheduler when it doesn't
    respond.
    """

    def __init__(self, client: Any, address: str | None, security: Any, workers: int, plugin: SchedulerPlugin) -> None:
        """Make one that connects later, and then registers a plugin by its ``name``.

        Raises:
            UsageError: ``security`` has an unknown option.
        """
        self._given = client
        self._address = address or (client.scheduler.address if client is not None else None)
        self._security = _security(security)
        self._workers = workers
        self._plugin = plugin
        self._client: Any = None
        self._clock: float | None = None
        self._lock = threading.RLock()
        if self._address is not None:
            warn_without_tls(self._address)

    @property
    def is_ours(self) -> bool:
        """True if the workers are this process's own, and end with it."""
        return self._address is None

    @property
    def outlives(self) -> bool:
        """True if the workers don't end with this process: it holds no object that started them."""
        return not self.is_ours and getattr(self._given, "cluster", None) is None

    @property
    def place(self) -> str:
        """The scheduler, for people."""
        return self._address or "this process"

    @property
    def is_open(self) -> bool:
        """True if it has connected."""
        return self._client is not None

    def client(self) -> Any:
        """Return the client, connected.

        Raises:
            ServiceError: Nothing responds at the address, or the client was closed.
        """
        with self._lock:
            if self._client is None:
                with self._translated():
                    client = self._connected()
                    client.register_plugin(self._plugin, name=self._plugin.name)
                self._client = client
            if self._client.status == "closed":
                raise ServiceError(f"The connection to the Dask scheduler at {self.place} is lost: make a new backend.")
            return self._client

    def is_lost(self) -> bool:
        """Return True if it had connected, and Dask has given up to connect again."""
        return self._client is not None and self._client.status in {"closed", "closing"}

    def scheduler_id(self) -> str:
        """Return the id that a scheduler has until it ends."""
        return str(self._call("identity", n_workers=0)["id"])

    def states(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the state of tasks; see `mnistkit.dask.plugin.RunsPlugin.states`."""
        found: dict[str, Any] = self._call("mnistkit_states", keys=list(keys))
        return found

    def end(self, key: str, run_id: str) -> dict[str, Any]:
        """Note that a run mustn't start any more; see `mnistkit.dask.plugin.RunsPlugin.end`."""
        found: dict[str, Any] = self._call("mnistkit_end", key=key, run_id=run_id)
        return found

    def count(self) -> dict[str, int]:
        """Return how many tasks of runs are queued and running."""
        found: dict[str, int] = self._call("mnistkit_count")
        return found

    def clock(self) -> float:
        """Return the scheduler's time in seconds since 1970."""
        return float(self._call("mnistkit_now"))

    def ship(self, key: str, data: bytes) -> Any:
        """Return the future of data that tasks can take: Dask sends it again when a worker is lost."""
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}), self._translated():
            return self.client().submit(bytes, data, key=key)

    def submit(self, key: str, function: Any, *arguments: Any) -> Any:
        """Return the future of a new task, once the scheduler has it: a submission isn't answered, a message is.

        Raises:
            ServiceError: It hasn't come there.
        """
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}), self._translated():
            future = self.client().submit(function, *arguments, key=key, pure=False)
        deadline = time.monotonic() + _SUBMIT_SECONDS
        while self.states([key])[key]["state"] == "gone":
            if future.status == "error":
                raise ServiceError(f"The Dask scheduler at {self.place} refused the task: {future.exception()}.")
            if time.monotonic() > deadline:
                raise ServiceTimeoutError(f"The Dask scheduler at {self.place} hasn't taken the task: is it busy?")
            time.sleep(_PAUSE_SECONDS)
        return future

    def publish(self, key: str, future: Any) -> None:
        """Let a task outlive this client, until `forget`."""
        with self._translated():
            self.client().publish_dataset(future, name=key)

    def forget(self, key: str) -> None:
        """Let Dask forget a published task, once no client holds it."""
        with self._translated():
            self.client().unpublish_dataset(key)

    def result(self, key: str, future: Any) -> Any:
        """Return the result of a task that is done, by its future or by its key if it is published.

        None if another client has collected it meanwhile, or the worker that has it was lost.
        """
        with self._translated():
            try:
                future = future if future is not None else self.client().get_dataset(key)
            except KeyError:
                return None
            with contextlib.suppress(distributed.client.CancelledError):
                return future.result(timeout=_RESULT_SECONDS)
            return None

    def call_worker(self, worker: str, op: str, **message: Any) -> Any:
        """Send a message to a worker and return what its handler returns; None if it is gone, or doesn't know it."""
        try:
            found = self._call(
                "broadcast", msg={"op": op, **message}, workers=[worker], on_error="return", serializers=None
            )
        except ServiceError:
            return None
        result = found.get(worker)
        return None if isinstance(result, (BaseException, str)) else result

    def visibility(self, path: str) -> dict[str, bool]:
        """Return whether there is a file or folder at ``path``, by worker."""
        with self._translated():
            return dict(self.client().run(os.path.exists, path))

    def workers(self) -> dict[str, Any]:
        """Return what the scheduler says of each worker, by address."""
        info: dict[str, Any] = self._call("identity", n_workers=-1)
        return dict(info["workers"])

    def versions(self) -> dict[str, dict[str, Any]]:
        """Return the versions of the libraries here, of the scheduler and of each worker, as Dask reports them."""
        with self._translated():
            found = self.client().get_versions(packages=["mnistkit", "numpy", "sklearn", "skops"])
        all_of_them = {"here": found["client"], "scheduler": found["scheduler"], **found["workers"]}
        return {name: dict(each["packages"]) for name, each in all_of_them.items()}

    def close(self) -> None:
        """Close what this made: the client, and workers in this process."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None and self._given is None:
            with contextlib.suppress(Exception):  # it is no use any more, whatever is wrong with it
                client.close(timeout=2)
                if self.is_ours:
                    client.cluster.close(timeout=5)

    def _connected(self) -> Any:
        if self._given is not None:
            return self._given
        if self._address is None:
            # In this process, without a port for messages, so that no other user can connect: a worker only starts
            # processes. Dask insists on pages that show its state; those are for this machine.
            logging.getLogger("distributed").setLevel(logging.WARNING)  # it reports each step, up to the exit
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                _ = inproc.global_manager.ip  # found once, and warned of where there is no network, which needn't be
            cluster = distributed.LocalCluster(
                n_workers=self._workers, threads_per_worker=1, processes=False, protocol="inproc://",
                dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0", silence_logs=False,
            )  # fmt: skip
            client = distributed.Client(cluster, set_as_default=False)
            client.cluster = cluster
            return client
        return distributed.Client(
            self._address, timeout=_CONNECT_SECONDS, set_as_default=False, security=self._security, name="mnistkit"
        )

    def _call(self, op: str, **message: Any) -> Any:
        client = self.client()
        with self._translated():
            return client.sync(getattr(client.scheduler, op), callback_timeout=_CALL_SECONDS, **message)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise what Dask raises as errors of mnistkit's."""
        try:
            yield
        except (TimeoutError, asyncio.TimeoutError) as error:  # before Python 3.11 they are two
            raise ServiceTimeoutError(
                f"No Dask scheduler responds at {self.place}: {error}. Is it running, and is the address right?"
            ) from error
        except (OSError, RuntimeError, TypeError, ValueError, distributed.client.CancelledError) as error:
            if isinstance(error, ServiceError):
                raise
            raise ServiceError(
                f"The Dask scheduler at {self.place} can't be used: {type(error).__name__}: {error}. It must be "
                "reachable, with the same versions of Dask and mnistkit as here."
            ) from error


class Node:
    """The worker that runs the present task: its folder, and messages to the scheduler."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self.address: str = worker.address
        self.folder: str = worker.local_directory
        self.threads: int = worker.state.nthreads
        self.host = f"{socket.gethostname()} ({worker.address})"

    @property
    def n_executing(self) -> int:
        """The number of tasks that run on this worker."""
        return max(int(self._worker.state.executing_count), 1)

    def send(self, op: str, **message: Any) -> Any:
        """Send a message to the scheduler and return its response."""
        return sync(self._worker.loop, getattr(self._worker.scheduler, op), callback_timeout=_CALL_SECONDS, **message)

    def serve(self, handlers: Mapping[str, Any]) -> None:
        """Let this worker take messages of clients; idempotent."""
        for op, handler in handlers.items():
            self._worker.handlers.setdefault(op, handler)


def current_node() -> Node:
    """Return the worker that runs the present task."""
    return Node(distributed.get_worker())


def can_travel(value: object) -> bool:
    """Return True if Dask can send an object to another process."""
    try:
        distributed.protocol.pickle.dumps(value)
    except Exception:  # noqa: BLE001 - of any class
        return False
    return True


def _security(given: Any) -> Any:
    """Return Dask's Security of a mapping, such as a table of ``mnistkit.toml``; what is one already as it is."""
    if not isinstance(given, Mapping):
        return given
    try:
        return distributed.Security(**{"require_encryption": True, **given})
    except TypeError as error:
        raise UsageError(f"security={dict(given)} isn't what Dask takes: {error}.") from error
