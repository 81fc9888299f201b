"""The real SDK submits scripts, which really run."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("azureml.core")
pytest.importorskip("h11")

import psutil
import sdk_jobs as jobs
from azureml.core import Dataset, Environment, Experiment, RunConfiguration, ScriptRunConfig, Workspace
from azureml.core.conda_dependencies import CondaDependencies
from azureml.exceptions import ActivityFailedException, AzureMLException

from mnistkit.emulator import AzureMLEmulator, Fault, Settings

TRIVIAL = """
from azureml.core import Run
print(type(Run.get_context()).__name__, flush=True)
"""


def ended(pid: int) -> bool:
    """Whether a process is gone, a moment later at the latest."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_submit_and_wait(workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A submitted script runs with its arguments as part of its run, and its output is streamed."""
    folder = jobs.write(
        tmp_path / "src",
        """
        import sys
        from azureml.core import Run
        from helpers.more import twice
        run = Run.get_context(allow_offline=False)
        print(type(run).__name__, run.id, run.experiment.name, twice(int(sys.argv[2])))
        """,
    )
    jobs.write(folder / "helpers", "def twice(x):\n    return 2 * x\n", "more.py")
    run = jobs.submit(workspace, folder, jobs.cluster(workspace), "--number", 21)
    details = run.wait_for_completion(show_output=True)
    assert (details["status"], details["target"]) == ("Completed", "cpu")
    assert f"_SubmittedRun {run.id} digits 42" in capsys.readouterr().out
    assert details["startTimeUtc"] <= details["endTimeUtc"]
    assert details["runDefinition"]["arguments"] == ["--number", 21]


def test_failure(workspace: Workspace, tmp_path: Path) -> None:
    """A script that raises fails its run, whose details hold the exit code and the last lines of its log."""
    folder = jobs.write(tmp_path / "src", "print('before')\nraise ValueError('no digits here')\n")
    run = jobs.submit(workspace, folder, jobs.cluster(workspace))
    with pytest.raises(ActivityFailedException, match="no digits here"):
        run.wait_for_completion()
    message = run.get_details()["error"]["error"]["message"]
    assert "exit code 1" in message
    assert "ValueError: no digits here" in message
    assert "before" in jobs.log(run)


def test_second_snapshot(workspace: Workspace, tmp_path: Path) -> None:
    """A changed folder runs as it is now: what was changed, added and removed since the last upload."""
    folder = jobs.write(tmp_path / "src", "import glob\nprint('first', sorted(glob.glob('*.*')))\n")
    (folder / "gone.txt").write_text("x")
    target = jobs.cluster(workspace)
    first = jobs.submit(workspace, folder, target)
    assert jobs.wait(first) == "Completed"
    (folder / "gone.txt").unlink()
    (folder / "new.txt").write_text("y")
    jobs.write(folder, "import glob\nprint('second', sorted(glob.glob('*.*')))\n")
    second = jobs.submit(workspace, folder, target)
    assert jobs.wait(second) == "Completed"
    assert "first ['gone.txt', 'train.py']" in jobs.log(first)
    assert "second ['new.txt', 'train.py']" in jobs.log(second)


def test_log_while_running(workspace: Workspace, tmp_path: Path) -> None:
    """What a script has printed can be read while it runs; cancel then ends it."""
    folder = jobs.write(tmp_path / "src", "import time\nprint('so far', flush=True)\ntime.sleep(600)\n")
    run = jobs.submit(workspace, folder, jobs.cluster(workspace))
    jobs.wait(run, "Running")
    end = time.monotonic() + jobs.PATIENCE
    while "so far" not in jobs.log(run):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert run.get_status() == "Running"
    run.cancel()
    assert jobs.wait(run) == "Canceled"
    assert "so far" in jobs.log(run)


def test_cancel_reaches_all(workspace: Workspace, tmp_path: Path) -> None:
    """Cancel ends the script and what it has started, also what ignores SIGTERM in a session of its own."""
    folder = jobs.write(
        tmp_path / "src",
        """
        import os, subprocess, sys, time
        ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
        stubborn = f"{ignore}; print('here', flush=True); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True)
        child.stdout.readline()
        print("pids", os.getpid(), child.pid, flush=True)
        time.sleep(600)
        """,
    )
    run = jobs.submit(workspace, folder, jobs.cluster(workspace))
    end = time.monotonic() + jobs.PATIENCE
    while "pids" not in (text := jobs.log(run)):
        assert time.monotonic() < end
        time.sleep(0.1)
    pids = [int(word) for word in text.partition("pids")[2].split()[:2]]
    run.cancel()
    assert jobs.wait(run) == "Canceled"
    assert all(ended(pid) for pid in pids)


def test_deadline(workspace: Workspace, tmp_path: Path) -> None:
    """A job is canceled that runs for longer than its configuration allows, and its run says so."""
    folder = jobs.write(tmp_path / "src", "import time\ntime.sleep(600)\n")
    run = jobs.submit(workspace, folder, jobs.cluster(workspace), max_run_duration_seconds=3)
    assert jobs.wait(run) == "Canceled"
    assert "longer than 3 seconds" in run.get_details()["error"]["error"]["message"]


def test_nodes(workspace: Workspace, tmp_path: Path) -> None:
    """Jobs queue for the nodes of their cluster, and its status shows how many are at work."""
    folder = jobs.write(
        tmp_path / "src",
        """
        import pathlib, sys, time
        while not pathlib.Path(sys.argv[1]).exists():
            time.sleep(0.05)
        """,
    )
    target = jobs.cluster(workspace, max_nodes=1)
    first = jobs.submit(workspace, folder, target, str(tmp_path / "go"))
    jobs.wait(first, "Running")
    second = jobs.submit(workspace, folder, target, str(tmp_path / "go"))
    assert workspace.compute_targets[target].get_status().serialize()["nodeStateCounts"]["runningNodeCount"] == 1
    time.sleep(1)
    assert second.get_status() == "Queued"
    (tmp_path / "go").touch()
    assert (jobs.wait(first), jobs.wait(second)) == ("Completed", "Completed")


def test_stuck(emulator: AzureMLEmulator, workspace: Workspace, tmp_path: Path) -> None:
    """A job that is stuck in its queue can be canceled there."""
    emulator.inject(Fault("stuck"))
    run = jobs.submit(workspace, jobs.write(tmp_path / "src", TRIVIAL), jobs.cluster(workspace))
    time.sleep(1)
    assert run.get_status() == "Queued"
    run.cancel()
    assert jobs.wait(run) == "Canceled"


def test_own_run_id(emulator: AzureMLEmulator, workspace: Workspace, tmp_path: Path) -> None:
    """A submission whose answer was lost can be sent again with its run's id: there is one job."""
    folder = jobs.write(tmp_path / "src", f"open({str(tmp_path / 'count')!r}, 'a').write('x')\n")
    configuration = ScriptRunConfig(str(folder), script="train.py", compute_target=jobs.cluster(workspace))
    experiment = Experiment(workspace, "digits")
    emulator.inject(Fault("reset", match="/snapshotrun"))
    for _ in range(2):
        try:
            experiment.submit(configuration, run_id="mine")
        except (OSError, AzureMLException):
            continue
    assert jobs.wait(experiment.get_runs().__next__()) == "Completed"
    assert [run.id for run in experiment.get_runs()] == ["mine"]
    assert (tmp_path / "count").read_text() == "x"


def test_command_and_variables(workspace: Workspace, tmp_path: Path) -> None:
    """A job can be a command, with environment variables of its own."""
    environment = Environment("with-variables")
    environment.environment_variables = {"WHO": "me"}
    configuration = ScriptRunConfig(
        str(jobs.write(tmp_path / "src", TRIVIAL)),
        command=["echo", "$WHO", "&&", "exit", "7"],
        compute_target=jobs.cluster(workspace),
        environment=environment,
    )
    run = Experiment(workspace, "digits").submit(configuration)
    assert jobs.wait(run) == "Failed"
    assert "me" in jobs.log(run).splitlines()
    assert "exit code 7" in run.get_details()["error"]["error"]["message"]


def test_inputs(workspace: Workspace, tmp_path: Path) -> None:
    """A job gets its datasets as folders, where it asks for them, or as they are."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.txt").write_text("digits")
    store = workspace.get_default_datastore()
    dataset = Dataset.File.upload_directory(str(tmp_path / "data"), (store, "numbers"), show_progress=False)
    registered = dataset.register(workspace, "numbers")
    folder = jobs.write(
        tmp_path / "src",
        """
        import glob, os, sys
        from azureml.core import Run
        run = Run.get_context()
        mounted, downloaded = sys.argv[1], sys.argv[2]
        assert mounted == os.environ["mounted"] == run.input_datasets["mounted"]
        for place in (mounted, downloaded):
            (file,) = glob.glob(os.path.join(place, "**", "*.txt"), recursive=True)
            print("found", open(file).read())
        assert downloaded.endswith("wanted")
        print("direct", run.input_datasets["direct"].to_path())
        """,
    )
    arguments = [registered.as_named_input("mounted").as_mount()]
    arguments += [dataset.as_named_input("fetched").as_download("wanted"), registered.as_named_input("direct")]
    run = jobs.submit(workspace, folder, jobs.cluster(workspace), *arguments)
    assert jobs.wait(run) == "Completed", jobs.log(run)
    text = jobs.log(run)
    assert text.count("found digits") == 2
    assert "direct ['/deep/a.txt']" in text
    inputs = run.get_details()["inputDatasets"]
    assert {each["consumptionDetails"]["inputName"] for each in inputs} == {"mounted", "fetched", "direct"}


def test_local(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the target 'local' the script runs in the client's folder, with the interpreter that it names."""
    configuration = RunConfiguration()
    configuration.environment.python.user_managed_dependencies = True
    configuration.environment.python.interpreter_path = sys.executable
    folder = jobs.write(
        tmp_path / "src",
        """
        from azureml.core import Run
        Run.get_context().log("here", 1)
        open("outputs/a.txt", "w").write("a")
        """,
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the SDK copies the folder to
    run = Experiment(workspace, "digits").submit(ScriptRunConfig(str(folder), "train.py", run_config=configuration))
    assert jobs.wait(run) == "Completed", jobs.log(run)
    assert run.get_metrics() == {"here": 1}
    assert "outputs/a.txt" in run.get_file_names()


@pytest.mark.azureml_emulator(settings=Settings(check_environment=True))
def test_unmet_environment(workspace: Workspace, tmp_path: Path) -> None:
    """With the option, a job fails whose requirements the interpreter doesn't meet, and its log says which."""
    environment = Environment("unmet")
    dependencies = CondaDependencies.create(pip_packages=["numpy>=1.0", "no-such-package-at-all==1.0", "pytest<1"])
    environment.python.conda_dependencies = dependencies
    folder = jobs.write(tmp_path / "src", "print('it ran')\n")
    run = jobs.submit(workspace, folder, jobs.cluster(workspace), environment=environment)
    assert jobs.wait(run) == "Failed"
    text = jobs.log(run)
    assert "no-such-package-at-all==1.0: isn't installed" in text
    assert "pytest<1: " in text
    assert "numpy" not in text
    assert "it ran" not in text


@pytest.mark.azureml_emulator(settings=Settings(job_bytes=20_000_000))
def test_disk_cap(workspace: Workspace, tmp_path: Path) -> None:
    """A job fails that writes more than it may, and its run says so."""
    folder = jobs.write(
        tmp_path / "src",
        """
        import time
        for number in range(30):
            with open(f"outputs/{number}", "wb") as file:
                file.write(bytes(1_000_000))
            time.sleep(0.01)
        time.sleep(600)
        """,
    )
    run = jobs.submit(workspace, folder, jobs.cluster(workspace))
    assert jobs.wait(run) == "Failed"
    assert "may write 20000000" in run.get_details()["error"]["error"]["message"]
