"""What is the Azure backend's own, beyond the contract of compute backends."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("azureml.core")

from azureml.core import Environment as SdkEnvironment
from azureml.core import Run as SdkRun

from mnistkit.azureml import AmlCompute, connect
from mnistkit.azureml.v1 import submission
from mnistkit.azureml.v1.environments import environment_of
from mnistkit.errors import AuthenticationError, NotFoundError, UsageError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.environment import Environment
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.plugins import compute_backend
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run

if TYPE_CHECKING:
    from mnistkit.emulator import AzureMLEmulator

DEADLINE = 120.0


@pytest.fixture
def backend(workspace: object) -> AmlCompute:
    """A cluster that isn't there yet, in an empty workspace."""
    return AmlCompute(workspace, name="cpu-cluster", submit_with="script_run_config")


def script(folder: Path, text: str, **options: object) -> ScriptJob:
    """A job that runs this."""
    (folder / "script").mkdir(exist_ok=True)
    (folder / "script" / "train.py").write_text(text)
    return ScriptJob(str(folder / "script"), **options)


def test_the_module_of_an_estimator_travels(
    backend: AmlCompute, tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier of the user's own is trained on a node that has neither its module nor what that imports."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "travelling_model.py").write_text(
        "from sklearn.naive_bayes import GaussianNB\nfrom travelling_helper import SMOOTHING\n"
        "class Smoothed(GaussianNB):\n"
        "    def fit(self, X, y):\n        self.var_smoothing = SMOOTHING\n        return super().fit(X, y)\n"
    )
    (tmp_path / "mine" / "travelling_helper.py").write_text("SMOOTHING = 1e-2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "mine"))
    job = TrainingJob(model=ModelSpec("travelling_model.Smoothed"), model_format="joblib")
    run = Run(backend, backend.submit(job, tiny_mnist)).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    assert run.metrics["accuracy"] > 0.5


# The workspace


@pytest.mark.parametrize(
    ("credentials", "secret", "says"),
    [
        (lambda _: "no token", "", "az login"),
        ("service-principal", "wrong", "az login"),
        ("service-principal", "", "AZURE_CLIENT_SECRET not set"),
    ],
)
def test_wrong_credentials(
    emulator: AzureMLEmulator,
    workspace: object,
    monkeypatch: pytest.MonkeyPatch,
    credentials: object,
    secret: str,
    says: str,
) -> None:
    """Credentials that are wrong or missing are an `AuthenticationError` with the ways to log in."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", secret)
    with pytest.raises(AuthenticationError, match=says):
        connect(credentials=credentials)


def test_a_token_function_and_explicit_names(emulator: AzureMLEmulator, workspace: object, tmp_path: Path) -> None:
    """A function that gives tokens will do; an expired token won't; names will do in place of config.json."""
    names = emulator.workspace
    where = {"name": names.name, "resource_group": names.resource_group, "subscription_id": names.subscription_id}
    assert connect(credentials=emulator.token, **where).name == names.name
    with pytest.raises(AuthenticationError):
        connect(credentials=lambda audience: emulator.token(audience, seconds=-60), **where)
    with pytest.raises(NotFoundError, match="nowhere"):
        connect(**{**where, "name": "nowhere"})


# The cluster


def test_a_cluster_is_created_once(backend: AmlCompute) -> None:
    """`ensure` creates, then reuses; progress sees each change; `status` knows it; `delete` twice is once."""
    with pytest.raises(NotFoundError, match="cpu-cluster"):
        backend.status()
    seen: list[object] = []
    made = backend.ensure(timeout=DEADLINE, progress=seen.append)
    assert made == seen[-1] == backend.status()
    assert (made.state, made.nodes, made.max_nodes, made.vm_size) == ("Succeeded", 0, 4, "STANDARD_D2_V2")
    assert AmlCompute(backend.workspace, name="cpu-cluster", max_nodes=9).ensure().max_nodes == 4
    backend.delete()
    backend.delete()


def test_an_unknown_machine_type_is_refused(workspace: object) -> None:
    """A machine type that the region doesn't have is refused before a cluster is created."""
    backend = AmlCompute(workspace, name="odd", vm_size="STANDARD_NO_SUCH_SIZE")
    with pytest.raises(UsageError, match="no such machine type; it has"):
        backend.ensure()
    assert "odd" not in backend.workspace.compute_targets


def test_nodes_follow_jobs(backend: AmlCompute, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """While a job runs a machine is there and busy: that is what costs."""
    gate = tmp_path / "gate"
    job = script(tmp_path, f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)\n")
    run = Run(backend, backend.submit(job, tiny_mnist))
    for _ in run.poll(DEADLINE):
        if run.state is RunState.RUNNING:
            break
    status = backend.status()
    assert (status.nodes, status.busy) == (1, 1)
    gate.touch()
    assert run.wait(DEADLINE).state is RunState.COMPLETED


# What a job is and leaves


def test_scripts_of_the_sdk_work_too(backend: AmlCompute, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """A script that logs through the SDK itself, as the tutorial's does, has its metrics in the run."""
    job = script(
        tmp_path,
        "from azureml.core import Run\nfrom mnistkit import get_context\n"
        "run = Run.get_context()\nrun.log('accuracy', 0.5)\nrun.tag('by', 'the SDK')\n"
        "get_context().log('loss', 0.25)\n",
    )
    run = Run(backend, backend.submit(job, tiny_mnist)).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    assert run.metrics == {"accuracy": 0.5, "loss": 0.25}
    assert run.record.tags["by"] == "the SDK"


def test_pictures_reach_the_azure_run(backend: AmlCompute, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """Pictures and confusion matrices are files of the run, and the Azure run has them for the portal."""
    pytest.importorskip("PIL")
    job = script(
        tmp_path,
        "import numpy as np\nfrom mnistkit import get_context\ncontext = get_context()\n"
        "context.log_image('digit', np.zeros((28, 28), np.uint8))\n"
        "context.log_confusion_matrix('confusion', [[3, 1], [0, 2]], ['0', '1'])\n",
    )
    run = Run(backend, backend.submit(job, tiny_mnist)).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    assert {"outputs/digit.png", "outputs/confusion.json"} <= set(run.files)
    assert run.metrics == {}
    assert set(SdkRun.get(backend.workspace, run.id).get_metrics()) == {"digit", "confusion"}


def test_the_job_sees_its_environment(backend: AmlCompute, tiny_mnist: DataSource, tmp_path: Path) -> None:
    """A job's environment is registered once, whatever its variables are; the variables are the job's."""
    jobs = [
        script(
            tmp_path,
            "import os\nprint('colour', os.environ['COLOUR'])\n",
            environment=Environment(name="mine", pip=("attrs>=20",), variables={"COLOUR": colour}),
        )
        for colour in ("red", "blue")
    ]
    runs = [Run(backend, backend.submit(job, tiny_mnist)).wait(DEADLINE) for job in jobs]
    assert [f"colour {colour}" in run.logs() for run, colour in zip(runs, ("red", "blue"), strict=True)] == [True] * 2
    registered = [name for name in SdkEnvironment.list(backend.workspace) if name.startswith("mine-")]
    assert registered == [environment_of(jobs[0]).name]
    pins = str(SdkEnvironment.get(backend.workspace, registered[0]).python.conda_dependencies.serialize_to_string())
    assert "attrs>=20" in pins
    assert "azureml-defaults" in pins


def test_without_estimator_there_is_a_warning(
    workspace: object, tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Where a release of the SDK has no Estimator, runs are submitted with ScriptRunConfig, and a warning says so."""
    monkeypatch.setattr(submission, "is_estimator_available", lambda: False)  # as of such a release
    submission._has_estimator.cache_clear()
    backend = AmlCompute(workspace, name="cpu-cluster")
    with caplog.at_level(logging.WARNING):
        run = Run(backend, backend.submit(script(tmp_path, "print('fine')\n"), tiny_mnist)).wait(DEADLINE)
    submission._has_estimator.cache_clear()
    assert run.state is RunState.COMPLETED, run.error
    assert "has no Estimator" in caplog.text


def test_a_program_that_ends_has_submitted(
    workspace: object, tiny_mnist: DataSource, tmp_path: Path, backend: AmlCompute
) -> None:
    """A program that submits and ends at once leaves a run that goes on, and that others find by its id."""
    job = script(tmp_path, "print('on its own')\n")
    program = (
        "from mnistkit.azureml import AmlCompute\nfrom mnistkit.jobs import ScriptJob\n"
        "from mnistkit.data.folders import DigitsSource\n"
        f"print(AmlCompute(name='cpu-cluster').submit(ScriptJob({job.source_directory!r}), DigitsSource()).id)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=DEADLINE, check=True
    )
    assert outcome.stderr == ""
    run = Run(backend, backend.get(outcome.stdout.strip())).wait(DEADLINE)
    assert run.state is RunState.COMPLETED, run.error
    assert "on its own" in run.logs()


def test_submitting_changes_no_working_directory(
    backend: AmlCompute, tiny_mnist: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Submitting, on threads of its own, leaves the program's working directory alone: the SDK would change it."""
    monkeypatch.setattr(os, "chdir", lambda folder: pytest.fail(f"changed to {folder}"))
    job = script(tmp_path, "print('fine')\n")
    runs = [Run(backend, backend.submit(job, tiny_mnist)) for _ in range(2)]
    assert [run.wait(DEADLINE).error for run in runs] == [None, None]


def test_foreign_runs_are_told_apart(backend: AmlCompute, workspace: object) -> None:
    """Runs that mnistkit didn't submit aren't listed, and asking for one says what it is."""
    from azureml.core import Experiment

    from mnistkit.errors import RunNotFoundError

    foreign = Experiment(workspace, "others").start_logging(snapshot_directory=None)
    foreign.complete()
    assert backend.runs() == ()
    with pytest.raises(RunNotFoundError, match="not one of mnistkit's"):
        backend.get(foreign.id)


def test_it_has_a_name(workspace: object, tmp_path: Path) -> None:
    """Configuration files call it ``azureml``; it connects when it is first asked."""
    backend = compute_backend("azureml", tmp_path, {"name": "by-name", "max_nodes": 1})
    assert isinstance(backend, AmlCompute)
    assert backend.settings.max_nodes == 1
    assert backend.runs() == ()
