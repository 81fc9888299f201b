"""Classifiers that misbehave in fit; importable by the processes that run them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from mnistkit import get_context
from support.misbehaving import FAULTS, start_generations

__all__ = ["Brief", "Faulty", "Flaky", "Prolific"]


class Brief(ClassifierMixin, BaseEstimator):
    """A classifier that takes its time, and then always gives the same answer."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def fit(self, X: Any, y: Any) -> Brief:
        """Take the time."""
        self.classes_ = np.unique(y)
        self._begin()
        time.sleep(getattr(self, "seconds", 0))
        return self

    def predict(self, X: Any) -> Any:
        """Say the first class."""
        return np.full(len(X), self.classes_[0])

    def _begin(self) -> None:
        pass


class Faulty(Brief):
    """A classifier that goes wrong in fit."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def _begin(self) -> None:
        print("last words", flush=True)
        FAULTS[self.fault]()


class Flaky(Brief):
    """A classifier that goes wrong so many times: a line in a file for each time that it was tried."""

    def __init__(self, fault: str, times: int, file: str) -> None:
        self.fault = fault
        self.times = times
        self.file = file

    def _begin(self) -> None:
        with Path(self.file).open("a+") as stream:
            stream.write("tried\n")
            stream.seek(0)
            tries = len(stream.readlines())
        context = get_context()
        context.log("tries", tries)
        context.log(f"only in {tries}", 1)
        (context.outputs / "try.txt").write_text(str(tries))
        if tries <= self.times:
            FAULTS[self.fault]()


class Prolific(Brief):
    """A classifier that starts three generations of processes in fit, and goes on for ever."""

    def __init__(self) -> None:
        pass

    def _begin(self) -> None:
        start_generations()
