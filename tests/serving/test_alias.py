"""An alias that moves while its model is served: another version takes over, and no request fails."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from mnistkit.errors import ModelError
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.input import InputSpec
from mnistkit.models.persistence import save_model
from mnistkit.models.probe import Probe
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.promotion import promote
from mnistkit.registry.verification import verify_models
from mnistkit.serving.current import CurrentModel
from mnistkit.serving.server import ModelServer
from support.serving import Client, Register, rows

N_MOVES = 50
POLL_SECONDS = 0.02


@pytest.fixture
def other(images: Any) -> LogisticRegression:
    """A classifier that calls every digit by another number."""
    from sklearn.datasets import load_digits

    return LogisticRegression(C=2.0, tol=1e-3, max_iter=200).fit(rows(images), (load_digits().target + 1) % 10)


@pytest.fixture
def both(registry: FolderRegistry, register: Register, fitted: Any, other: Any) -> FolderRegistry:
    """Two versions, of which the alias is the first."""
    register(fitted)
    register(other)
    promote(registry, "digits:1", "champion")
    return registry


def wait_for(is_done: Any, seconds: float = 60.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_alias_that_moves_under_load(both: FolderRegistry, fitted: Any, other: Any, images: Any) -> None:
    """The alias moves 50 times: no request fails, and each is answered by the version that the response names."""
    X = rows(images[:5])
    body = {"data": X.tolist()}
    expected = {"1": fitted.predict(X).tolist(), "2": other.predict(X).tolist()}
    assert expected["1"] != expected["2"]
    answered: list[str] = []
    wrong: list[Any] = []
    stopped = threading.Event()

    def load(url: str) -> None:
        client = Client(url)
        while not stopped.is_set():
            response = client.post("/score", body)
            version = response.headers.get("X-Model-Version", "")
            answered.append(version)
            if response.status != 200 or response.json() != expected.get(version):
                wrong.append((response.status, version, response.data))

    with ModelServer(both, "digits@champion", port=0, poll_seconds=POLL_SECONDS) as server:
        clients = [threading.Thread(target=load, args=(server.url,)) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for move in range(N_MOVES):
                version = 2 - move % 2
                promote(both, f"digits:{version}", "champion")
                wait_for(lambda version=version: server.version.version == version)
        finally:
            stopped.set()
            for client in clients:
                client.join()
    assert wrong == []
    assert set(answered) == {"1", "2"}
    assert len(answered) > N_MOVES


def test_the_newest_version_is_followed(both: FolderRegistry, register: Register, fitted: Any) -> None:
    """A name alone is the newest version, a number is that version for ever."""
    newest = CurrentModel(both, "digits", poll_seconds=60)
    fixed = CurrentModel(both, "digits:1", poll_seconds=60)
    register(fitted)
    assert newest.refresh()
    assert newest.model.version.version == 3
    assert not fixed.refresh()
    assert fixed.model.version.version == 1


@pytest.mark.parametrize("damage", ["bytes", "manifest", "probe", "input", "pickle"])
def test_a_version_that_cannot_be_served(
    both: FolderRegistry, register: Register, fitted: Any, other: Any, images: Any, tmp_path: Any, damage: str
) -> None:
    """A damaged or unsafe version doesn't take over: the server keeps the old one, and says why."""
    current = CurrentModel(both, "digits@champion", poll_seconds=60)
    if damage == "probe":  # that of another classifier, registered with it
        save_model(fitted, tmp_path / "swapped", format="skops")
        Probe.record(other, rows(images)).save(tmp_path / "swapped")
        both.register("digits", tmp_path / "swapped", ModelInfo(format="skops"))
    else:
        spec = InputSpec(height=28, width=28) if damage == "input" else None
        register(fitted, form="joblib" if damage == "pickle" else "skops", spec=spec)
    both.assign("digits", "champion", 3, reason="bad")
    if damage in {"bytes", "manifest"}:
        file = "manifest.json" if damage == "manifest" else "model.skops"
        (path,) = (tmp_path / "registry").rglob(f"3/**/{file}")
        path.parent.chmod(0o755)
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-3])
        assert verify_models(both, "digits").problems
    assert not current.refresh()
    assert current.model.version.version == 1
    assert current.n_failures == 1
    assert current.problem
    promote(both, "digits:2", "champion")
    assert current.refresh()
    assert (current.model.version.version, current.problem) == (2, "")


def test_a_bad_version_is_not_loaded_again_and_again(
    both: FolderRegistry, register: Register, fitted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that failed is tried again only after a minute."""
    register(fitted, form="joblib")
    current = CurrentModel(both, "digits@champion", poll_seconds=60)
    both.assign("digits", "champion", 3, reason="bad")
    for _ in range(5):
        current.refresh()
    assert current.n_failures == 1
    monkeypatch.setattr("mnistkit.serving.current._RETRY_SECONDS", 0.0)
    current.refresh()
    assert current.n_failures == 2


def test_a_registry_that_is_away(both: FolderRegistry, tmp_path: Any) -> None:
    """While the registry can't be read, the served version stays."""
    current = CurrentModel(both, "digits@champion", poll_seconds=60)
    (tmp_path / "registry").rename(tmp_path / "away")
    assert not current.refresh()
    assert current.problem
    (tmp_path / "away").rename(tmp_path / "registry")
    assert not current.refresh()
    assert current.problem == ""


def test_a_broken_version_is_not_served_at_all(both: FolderRegistry, register: Register, fitted: Any) -> None:
    """At the start there is no version to keep: the error says what is wrong."""
    register(fitted, form="joblib")
    with pytest.raises(ModelError, match="allow_pickle"):
        ModelServer(both, "digits:3", port=0).start()
