"""Bodies: bounded before anything of them is kept, on disk when they are large, and never a reason for 500."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("h11")

from emulator import runs_client as runs
from emulator.conftest import Client
from mnistkit.emulator import AzureMLEmulator
from mnistkit.errors import StorageError


def peak() -> int:
    """The most memory, in bytes, that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def send_head(client: Client, path: str, size: int, token: str) -> socket.socket:
    """A connection on which a request's head was sent, with the length of a body."""
    port = int(client.emulator.workspace.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def status(connection: socket.socket) -> int:
    """The status of the response that comes."""
    return int(connection.recv(65536).split()[1])


def test_no_large_body_without_a_token(client: Client) -> None:
    """A request without a good token is refused before its body is kept, whatever its length."""
    path = f"{runs.scope(client, 'history/v1.0')}/experiments:query"
    with send_head(client, path, 1 << 28, "wrong") as connection:
        before = peak()
        sent, part = 0, b"x" * (1 << 20)
        connection.settimeout(10)
        try:
            while sent < 1 << 28:
                connection.sendall(part)
                sent += len(part)
        except OSError:
            pass
        assert sent < 1 << 26, "the emulator has read it all"
        assert peak() - before < 1 << 26
    assert list((client.emulator._folder / "uploads").iterdir()) == []


def test_too_large_a_body(client: Client) -> None:
    """A body that is larger than any of its kind is refused by its length alone."""
    path = f"{runs.scope(client, 'history/v1.0')}/experiments:query"
    with send_head(client, path, 1 << 40, client.emulator.token()) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert status(connection) == 413


def test_a_large_upload_takes_no_memory(client: Client) -> None:
    """An upload of many megabytes goes to disk, arrives whole, and leaves nothing but the blob."""
    url = runs_artifact(client)
    content = os.urandom(1 << 20) * 24
    before = peak()
    answer = client.ask("PUT", url, body=content, token=None, headers={"x-ms-blob-type": "BlockBlob"})
    assert answer.status == 201
    assert peak() - before < 2 * len(content) // 3 + (8 << 20)
    assert client.ask("GET", url, token=None).data == content
    assert list((client.emulator._folder / "uploads").iterdir()) == []


def runs_artifact(client: Client) -> str:
    """A signed URL that may be written and read."""
    runs.make_run(client, "one")
    path = f"{runs.scope(client, 'artifact/v2.0')}/artifacts/write/ExperimentRun/dcid.one/outputs/x.bin"
    return str(runs.answer(client.ask("GET", path))["contentUri"])


@pytest.mark.parametrize(
    "body",
    [
        b'{"filter": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"filter": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"filter": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"filter": ["\\ud800"]}',
        b"\xff\xfe",
        b'{"top": ' + b"9" * 5000 + b"}",
    ],
)
def test_odd_json(client: Client, body: bytes) -> None:
    """Nesting without end, text that isn't text and numbers that aren't numbers are 400."""
    answer = client.ask("POST", f"{runs.scope(client, 'history/v1.0')}/experiments:query", body=body)
    assert answer.status == 400, answer.data


def test_odd_json_in_forms(client: Client) -> None:
    """What comes in a form is checked alike."""
    inner = b'{"Configuration": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="definition.json"\r\n\r\n'
    url = f"{runs.scope(client, 'execution/v1.0')}/experiments/digits/localrun?runId=one"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.ask("POST", url, body=head + inner + b"\r\n--x--\r\n", headers=headers)
    assert answer.status == 400, answer.data


_STARVED = """
import resource, socket, threading, time
from mnistkit.emulator import AzureMLEmulator

with AzureMLEmulator() as emulator:
    port = int(emulator.workspace.url.rpartition(":")[2])
    used = len(__import__("os").listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 41, used + 41))
    open_ones = []
    try:
        while len(open_ones) < 60:
            open_ones.append(socket.create_connection(("127.0.0.1", port), timeout=5))
    except OSError:
        pass
    open_ones.pop().close()
    time.sleep(0.3)
    begin = time.process_time()
    time.sleep(2)
    print("cpu", time.process_time() - begin)
    for each in open_ones:
        each.close()
    time.sleep(0.5)
    one = socket.create_connection(("127.0.0.1", port), timeout=5)
    one.sendall(b"GET /discovery HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n\\r\\n")
    print("answer", one.recv(20).split()[1].decode())
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_out_of_descriptors() -> None:
    """An emulator that can open no more files waits without taking the processor, and then goes on."""
    code = textwrap.dedent(_STARVED)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    words = done.stdout.split()
    assert words[2:] == ["answer", "200"], done.stderr[-2000:]
    assert float(words[1]) < 0.5


def test_five_hundred_clients(client: Client) -> None:
    """500 clients that connect at once are all answered."""
    port = int(client.emulator.workspace.url.rpartition(":")[2])
    path, token = f"{runs.scope(client, 'history/v1.0')}/experiments:query", client.emulator.token()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nAuthorization: Bearer {token}\r\n\r\n{{}}"
    statuses: list[int] = []
    barrier = threading.Barrier(501)

    def ask() -> None:
        barrier.wait(60)
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(head.encode())
            statuses.append(status(connection))

    threads = [threading.Thread(target=ask) for _ in range(500)]
    for thread in threads:
        thread.start()
    barrier.wait(60)
    start = time.monotonic()
    for thread in threads:
        thread.join(60)
    assert statuses == [200] * 500
    assert time.monotonic() - start < 30


def test_state_is_private(tmp_path: Path) -> None:
    """A folder that others may read is made private before anything is kept in it."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    with AzureMLEmulator(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_state_of_another_user(tmp_path: Path) -> None:
    """A folder that belongs to somebody else is refused."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, -1)
    with pytest.raises(StorageError, match="another user"):
        AzureMLEmulator(folder).start()
    assert list(folder.iterdir()) == []
