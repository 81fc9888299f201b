"""Faults on demand: as values and as text, at the place and as often as was asked for."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("h11")

import urllib3

from mnistkit.emulator.faults import KINDS, Fault, Faults
from mnistkit.errors import UsageError

if TYPE_CHECKING:
    from emulator.conftest import Client

SUBSCRIPTIONS = "https://management.azure.com/subscriptions"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stuck", Fault("stuck")),
        (
            "throttle:match=/snapshotrun,times=2,seconds=1.5",
            Fault("throttle", match="/snapshotrun", times=2, seconds=1.5),
        ),
        ("unauthorized:match=PUT */metric/,after=3", Fault("unauthorized", match="PUT */metric/", after=3)),
        ("late-metrics:times=always", Fault("late-metrics", times=None)),
    ],
)
def test_text(text: str, fault: Fault) -> None:
    """A fault can be written as the command line takes it."""
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "throttle, unavailable"),
        ("", "throttle, unavailable"),
        ("stuck:times=x", "times takes a number"),
        ("stuck:often=2", "isn't one of match="),
        ("stuck:times", "isn't one of match="),
        ("stuck:kind=slow", "isn't one of match="),
        ("throttle:seconds=-1", "seconds=-1.0, of the fault 'throttle': use 0 or more"),
        ("slow:seconds=nan", "use 0 or more"),
        ("slow:seconds=inf", "use 0 or more"),
        ("reset:times=0", "times=0, of the fault 'reset': use 1 or more"),
        ("reset:after=-1", "use 0 or more"),
    ],
)
def test_wrong_text(text: str, message: str) -> None:
    """What can't be read is refused, and the message says what can be written."""
    with pytest.raises(UsageError, match=message):
        Fault.parse(text)


def test_times_and_after() -> None:
    """A fault lets some pass, happens as often as it was told, and then no more."""
    faults = Faults([Fault("stuck", after=1, times=2)])
    assert [faults.take("stuck", "run") is not None for _ in range(5)] == [False, True, True, False, False]


def test_always() -> None:
    """Without a number it happens until it is cleared."""
    faults = Faults([Fault("stuck", times=None)])
    assert all(faults.take("stuck", "run") for _ in range(10))
    faults.clear()
    assert faults.take("stuck", "run") is None


def test_match() -> None:
    """It happens to what it matches alone, and only that counts."""
    faults = Faults([Fault("stuck", match="run-*-b")])
    assert faults.take("stuck", "run-1-a") is None
    assert faults.take("quota", "run-1-b") is None
    assert faults.take("stuck", "my run-1-b") is not None


@pytest.mark.parametrize(("kind", "status"), [("throttle", 429), ("unavailable", 503), ("unauthorized", 401)])
def test_refusals(client: Client, kind: str, status: int) -> None:
    """A request is refused as often as was asked for, then answered."""
    client.emulator.inject(Fault(kind, match="GET management.azure.com/subscriptions", times=2, seconds=7))
    answers = [client.ask("GET", SUBSCRIPTIONS) for _ in range(3)]
    assert [answer.status for answer in answers] == [status, status, 200]
    assert answers[0].headers.get("retry-after") == ("7" if kind == "throttle" else None)


def test_nothing_is_done(client: Client) -> None:
    """What was refused hasn't happened."""
    url = f"https://management.azure.com{client.emulator.workspace.scope}/computes/small"
    client.emulator.inject(Fault("unavailable", match="PUT"))
    body = {
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "STANDARD_D2_V2", "scaleSettings": {"maxNodeCount": 1}},
        }
    }
    assert client.ask("PUT", url, body=body).status == 503
    assert client.ask("GET", url).status == 404


def test_reset(client: Client) -> None:
    """The connection is cut, but what was asked for is done."""
    url = f"https://management.azure.com{client.emulator.workspace.scope}/computes/small"
    client.emulator.inject(Fault("reset", match="PUT"))
    body = {
        "properties": {
            "computeType": "AmlCompute",
            "properties": {"vmSize": "STANDARD_D2_V2", "scaleSettings": {"maxNodeCount": 1}},
        }
    }
    with pytest.raises((urllib3.exceptions.ProtocolError, urllib3.exceptions.ProxyError)):
        client.ask("PUT", url, body=body)
    assert client.ask("GET", url).status == 200


def test_slow(client: Client) -> None:
    """The answer takes as long as was asked for."""
    client.emulator.inject(Fault("slow", seconds=0.3))
    start = time.monotonic()
    assert client.ask("GET", SUBSCRIPTIONS).status == 200
    assert time.monotonic() - start >= 0.3


def test_a_slow_answer_doesnt_hold_up_the_end(client: Client) -> None:
    """Who stops the emulator doesn't wait for slow answers."""
    client.emulator.inject(Fault("slow", seconds=600))
    asking = threading.Thread(target=_ask_and_forget, args=(client,))
    asking.start()
    time.sleep(0.2)
    client.emulator.stop()
    asking.join(60)
    assert not asking.is_alive()


def _ask_and_forget(client: Client) -> None:
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        client.ask("GET", SUBSCRIPTIONS)


def test_clear(client: Client) -> None:
    """Cleared faults don't happen."""
    client.emulator.inject(Fault("unavailable", times=None))
    client.emulator.clear_faults()
    assert client.ask("GET", SUBSCRIPTIONS).status == 200


def test_all_kinds_are_described() -> None:
    """Each kind can be injected and says what it does."""
    for kind, text in KINDS.items():
        assert Fault.parse(kind) == Fault(kind)
        assert text
