"""Observers of a trainer: called for each of its runs, whatever they raise."""

from __future__ import annotations

from sklearn.linear_model import LogisticRegression

from mnistkit import Trainer
from mnistkit.interfaces import DataSource, SupportsGroups
from mnistkit.runs import RunObserver, RunRecord


class Notifier(RunObserver):
    """Keeps the ids of runs that it is called for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def submitted(self, record: RunRecord) -> None:
        self.calls.append(("submitted", record.id))

    def finished(self, record: RunRecord) -> None:
        self.calls.append(("finished", record.id))


class Broken(RunObserver):
    """Fails at each call."""

    def submitted(self, record: RunRecord) -> None:
        raise OSError("no network")


def test_a_trainer_calls_its_observers(tiny_mnist: DataSource) -> None:
    """Each run is observed from its submission to its end; an observer that fails harms neither the run nor others."""
    notifier = Notifier()
    trainer = Trainer.local(data=tiny_mnist, observers=[Broken(), notifier])
    run = trainer.train(LogisticRegression(max_iter=5), limit=100)
    assert notifier.calls == [("submitted", run.id), ("finished", run.id)]


def test_an_observed_sweep_keeps_its_groups(tiny_mnist: DataSource) -> None:
    """What the backend supports, the observed one supports; each run of a sweep is observed."""
    notifier = Notifier()
    trainer = Trainer.local(data=tiny_mnist, observers=[notifier])
    assert isinstance(trainer.compute, SupportsGroups)
    sweep = trainer.sweep(LogisticRegression(max_iter=5), {"C": [0.1, 1.0]}, limit=100)
    assert {run_id for event, run_id in notifier.calls if event == "finished"} == {run.id for run in sweep}


def test_without_observers_the_backend_is_the_given_one(tiny_mnist: DataSource) -> None:
    """No wrapper stands between a trainer without observers and its backend."""
    given = Trainer.local(data=tiny_mnist).compute
    assert Trainer(data=tiny_mnist, compute=given, models=Trainer.local().models).compute is given
