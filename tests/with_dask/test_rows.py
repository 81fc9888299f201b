"""One model fitted on rows that lie on the workers: the same as in one process, also when workers are lost."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from distributed import Client

from mnistkit.dask import DaskRows, evaluate_rows, hosts
from mnistkit.data.idx import encode_idx, write_idx
from mnistkit.errors import DataFormatError, NotFoundError, ServiceError, UsageError
from mnistkit.estimators import AccurateClassifier, ArrayRows, FastLogisticRegression, NystroemRidgeClassifier, accurate
from mnistkit.estimators.objectives import Multinomial
from mnistkit.estimators.passes import Problem, passes_over
from support.dask_clusters import DaskCluster, dask_cluster
from support.subprocesses import python_path

N = 13_000


@pytest.fixture(scope="module")
def data() -> Any:
    """Images of four classes, more than a preconditioner draws, so that they are solved in stages; and their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, N).astype(np.uint8)
    classes = rng.integers(0, 256, (4, 8, 9))
    return (classes[labels] * 0.3 + rng.integers(0, 180, (N, 8, 9))).astype(np.uint8), labels


@pytest.fixture(scope="module")
def client(cluster: DaskCluster) -> Iterator[Client]:
    """A client of a cluster with two workers."""
    with Client(cluster.address, set_as_default=False) as found:
        found.wait_for_workers(2, timeout=60)
        yield found


def model(**options: Any) -> FastLogisticRegression:
    """A classifier that is fitted to rows."""
    return FastLogisticRegression(**{"random_state": 0, "tol": 1e-5} | options)


def here(data: Any, **options: Any) -> FastLogisticRegression:
    """The classifier that one process fits."""
    return model(**options).fit(ArrayRows(data[0], scale=1 / 255), data[1])


def assert_same(fitted: FastLogisticRegression, other: FastLogisticRegression) -> None:
    """Coefficients and the objective are equal to the last bit."""
    np.testing.assert_array_equal(fitted.coef_, other.coef_)
    np.testing.assert_array_equal(fitted.intercept_, other.intercept_)
    assert fitted.objective_ == other.objective_
    assert fitted.n_iter_ == other.n_iter_


def cut(data: Any) -> list[Any]:
    """Where parts begin and end: neither where workers' shares do, nor blocks."""
    bounds = [0, 1, 4000, 4000, 12_345, N]
    return [tuple(array[a:b] for array in data) for a, b in pairwise(bounds)]


def arrays(data: Any, _: Path) -> list[Any]:
    """The parts as arrays."""
    return cut(data)


def plain_files(data: Any, folder: Path) -> list[Any]:
    """The parts as IDX files, with labels in files and in arrays."""
    parts = []
    for number, (images, labels) in enumerate(cut(data)):
        write_idx(folder / f"images-{number}", images)
        write_idx(folder / f"labels-{number}", labels)
        parts.append((folder / f"images-{number}", labels if number % 2 else folder / f"labels-{number}"))
    return parts


def packed_files(data: Any, folder: Path) -> list[Any]:
    """The parts as packed files."""
    for number, (images, _) in enumerate(cut(data)):
        (folder / f"images-{number}.gz").write_bytes(gzip.compress(encode_idx(images), 1))
    return [(str(folder / f"images-{number}.gz"), labels) for number, (_, labels) in enumerate(cut(data))]


def functions(data: Any, _: Path) -> list[Any]:
    """The parts as functions, which travel to the workers."""
    parts = cut(data)

    def make(number: int) -> Any:
        return parts[number]

    return [partial(make, number) for number in range(len(parts))]


@pytest.fixture(scope="module")
def fitted(data: Any) -> FastLogisticRegression:
    """The classifier with default options that one process fits."""
    return here(data)


@pytest.mark.parametrize(
    ("parts", "in_memory"),
    [(arrays, False), (plain_files, True), (plain_files, False), (packed_files, True), (functions, False)],
)
def test_wherever_rows_come_from(
    data: Any, fitted: FastLogisticRegression, client: Client, tmp_path: Path, parts: Any, in_memory: bool
) -> None:
    """Rows, labels and the fitted model are those of one array, however the parts are given and held."""
    with DaskRows(client, parts(data, tmp_path), in_memory=in_memory) as rows:
        assert (rows.n_rows, rows.n_columns, rows.image_shape, rows.scale) == (N, 72, (8, 9), 1 / 255)
        np.testing.assert_array_equal(rows.labels, data[1])
        numbers = np.random.default_rng(0).integers(0, N, 100)
        np.testing.assert_array_equal(rows.take(numbers), data[0].reshape(N, -1)[numbers])
        block = rows.block(3990, 4010, np.empty((20, 72), np.float32))
        np.testing.assert_array_equal(block, data[0].reshape(N, -1)[3990:4010])
        assert_same(model().fit(rows, rows.labels), fitted)


@pytest.mark.parametrize(
    "options", [{"objective": "ovr"}, {"class_weight": "balanced", "fit_intercept": False}, {"C": 100.0}]
)
def test_every_option_gives_the_same_model(data: Any, client: Client, options: dict[str, Any]) -> None:
    """Objectives, weights and seeds give what one process gives; two fits of the same rows load them once."""
    with DaskRows(client, [data]) as rows:
        assert_same(model(**options).fit(rows, data[1]), here(data, **options))
        other = {"random_state": 7, "tol": 1e-3} | options
        assert_same(model(**other).fit(rows, data[1]), here(data, **other))
        two = np.where(data[1] > 1, "high", "low")
        assert_same(model(**options).fit(rows, two), here((data[0], two), **options))


def test_a_pass_is_one_round_trip(data: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done to fields between two passes travels with the second one."""
    problem = Problem(
        rows=ArrayRows(data[0]), labels=data[1], weights=None, objective=Multinomial(), columns=4, penalty=1.0,
        intercept=True, intercept_penalty=0.0,
    )  # fmt: skip
    calls: list[int] = []
    call = hosts.Hosts.call
    monkeypatch.setattr(hosts.Hosts, "call", lambda self, given: calls.append(len(given)) or call(self, given))
    products = []
    with DaskRows(client, [data], scale=1.0) as rows:
        for each in (problem, evolve(problem, rows=rows)):
            passes = passes_over(each, lambda work, n: [work(i) for i in range(n)])
            D, by = np.linspace(-1e-4, 1e-4, 73 * 4).reshape(73, 4), np.array([1, 2, -1, 0.5], np.float32)
            P, Z, XD = passes.field(), passes.margins(D), passes.field()
            passes.value(Z, D, P)
            del calls[:]
            first = passes.hessian_times(P, D, XD)
            XD *= by
            Z += XD
            other = Z * by
            other += XD
            products.append([first, passes.hessian_times(P, D * 2, XD), passes.value(other, D, P)])
        assert calls == [2, 2, 2]  # workers
        passes.close()
    for ours, theirs in zip(*products, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_give_the_same_model(data: Any, client: Client, dtype: type) -> None:
    """Rows of floats, few enough to draw them all, and a path of regularization rates."""
    X, y = (data[0][:2500].reshape(2500, -1) / 255).astype(dtype), data[1][:2500]
    with DaskRows(client, [X[:2000], X[2000:]], threads=2) as rows:
        assert rows.dtype == dtype
        for ours, theirs in zip(model().path(rows, y, [0.1, 1]), model().path(X, y, [0.1, 1]), strict=True):
            np.testing.assert_array_equal(ours.coef_, theirs.coef_)


def test_kernel_ridge_is_the_same_to_rounding(data: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same landmarks are selected, and scores differ in their last bits, as sums of workers are added."""
    monkeypatch.setattr(accurate, "_MAX_CACHED_BYTES", 0)  # features are computed in the same blocks, as of large data
    few = tuple(array[:4500] for array in data)
    images = ArrayRows(few[0], scale=1 / 255)
    with DaskRows(client, cut(few)) as rows:
        for make in (
            partial(NystroemRidgeClassifier, 60, random_state=0),
            partial(AccurateClassifier, n_landmarks=60, cells=3, random_state=0),
        ):
            ours, theirs = make().fit(rows, rows.labels), make().fit(images, few[1])
            one, other = (getattr(each, "classifier_", each) for each in (ours, theirs))
            np.testing.assert_array_equal(one.landmarks_, other.landmarks_)
            assert one.temperature_ == pytest.approx(other.temperature_, rel=1e-3)
            np.testing.assert_allclose(ours.decision_function(images), theirs.decision_function(images), atol=1e-3)
            np.testing.assert_allclose(ours.predict_proba(rows), ours.predict_proba(images), atol=1e-5)


def test_lost_workers_change_nothing(
    data: Any, fitted: FastLogisticRegression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that are killed between passes and during one leave the same model; so does one that joins."""
    monkeypatch.setattr(hosts, "_WORKER_SECONDS", 0.5)
    with dask_cluster(tmp_path / "cluster", workers=3) as fragile, Client(fragile.address, set_as_default=False) as own:
        own.wait_for_workers(3, timeout=60)
        killed: list[int] = []

        def kill(iteration: int, *_: float) -> None:
            if iteration == 1 and not killed:
                killed.append(fragile.alive[0].pid)
                fragile.kill(fragile.alive[0])
                threading.Timer(0.02, lambda: fragile.kill(fragile.alive[0])).start()

        with DaskRows(own, functions(data, tmp_path), in_memory=False) as rows:
            assert_same(model(callback=kill).fit(rows, rows.labels), fitted)
            assert killed
            assert len(fragile.alive) == 1
            fragile.add_worker()
            own.wait_for_workers(2, timeout=60)
            np.testing.assert_array_equal(rows.take(np.arange(N)), data[0].reshape(N, -1))
            assert_same(model().fit(rows, rows.labels), fitted)
            for worker in fragile.alive:
                fragile.kill(worker)
            with pytest.raises(ServiceError, match="no worker"):
                model().fit(rows, rows.labels)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_workers_are_lost_at_random(data: Any, fitted: FastLogisticRegression, tmp_path: Path) -> None:
    """Whenever a worker is killed, while rows are made, fitted or read, all results are the same."""
    chosen = random.Random(0)
    with dask_cluster(tmp_path / "cluster") as fragile, Client(fragile.address, set_as_default=False) as own:
        own.wait_for_workers(2, timeout=60)
        for number in range(20):
            timer = threading.Timer(chosen.uniform(0, 2), lambda: fragile.kill(chosen.choice(fragile.alive)))
            timer.start()
            with DaskRows(own, functions(data, tmp_path), in_memory=number % 2 == 0) as rows:
                for _ in range(2):
                    assert_same(model().fit(rows, rows.labels), fitted)
                    np.testing.assert_array_equal(rows.take(np.arange(N)), data[0].reshape(N, -1))
                    scores = evaluate_rows(fitted, rows)
                    assert scores.accuracy == np.mean(fitted.predict(data[0].reshape(N, -1) / 255) == data[1])
            timer.join()
            fragile.add_worker()
            own.wait_for_workers(2, timeout=60)
        until(lambda: held(own) == [])


def test_no_worker_is_an_error(data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a worker there is a typed error with the address, and the same once the scheduler is gone."""
    monkeypatch.setattr(hosts, "_WORKER_SECONDS", 0.2)
    with dask_cluster(tmp_path / "cluster", workers=0) as empty, Client(empty.address, set_as_default=False) as own:
        with pytest.raises(ServiceError, match=f"{empty.address} has no worker"):
            DaskRows(own, [data])
        own.close()
        with pytest.raises(ServiceError, match="is lost"):
            DaskRows(own, [data])


def test_a_worker_that_cannot_hold_rows_is_named(data: Any, tmp_path: Path) -> None:
    """A worker on which the library can't be imported is an error that names it, not one that is lost."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "threadpoolctl.py").write_text("raise ImportError('threadpoolctl is broken')")
    with dask_cluster(tmp_path / "cluster", workers=0) as fragile, Client(fragile.address, set_as_default=False) as own:
        fragile.add_worker({"PYTHONPATH": f"{site}{os.pathsep}{python_path()}"})
        own.wait_for_workers(1, timeout=60)
        with pytest.raises(ServiceError, match=r"can't hold rows: .*is broken"):
            DaskRows(own, functions(data, tmp_path))


def held(client: Client) -> list[int]:
    """How many shards each host of a worker has, and how many folders of rows the workers have."""

    def look(dask_worker: Any) -> list[int]:
        from pathlib import Path

        actors = [len(actor._shards) for actor in dask_worker.state.actors.values()]
        return [*actors, *(0 for _ in Path(dask_worker.local_directory).glob("mnistkit/rows-*"))]

    return [count for counts in client.run(look).values() for count in counts]


def until(condition: Any) -> None:
    """Wait."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_an_interrupted_fit_leaves_nothing(data: Any, fitted: FastLogisticRegression, client: Client) -> None:
    """Ctrl-C in a fit frees what the workers held for it; the rows serve the next one, until they are closed."""

    def interrupt(iteration: int, *_: float) -> None:
        if iteration == 1:
            raise KeyboardInterrupt

    with DaskRows(client, [data]) as rows:
        with pytest.raises(KeyboardInterrupt):
            model(callback=interrupt).fit(rows, rows.labels)
        until(lambda: held(client) == [0, 0])
        assert_same(model().fit(rows, rows.labels), fitted)
    until(lambda: held(client) == [])
    with pytest.raises(UsageError, match="were closed"):
        rows.take(np.arange(3))


PROGRAM = (
    "import sys, numpy as np\nfrom distributed import Client\nfrom mnistkit.dask import DaskRows\n"
    "from mnistkit.estimators import FastLogisticRegression\n"
    "rng = np.random.default_rng(0)\n"
    "X, y = rng.integers(0, 256, (20000, 60), dtype=np.uint8), rng.integers(0, 5, 20000)\n"
    "rows = DaskRows(Client(sys.argv[1]), [X], in_memory=False)\n"
    "model = FastLogisticRegression(callback=lambda *_: print('step', flush=True))\n"
    "while True:\n    model.fit(rows, y)\n"
)


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_an_ended_program_leaves_nothing(cluster: DaskCluster, client: Client, way: signal.Signals) -> None:
    """A program that is interrupted, or killed, in a fit leaves no rows on the workers, in memory or in files."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, cluster.address],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": python_path()},
    )  # fmt: skip
    assert program.stdout is not None
    with program.stdout as stream:
        stream.readline()
        assert len(held(client)) == 4
        program.send_signal(way)
        program.wait(30)
    until(lambda: held(client) == [])


def test_bad_parts_are_named(data: Any, client: Client, tmp_path: Path) -> None:
    """What isn't a part, can't be read, or doesn't fit the others is refused, with its number."""

    def fails() -> Any:
        raise RuntimeError("the part is broken")

    images, labels = data
    for parts, words in (([], "no parts"), ("images", "a list of parts"), ([3], "got int")):
        with pytest.raises(UsageError, match=words):
            DaskRows(client, parts)
    with pytest.raises(UsageError, match="threads=0"):
        DaskRows(client, [images], threads=0)
    for parts, words in (
        ([images[:5], images[:5, 1:]], "Part 1"),
        ([images[:5].astype(int)], "int64"),
        ([(images[:5], labels[:4])], r"labels of shape \(4,\)"),
        ([images[:0]], "no row"),
        ([lambda: images[:5], lambda: "text"], "Part 1"),
    ):
        with pytest.raises(DataFormatError, match=words):
            DaskRows(client, parts)
    with pytest.raises(RuntimeError, match="broken"):
        DaskRows(client, [fails])
    for part in (tmp_path / "nowhere", (tmp_path / "nowhere.gz", labels), (tmp_path / "nowhere", tmp_path / "labels")):
        with pytest.raises(NotFoundError, match=r"Part 1: .*(nowhere|labels)"):
            DaskRows(client, [images[:9], part])
    with DaskRows(client, [(images[:9], labels[:9]), images[:9]]) as rows, pytest.raises(UsageError, match="Part 1"):
        _ = rows.labels
    with pytest.raises(UsageError, match="in_memory=True"), DaskRows(client, [images / 255], in_memory=False) as rows:
        model().fit(rows, labels)
