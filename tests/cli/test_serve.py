"""``mnistkit serve``: starts, follows, drains and ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mnistkit.trainer import Trainer

pytest.importorskip("flask", reason="the extra 'serve' isn't installed")

Program = Callable[..., Any]
Start = Callable[..., "subprocess.Popen[str]"]


def url_of(process: subprocess.Popen[str]) -> str:
    """The address that a server prints once it is ready."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    return str(json.loads("".join(lines))["url"])


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_with_0(trained: Trainer, start: Start, number: signal.Signals) -> None:
    """What is being answered when the signal comes is answered; then the exit code is 0, without a traceback."""
    process = start("serve", "sklearn_mnist", "--port", "0", "--json", "--workers", "1")
    url = url_of(process)
    row = trained.dataset().test.X()[:1].tolist()
    body = json.dumps({"data": row * 2000}).encode()  # some work for each
    statuses: list[int] = []

    headers = {"Content-Type": "application/json"}

    def request() -> None:
        statuses.append(urllib3.request("POST", f"{url}/score", body=body, headers=headers, retries=False).status)

    clients = [threading.Thread(target=request) for _ in range(4)]
    for client in clients:
        client.start()
    wait_until_counted(url)
    process.send_signal(number)
    for client in clients:
        client.join()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert statuses == [200] * 4
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5)


def wait_until_counted(url: str) -> None:
    """Wait until all requests have reached the server: they compute, wait, or are answered."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = urllib3.request("GET", f"{url}/metrics").data.decode().splitlines()
        waiting = next(int(line.split()[-1]) for line in lines if line.startswith("mnistkit_waiting_requests "))
        done = sum(int(line.split()[-1]) for line in lines if line.startswith('mnistkit_requests_total{route="score"'))
        if waiting + done - 1 >= 3:  # one is the smoke test's, one computes
            return
        time.sleep(0.005)
    pytest.fail("the requests haven't arrived")


def test_it_serves_until_it_is_ended(trained: Trainer, start: Start) -> None:
    """The first line is the address; the note names the version that is served."""
    process = start("serve", "--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert urllib3.request("GET", f"{url}/version").json()["model"] == "sklearn_mnist"
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert "sklearn_mnist:1 is served there" in err
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "--token"),  # noqa: S104 - refused
        (["--port", "70000"], 2, "--port"),
        (["--workers", "0"], 2, "workers"),
        (["nothing"], 1, "nothing"),
        (["sklearn_mnist@champion"], 1, "champion"),
        (["a/b"], 2, "a/b"),
    ],
)
def test_what_cannot_be_served(
    mnistkit: Program, trained: Trainer, arguments: list[str], code: int, words: str
) -> None:
    """Wrong options end with 2, a model that isn't there with 1; the message says what."""
    assert words in mnistkit("serve", *arguments, code=code).err


def test_the_token_comes_from_the_environment(
    trained: Trainer, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """MNISTKIT_SERVE_TOKEN is the token; it is printed nowhere."""
    monkeypatch.setenv("MNISTKIT_SERVE_TOKEN", "very-secret")
    process = start("serve", "--port", "0", "--json")
    url = url_of(process)
    assert urllib3.request("GET", f"{url}/version").status == 401
    assert urllib3.request("GET", f"{url}/version", headers={"Authorization": "Bearer very-secret"}).status == 200
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert "very-secret" not in out + err
