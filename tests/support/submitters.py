"""Programs that submit runs, to be killed or interrupted: ``submitters.py NAME HOME DATA SCRIPT [ARGUMENT...]``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mnistkit.data.folders import FolderSource
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.runs.run import Run
from support.subprocesses import python_path

__all__ = ["Submitter", "start"]

_GRACE = 0.5


class Submitter:
    """What such a program may do; every method is one."""

    def __init__(self, home: str, data: str, script: str, *arguments: str) -> None:
        self.home = home
        self.compute = ProcessCompute(home, parallel=2, grace=_GRACE)
        self.compute.start()
        self.source = FolderSource(Path(data))
        self.script = ScriptJob(script, arguments=arguments)

    def submit(self, *, detach: bool = False) -> Run:
        """Submit the script and say its run's id."""
        run = Run(self.compute, self.compute.submit(self.script, self.source, detach=detach))
        print(run.id, flush=True)
        return run

    def linger(self) -> None:
        """Submit and do something else."""
        self.submit()
        time.sleep(600)

    def leave(self) -> None:
        """Submit and end."""
        self.submit()

    def detach(self) -> None:
        """Submit what is to outlive this, and end."""
        self.submit(detach=True)

    def detach_and_die(self) -> None:
        """Submit five that are to outlive this, and be killed at once."""
        self.submit(detach=True)
        records = [self.compute.submit(self.script, self.source, detach=True) for _ in range(4)]
        os.write(1, "".join(f"{record.id}\n" for record in records).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def train(self) -> None:
        """Train for ever; Ctrl-C cancels it."""
        from mnistkit import Trainer
        from mnistkit.local.registry.registry import FolderRegistry
        from support.misbehaving_classifiers import (
            Prolific,  # here, while the worker starts: scikit-learn takes its time
        )

        models = FolderRegistry(self.home)
        Trainer(data=self.source, compute=self.compute, models=models, experiment="x").train(Prolific())

    def follow(self) -> None:
        """Follow the log; say each interruption, and go on until there were as many as the script's last argument."""
        run = self.submit()
        for _ in range(int(self.script.arguments[-1])):
            try:
                for _text in run.logs(follow=True):
                    print("following", flush=True)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        print(run.refresh().state, flush=True)
        run.cancel()
        print(run.wait(60).state, flush=True)

    def show_environment(self) -> None:
        """Run the script alone, then two at a time, with another variable."""
        self.submit().wait()
        os.environ["MNISTKIT_LATER"] = "set after the first submit"
        for run in [self.submit() for _ in range(2)]:
            run.wait()

    def fetch_for_ever(self) -> None:
        """Submit what is to outlive this, with data that never comes."""
        self.source = _Slow(self.source.folder)
        self.submit(detach=True)


class _Slow(FolderSource):
    """Never delivers."""

    def fetch(self, into: Path) -> Path:
        """Wait."""
        time.sleep(600)
        return super().fetch(into)


def start(
    name: str, home: Path, source: FolderSource, script: Path, *arguments: str, **variables: str
) -> subprocess.Popen[str]:
    """Start such a program, with more environment variables; it can import what tests can."""
    return subprocess.Popen(
        [sys.executable, __file__, name, str(home), str(source.folder), str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": python_path(), **variables},
    )


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    with contextlib.suppress(KeyboardInterrupt):
        getattr(Submitter(*sys.argv[2:]), sys.argv[1])()
