"""Options of a Dask backend: refused before anything is fetched, or kept."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from attrs import define

from mnistkit.dask import DaskCompute
from mnistkit.data import ArraySource, Dataset, DigitsSource, FolderSource
from mnistkit.errors import ServiceError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import DATA_FOLDER, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.plugins import compute_backend
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from support.dask_clusters import DaskCluster, dask_cluster

DEADLINE = 60.0
JOB = TrainingJob(model=ModelSpec("sklearn.linear_model.LogisticRegression", {"tol": 0.01}))


@define
class Unfetched(DataSource):
    """A source that must not be fetched."""

    bytes: int = 0

    @property
    def uri(self) -> str:
        """No uri of a source that is known elsewhere."""
        return "unfetched"

    def size(self) -> int:
        """As given."""
        return self.bytes

    def fetch(self, into: Path) -> Path:
        """Fail the test."""
        raise AssertionError(f"it was fetched into {into}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"client": object(), "address": "tcp://127.0.0.1:1"}, "client"),
        ({"workers": 0}, "workers=0"),
        ({"parallel": 0}, "parallel=0"),
        ({"workers": 2, "address": "tcp://127.0.0.1:1"}, "workers=2"),
        ({"data": "carried"}, "carried"),
        ({"versions": "newest"}, "newest"),
        ({"security": {"tls_ca": "x"}, "address": "tls://127.0.0.1:1"}, "tls_ca"),
    ],
)
def test_options_that_cant_be_right(tmp_path: Path, options: Mapping[str, object], message: str) -> None:
    """An option that contradicts another one, or can't be right, is a `UsageError`; nothing is created."""
    with pytest.raises(UsageError, match=message):
        compute_backend("dask", tmp_path / "home", options)
    assert not (tmp_path / "home").exists()


def test_what_cant_be_submitted(tmp_path: Path, cluster: DaskCluster) -> None:
    """``detach`` without an address, data over the limit and data that workers can't have: before it is fetched."""
    here, there = DaskCompute(tmp_path / "home"), DaskCompute(tmp_path / "home", address=cluster.address)
    with pytest.raises(UsageError, match="address"):
        here.submit(JOB, Unfetched(), detach=True)
    with pytest.raises(UsageError, match="data='shared'"):
        there.submit(JOB, Unfetched(1 << 30))
    fetching = DaskCompute(tmp_path / "home", address=cluster.address, data="fetch")
    with pytest.raises(UsageError, match="unfetched"):
        fetching.submit(JOB, Unfetched())
    assert there.runs() == ()
    assert not (tmp_path / "home").exists()
    for backend in (here, there, fetching):
        backend.close()


def test_a_folder_has_its_size(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """A folder's and an array's sizes are those of their files and arrays."""
    folder = tiny_mnist.fetch(tmp_path / "data")
    files = [path for path in folder.rglob("*ubyte*") if path.is_file()]
    assert FolderSource(folder).size() == sum(path.stat().st_size for path in files)
    dataset = Dataset.from_folder(folder)
    assert ArraySource.of(dataset).size() == sum(
        array.nbytes for s in (dataset.train, dataset.test) for array in (s.images, s.labels)
    )


def test_nobody_listens(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """An address where nothing listens is a typed error within 10 seconds that names it; no run is left."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{unused.getsockname()[1]}"
    backend = DaskCompute(tmp_path / "home", address=address)
    began = time.monotonic()
    with pytest.raises(ServiceError, match=address):
        backend.submit(JOB, tiny_mnist)
    assert time.monotonic() - began < 10
    assert backend.runs() == ()


def test_without_an_address(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """Without a client or an address, the workers are in this process; ``parallel`` runs go at a time."""
    backend = compute_backend("dask", tmp_path / "home", {"parallel": 1})
    runs = [Run(backend, backend.submit(JOB, tiny_mnist)) for _ in range(3)]
    assert [run.wait(DEADLINE).state for run in runs] == [RunState.COMPLETED] * 3
    starts = sorted((run.record.started_at, run.record.finished_at) for run in runs)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(starts))  # type: ignore[operator]
    backend.close()  # type: ignore[attr-defined]


def test_a_client_is_taken(tmp_path: Path, cluster: DaskCluster, tiny_mnist: DataSource) -> None:
    """The caller's client is used, and stays open."""
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        backend = DaskCompute(tmp_path / "home", client=client, parallel=1)
        runs = [Run(backend, backend.submit(JOB, tiny_mnist)) for _ in range(2)]
        assert [run.wait(DEADLINE).state for run in runs] == [RunState.COMPLETED] * 2
        assert "127.0.0.1" in runs[0].record.host
        with pytest.raises(UsageError, match="parallel"):
            backend.submit(JOB, tiny_mnist, detach=True)
        backend.close()
        assert client.status == "running"


def test_shared_data(tmp_path: Path, cluster: DaskCluster) -> None:
    """``data="shared"`` puts the data into a home that workers see; one that they don't is refused."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text("import sys\nprint(sys.argv[1])\n")
    backend = DaskCompute(tmp_path / "home", address=cluster.address, data="shared")
    run = Run(backend, backend.submit(ScriptJob(str(folder), arguments=(DATA_FOLDER,)), DigitsSource())).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    assert run.logs().startswith(str(tmp_path / "home" / "datasets"))
    backend.close()


def test_a_home_that_workers_dont_see(tmp_path: Path, tiny_mnist: DataSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home below ``/proc/self`` is another one for each process, as one on a disk of its own is for each machine."""
    with dask_cluster(tmp_path / "cluster", workers=1) as own:
        descriptor = (tmp_path / "home").parent
        backend = DaskCompute(f"/proc/self/cwd/{tmp_path.name}-home", address=own.address, data="shared")
        monkeypatch.chdir(descriptor)
        while not backend._connection.workers():
            time.sleep(0.05)
        with pytest.raises(UsageError, match="can't see"):
            backend.submit(JOB, Unfetched())
        assert backend.runs() == ()
        backend.close()


def test_fetched_data(tmp_path: Path) -> None:
    """``data="fetch"`` lets workers fetch by the uri, into a cache of theirs."""
    backend = DaskCompute(tmp_path / "home", data="fetch", parallel=1)
    run = Run(backend, backend.submit(JOB, DigitsSource())).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    backend.close()


def test_data_is_sent_once(tmp_path: Path, cluster: DaskCluster) -> None:
    """Runs on one content share one sent copy, whatever it is called; another content is another one."""
    backend = DaskCompute(tmp_path / "home", address=cluster.address)
    images = np.random.default_rng(0).integers(0, 255, (40, 4, 4), dtype=np.uint8)
    sources = [ArraySource.of(Dataset.from_arrays(images, np.arange(40) % k)) for k in (2, 2, 4)]
    shipments = [backend._shipping.shipment(source) for source in sources]
    assert shipments[0] is shipments[1]
    assert shipments[0].digest != shipments[2].digest
    backend.close()


def test_without_tls_it_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An address beyond this machine without TLS is warned of, once, with the option; loopback and TLS aren't."""
    with caplog.at_level(logging.WARNING):
        for address in ("tcp://127.0.0.1:1", "tls://192.0.2.1:8786", "192.0.2.7:8786", "192.0.2.7:8786"):
            DaskCompute(tmp_path / "home", address=address)
    (record,) = caplog.records
    assert "192.0.2.7:8786" in record.getMessage()
    assert "security=" in record.getMessage()


def test_tls(tmp_path: Path, tiny_mnist: DataSource) -> None:
    """With a certificate a run completes over TLS; without one the scheduler doesn't let a client in."""
    files = _certificate(tmp_path)
    options = tuple(f"--tls-{name}={path}" for name, path in files.items())
    with dask_cluster(tmp_path / "cluster", workers=1, options=options, protocol="tls") as secured:
        assert secured.address.startswith("tls://")
        security = {
            "tls_ca_file": str(files["ca-file"]),
            "tls_client_cert": str(files["cert"]),
            "tls_client_key": str(files["key"]),
        }
        backend = compute_backend("dask", tmp_path / "home", {"address": secured.address, "security": security})
        run = Run(backend, backend.submit(JOB, tiny_mnist)).wait(DEADLINE)
        assert run.state is RunState.COMPLETED, run.error
        backend.close()  # type: ignore[attr-defined]
        with pytest.raises((ServiceError, UsageError)):
            DaskCompute(tmp_path / "home", address=secured.address).submit(JOB, tiny_mnist)


def test_the_room_shadows_nothing() -> None:
    """``mnistkit.dask`` and the package ``dask`` are two things."""
    code = "import mnistkit.dask, dask; assert 'mnistkit' not in dask.__file__; dask.config.get('distributed', None)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _certificate(folder: Path) -> dict[str, Path]:
    """A certificate that is its own authority, for 127.0.0.1."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mnistkit test")])
    now = dt.datetime.now(dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = folder / "key.pem"
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return {"ca-file": pem, "cert": pem, "key": secret}
