"""Secrets of the environment and of the command line end up nowhere."""

from __future__ import annotations

import base64
import logging
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit import DATA_FOLDER, Environment, ScriptJob, Trainer
from mnistkit.data.web import WebSource
from mnistkit.data.web.catalog import PinnedFile, WebDataset
from mnistkit.errors import MnistkitError
from mnistkit.interfaces import ComputeBackend, DataSource
from mnistkit.jobs import provenance
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.record import RunState
from mnistkit.utils.files import FileInfo

Factory = Callable[[Path], ComputeBackend]

BACKENDS: dict[str, Factory] = {"in-process": InProcessCompute} | (
    {"process": ProcessCompute} if hasattr(os, "fork") else {}
)
"""What all of this must hold for, by name: makes a backend that keeps its runs below a folder."""

CANARIES = {
    "client secret": "CANARY-client~secret",
    "account key": "CANARYaccountKEY+/ab==",
    "sas": "CANARYsas%2Bsig%3D",
    "proxy": "CANARYproxyPASSWORD",
    "password": "CANARY option",
    "url": "CANARYurlPASSWORD",
    "variable": "CANARY-variable",
}
SCRIPT = """
import os, sys
meant_for_scripts = {"MNISTKIT_MIRROR", "HANDED_TOKEN"}
print({name: value for name, value in os.environ.items() if name not in meant_for_scripts})
sys.exit(int(sys.argv[1]))
"""
QUICK = {"max_iter": 20}


class _Nothing(BaseHTTPRequestHandler):
    """Answers everything with 404, as a mirror and as a proxy, and remembers who was let in."""

    asked: ClassVar[set[str]]

    def do_GET(self) -> None:
        for header in ("Authorization", "Proxy-Authorization"):
            if header in self.headers:
                self.asked.add(f"{self.command} with {header}")
        self.send_error(404)

    do_CONNECT = do_GET  # noqa: N815 - the protocol's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """A web server that has nothing."""
    _Nothing.asked = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Nothing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Secrets in the environment, where their owners put them, and on the command line; yields who was asked."""
    with serving() as host:
        connection = f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={CANARIES['account key']}"
        url = f"http://me:{CANARIES['url']}@{host}/data?sv=2024&sig={CANARIES['sas']}"
        monkeypatch.setenv("AZURE_CLIENT_SECRET", CANARIES["client secret"])
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
        monkeypatch.setenv("MNISTKIT_MIRROR", url)
        for variable in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("https_proxy", f"http://me:{CANARIES['proxy']}@{host}")
        line = ["train.py", "--password", CANARIES["password"], "--url", url, f"--storage={connection}"]
        monkeypatch.setattr(sys, "argv", [*line, CANARIES["client secret"]])
        yield _Nothing.asked


def unreachable() -> WebSource:
    """A dataset that no mirror has: one answers 404, the other is behind a proxy that does."""
    pinned = tuple(
        PinnedFile(f"{part}-{kind}-ubyte.gz", FileInfo(1000, "0" * 64))
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    )
    mirrors = (f"https://me:{CANARIES['url']}@localhost:9/mnist?sig={CANARIES['sas']}",)
    names = tuple("0123456789")
    return WebSource(WebDataset(name="nowhere", class_names=names, files=pinned, mirrors=mirrors, folder="nowhere"))


def everything(backend: ComputeBackend, data: DataSource, script: Path) -> list[object]:
    """Go through what users do, also what fails; returns every object that it met."""
    trainer = Trainer(data=data, compute=backend, models=Trainer.local().models)
    run = trainer.train(LogisticRegression(**QUICK))
    met: list[object] = [trainer, run, trainer.register(run, "m"), trainer.load("m"), trainer.dataset()]
    again = trainer.job(LogisticRegression(**QUICK))
    assert trainer.submit(again, reuse=True).id == run.id
    environment = Environment(variables={"HANDED_TOKEN": CANARIES["variable"]})
    jobs = [
        trainer.job(LogisticRegression(C=-1)),
        ScriptJob(str(script), "train.py", (0, DATA_FOLDER)),
        ScriptJob(str(script), "train.py", (3,)),
    ]
    met += [environment, trainer.explain(again), *(trainer.explain(job) for job in jobs)]
    lost = Trainer(data=unreachable(), compute=backend, models=trainer.models)
    runs = [trainer.submit(job).wait() for job in jobs] + [lost.submit(again).wait()]
    expected = [RunState.FAILED, RunState.COMPLETED, RunState.FAILED, RunState.FAILED]
    assert [each.state for each in runs] == expected, [each.error for each in runs]
    for failing in (lost.dataset, runs[0].raise_for_state, lambda: trainer.load("nothing"), lambda: trainer.run("no")):
        with pytest.raises(MnistkitError) as raised:
            failing()
        met.append(raised.value)
    runs.append(run)
    for each in runs:
        record = each.record
        met += [each, record, record.job, record.job.fingerprint, record.provenance, each.logs(), record.traceback]
    return met


def hits(folder: Path, texts: list[str], objects: list[object]) -> dict[str, str]:
    """Where a canary is found, as it is, base64 as in an authorization header, or quoted: by place."""
    needles: dict[bytes, str] = {}
    for name, value in CANARIES.items():
        # What precedes it in a header, "me:", has three bytes: the rest encodes as it does alone.
        encoded = base64.b64encode(value.encode())[: len(value) // 3 * 4]
        needles.update(dict.fromkeys((value.encode(), encoded, shlex.quote(value).encode()), name))
    places = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places.update({f"text {i}": text.encode() for i, text in enumerate(texts)})
    for thing in objects:
        places[f"repr of {type(thing).__name__} {id(thing)}"] = f"{thing!r} {thing}".encode()
    return {place: needles[needle] for place, content in places.items() for needle in needles if needle in content}


@pytest.fixture
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script that says what it sees of the planted secrets."""
    folder = tmp_path_factory.mktemp("script")
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_secrets_are_written_nowhere(
    *,
    backend: Factory,
    tiny_mnist: DataSource,
    tmp_path: Path,
    script: Path,
    planted: set[str],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No file, no output, no log line at DEBUG, and no text of an object has a planted secret, also after failures."""
    with caplog.at_level(logging.DEBUG):
        met = everything(backend(tmp_path / "home"), tiny_mnist, script)
    captured = capfd.readouterr()
    assert planted == {"GET with Authorization", "CONNECT with Proxy-Authorization"}, "nothing had a chance to leak"
    assert hits(tmp_path, [caplog.text, captured.out, captured.err], met) == {}


def _raw(arguments: list[str]) -> tuple[str, ...]:
    return tuple(arguments)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize(
    ("name", "naive"),
    [("redacted_arguments", _raw), ("library_versions", lambda: dict(os.environ))],
    ids=["raw command line", "whole environment"],
)
def test_the_search_finds_what_naive_records_leak(
    *,
    name: str,
    naive: Callable[..., object],
    tiny_mnist: DataSource,
    tmp_path: Path,
    script: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were the command line kept as it is, or the environment, the search would say so: in files and in objects."""
    monkeypatch.setattr(provenance, name, naive)
    found = hits(tmp_path, [], everything(InProcessCompute(tmp_path / "home"), tiny_mnist, script))
    assert {Path(place).name.split(" ")[0] for place in found} == {"record.json", "repr"}
