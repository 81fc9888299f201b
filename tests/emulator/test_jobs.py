"""Jobs: their phases, their limits, their end, and that nothing of them is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")
pytest.importorskip("cryptography")

from emulator.conftest import Client
from emulator.runs_client import answer, cancel, cluster, history, log, scope, send, snapshot, state, submit, wait
from mnistkit.emulator import AzureMLEmulator, Fault, Settings
from mnistkit.emulator.jobs import processes

if TYPE_CHECKING:
    from mnistkit.emulator.jobs.processes import Group

STUBBORN = """
import os, signal, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session={session})
child.stdout.readline()
print("pids", os.getpid(), child.pid, flush=True)
{rest}
"""


@pytest.fixture
def slow_client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of an emulator with other settings: the test's parameter."""
    with AzureMLEmulator(settings=request.param) as emulator:
        yield Client(emulator)


def until(client: Client, run_id: str, text: str) -> str:
    """The log of a job, once it has that text."""
    end = time.monotonic() + 60
    while text not in (found := log(client, run_id)):
        assert time.monotonic() < end, found
        time.sleep(0.02)
    return found


def pids(text: str) -> list[int]:
    """The process ids that a job has printed."""
    return [int(word) for word in text.partition("pids")[2].split()[:2]]


def ended(pid: int) -> bool:
    """Whether a process is gone, a moment later at the latest."""
    end = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_runs(client: Client) -> None:
    """A script gets its arguments and variables; what it leaves in outputs and logs is kept."""
    cluster(client)
    script = """
import os, sys
print(sys.argv[1:], os.environ["WHO"], os.environ["AZUREML_RUN_ID"], __name__)
open("outputs/model.txt", "w").write("weights")
os.symlink("/etc/hostname", "outputs/link")
open("elsewhere", "w").write("x")
"""
    submit(client, "one", script, arguments=["--x", 1, "a b"], environment={"environmentVariables": {"WHO": "me"}})
    details = wait(client, "one")
    assert details["status"] == "Completed"
    assert "['--x', '1', 'a b'] me one __main__" in log(client, "one")
    paths = [each["path"] for each in history(client, "GET", "/runs/one/artifacts")["value"]]
    assert [path for path in paths if not path.startswith("logs/")] == ["outputs/model.txt", "user_logs/std_log.txt"]
    assert details["runDefinition"]["arguments"] == ["--x", 1, "a b"]
    assert details["startTimeUtc"] <= details["endTimeUtc"]


def test_failure(client: Client) -> None:
    """A script that fails tells its exit code and the last lines of its log, and keeps its outputs."""
    cluster(client)
    submit(client, "one", "open('outputs/a', 'w').close()\nprint('1\\n' * 100)\nraise ValueError('bad digits')\n")
    details = wait(client, "one")
    message = details["error"]["error"]["message"]
    assert details["status"] == "Failed"
    assert "exit code 1" in message
    assert "ValueError: bad digits" in message
    assert message.count("\n") <= 21
    assert "outputs/a" in [each["path"] for each in history(client, "GET", "/runs/one/artifacts")["value"]]
    submit(client, "two", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert "ended by signal 9" in wait(client, "two")["error"]["error"]["message"]
    submit(client, "three", "", script="nothing.py")
    assert re.search(r"has no script 'nothing\.py'; it has \[.*'train\.py'", log_of_failed(client, "three"))


def log_of_failed(client: Client, run_id: str) -> str:
    """The log of a job that has failed."""
    assert wait(client, run_id)["status"] == "Failed"
    return log(client, run_id)


@pytest.mark.parametrize("slow_client", [Settings(phase_seconds=0.5)], indirect=True)
def test_phases(slow_client: Client) -> None:
    """A run is Queued, Preparing, Running and Finalizing, each for as long as is set."""
    cluster(slow_client)
    submit(slow_client, "one", "import time\ntime.sleep(0.5)\n")
    seen = [state(slow_client, "one")]
    while seen[-1] != "Completed":
        if (now := state(slow_client, "one")) != seen[-1]:
            seen.append(now)
    assert seen == ["Queued", "Preparing", "Running", "Finalizing", "Completed"]


def test_live_log_and_cancel(client: Client) -> None:
    """What a job prints can be read while it runs; cancel ends it, and what it left is kept."""
    cluster(client)
    submit(client, "one", "import time\nopen('outputs/a', 'w').close()\nprint('so far', flush=True)\ntime.sleep(600)\n")
    until(client, "one", "so far")
    assert state(client, "one") == "Running"
    cancel(client, "one")
    assert wait(client, "one")["status"] == "Canceled"
    assert "outputs/a" in [each["path"] for each in history(client, "GET", "/runs/one/artifacts")["value"]]
    cancel(client, "one")
    assert state(client, "one") == "Canceled"


@pytest.mark.parametrize("session", [True, False])
def test_cancel_reaches_all(client: Client, session: bool) -> None:
    """Cancel also ends what the script has started and what ignores SIGTERM, in whatever session that is."""
    cluster(client)
    submit(client, "one", STUBBORN.format(session=session, rest="time.sleep(600)"))
    found = pids(until(client, "one", "pids"))
    cancel(client, "one")
    assert wait(client, "one")["status"] == "Canceled"
    assert all(ended(pid) for pid in found)


def test_nothing_outlives_its_job(client: Client) -> None:
    """What a script has started and left behind ends with it."""
    cluster(client)
    submit(client, "one", STUBBORN.format(session=True, rest=""))
    assert wait(client, "one")["status"] == "Completed"
    assert all(ended(pid) for pid in pids(log(client, "one")))


def test_deadline(client: Client) -> None:
    """A job is canceled that runs for longer than its configuration allows."""
    cluster(client)
    submit(client, "one", "import time\ntime.sleep(600)\n", maxRunDurationSeconds=1)
    details = wait(client, "one")
    assert details["status"] == "Canceled"
    assert "longer than 1 seconds" in details["error"]["error"]["message"]
    assert "longer than 1 seconds" in log(client, "one")


WRITE = """
import time
for number in range(40):
    with open(f"outputs/{number}", "wb") as file:
        file.write(bytes(1_000_000))
time.sleep(600)
"""


@pytest.mark.parametrize("slow_client", [Settings(job_bytes=20_000_000)], indirect=True)
@pytest.mark.parametrize(
    "script", [WRITE, "while True: print('x' * 100_000)", "open('a', 'wb').write(bytes(30_000_000))"]
)
def test_disk_cap(slow_client: Client, script: str) -> None:
    """A job fails that writes more than it may: many files, a flood of a log, or one large file."""
    cluster(slow_client)
    submit(slow_client, "one", script)
    assert wait(slow_client, "one")["status"] == "Failed"


def test_queue(client: Client) -> None:
    """Jobs beyond a cluster's nodes stay Queued, in the order in which they came; one can be canceled there."""
    cluster(client, max_nodes=1)
    submit(client, "one", "import time\ntime.sleep(600)\n")
    wait(client, "one", "Running")
    for name in ("two", "three", "four"):
        submit(client, name, "import time\nprint('at', time.time())\n")
        time.sleep(0.1)
    assert [state(client, name) for name in ("two", "three", "four")] == ["Queued"] * 3
    cancel(client, "three")
    assert wait(client, "three")["status"] == "Canceled"
    cancel(client, "one")
    assert [wait(client, name)["status"] for name in ("two", "four")] == ["Completed", "Completed"]
    two, four = (float(re.search(r"^at (.*)$", log(client, name), re.MULTILINE)[1]) for name in ("two", "four"))
    assert two < four


def test_deleted_cluster(client: Client) -> None:
    """Without its cluster a job fails, whether it runs or waits for a node, and nothing of it is left."""
    cluster(client, max_nodes=1)
    submit(client, "one", STUBBORN.format(session=True, rest="time.sleep(600)"))
    found = pids(until(client, "one", "pids"))
    submit(client, "two", "")
    url = f"https://management.azure.com{client.emulator.workspace.scope}/computes/cpu"
    assert client.ask("DELETE", url).status == 202
    for name in ("one", "two"):
        assert wait(client, name)["status"] == "Failed"
        assert "'cpu'" in history(client, "GET", f"/runs/{name}/details")["error"]["error"]["message"]
    assert all(ended(pid) for pid in found)


def test_stuck(client: Client) -> None:
    """With the fault, a job stays in its queue, and can be canceled there."""
    client.emulator.inject(Fault("stuck", match="one"))
    cluster(client)
    submit(client, "one", "")
    submit(client, "two", "")
    wait(client, "two")
    assert state(client, "one") == "Queued"
    cancel(client, "one")
    assert wait(client, "one")["status"] == "Canceled"


def test_same_run_id(client: Client, tmp_path: Path) -> None:
    """The same job sent twice is one job; another one with that id is refused."""
    cluster(client)
    script = f"open({str(tmp_path / 'count')!r}, 'a').write('x')\n"
    body = {
        "Configuration": {"script": "train.py", "target": "cpu"},
        "SnapshotId": snapshot(client, {"train.py": script}),
    }
    assert send(client, "one", body) == send(client, "one", body) == {"runId": "one"}
    wait(client, "one")
    assert send(client, "one", body) == {"runId": "one"}
    send(client, "one", {**body, "Configuration": {"script": "other.py", "target": "cpu"}}, status=409)
    assert wait(client, "one")["status"] == "Completed"
    assert (tmp_path / "count").read_text() == "x"


def test_refused(client: Client) -> None:
    """What can't be run here is refused at once, and makes no run."""
    cluster(client)
    for status, more in (
        (404, {"target": "none"}),
        (400, {"nodeCount": 3}),
        (400, {"communicator": "Mpi", "mpi": {"processCountPerNode": 5}}),
        (400, {"communicator": "Mpi", "mpi": {"processCountPerNode": "x"}}),
        (400, {"communicator": "Telepathy"}),
        (400, {"framework": "PySpark"}),
        (400, {"outputData": {"x": {"mechanism": "hdfs"}}}),
        (400, {"script": "../../train.py"}),
        (400, {"script": "/bin/sh"}),
        (400, {"script": None}),
        (400, {"environmentVariables": {"A=B": "x"}}),
        (400, {"data": {"x": {"mechanism": "mount"}}}),
        (404, {"data": {"x": {"mechanism": "mount", "dataLocation": {"dataset": {"id": "none"}}}}}),
        (400, {"maxRunDurationSeconds": "long"}),
    ):
        submit(client, "one", "", status=status, **more)
    send(client, "one", {"Configuration": {"script": "a.py", "target": "cpu"}, "SnapshotId": "none"}, status=404)
    send(client, "one", {"SnapshotId": "none"}, status=400)
    url = f"{scope(client, 'history/v1.0')}/runs/one"
    assert client.ask("GET", url).status == 404


def test_command(client: Client) -> None:
    """A job can be a shell's command; its exit code is the job's."""
    cluster(client)
    submit(client, "one", "", script=None, command="echo $((6 * 7)); exit 9")
    assert "exit code 9" in wait(client, "one")["error"]["error"]["message"]
    assert "42" in log(client, "one").splitlines()
    submit(client, "two", "import sys\nprint(sys.argv, sys.executable)\n", script=None, command="python train.py --x 1")
    assert wait(client, "two")["status"] == "Completed"
    assert f"['train.py', '--x', '1'] {sys.executable}" in log(client, "two")
    submit(
        client, "three", "import sys\nprint(sys.argv, sys.executable)\n", script=None, command="python train.py $((1))"
    )
    assert wait(client, "three")["status"] == "Completed"
    assert f"['train.py', '1'] {sys.executable}" in log(client, "three")


@pytest.mark.parametrize("slow_client", [Settings(check_environment=True)], indirect=True)
def test_check_environment(slow_client: Client) -> None:
    """With the option, a job fails whose requirements aren't met, and its log says which."""
    cluster(slow_client)
    pip = ["no-such-package==1", "pytest<1", "pytest>1", "numpy; python_version < '3'", "--pre"]
    dependencies = ["python=2.7", "cudatoolkit=11", {"pip": pip}]
    environment = {"python": {"condaDependencies": {"dependencies": dependencies}}}
    submit(slow_client, "one", "print('it ran')\n", environment=environment)
    text = log_of_failed(slow_client, "one")
    for part in ("python==2.7.*: ", "no-such-package==1: isn't installed", "pytest<1: "):
        assert part in text
    for part in ("pytest>1", "numpy", "it ran"):
        assert part not in text
    environment = {"python": {"condaDependencies": {"dependencies": [{"pip": ["pytest>1"]}]}}}
    submit(slow_client, "two", "print('it ran')\n", environment=environment)
    assert wait(slow_client, "two")["status"] == "Completed"


def test_local(client: Client, tmp_path: Path) -> None:
    """A local job runs in the client's folder and environment, once the client says that it is there."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.py").write_text("import os\nprint(os.getcwd(), os.environ['OF_CLIENT'])\n")
    base = scope(client, "execution/v1.0")
    definition = '{"Configuration": {"script": "train.py", "target": "local"}}'
    parts = ['--x\r\nContent-Disposition: form-data; name="files"; filename="definition.json"', definition, "--x--\r\n"]
    form = "\r\n\r\n".join(parts[:2]).encode() + b"\r\n" + parts[2].encode()
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{base}/experiments/digits/localrun?runId=mine"
    assert client.ask("POST", url, body=form, headers=headers).data[:2] == b"PK"
    start = f"{scope(client, 'emulator/v1.0')}/localruns/mine"
    for wrong in (str(tmp_path), "mine", str(tmp_path / "other" / "mine")):
        assert client.ask("POST", start, body={"folder": wrong, "environment": {"A": "b"}}).status == 400
    body = {"folder": str(folder), "environment": {**os.environ, "OF_CLIENT": "yes"}}
    answer(client.ask("POST", start, body=body))
    assert wait(client, "mine")["status"] == "Completed"
    assert f"{folder} yes" in log(client, "mine")
    assert client.ask("POST", start, body=body).status == 404
    assert (folder / "train.py").exists()


def test_restart(tmp_path: Path) -> None:
    """What was going on when the emulator stopped is Failed when it starts again, and no process is left."""
    with AzureMLEmulator(tmp_path) as emulator:
        client = Client(emulator)
        cluster(client)
        submit(client, "done", "print('x')\n")
        wait(client, "done")
        submit(client, "one", STUBBORN.format(session=True, rest="time.sleep(600)"))
        found = pids(until(client, "one", "pids"))
    assert all(ended(pid) for pid in found)
    with AzureMLEmulator(tmp_path) as emulator:
        client = Client(emulator)
        assert state(client, "done") == "Completed"
        assert "x" in log(client, "done")
        details = history(client, "GET", "/runs/one/details")
        assert (details["status"], details["error"]["error"]["code"]) == ("Failed", "ServiceError")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_orphans(tmp_path: Path, number: signal.Signals) -> None:
    """However the emulator's process ends, every process of its jobs ends too."""
    program = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
        from emulator.conftest import Client
        from emulator.runs_client import cluster, submit
        from emulator.test_jobs import STUBBORN, pids, until
        from mnistkit.emulator import AzureMLEmulator
        emulator = AzureMLEmulator().start()
        client = Client(emulator)
        cluster(client)
        submit(client, "one", STUBBORN.format(session=True, rest="time.sleep(600)"))
        print(*pids(until(client, "one", "pids")), flush=True)
        time.sleep(600)
    """
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = [int(word) for word in process.stdout.readline().split()]
        process.send_signal(number)
        process.wait(30)
    assert len(found) == 2
    assert all(ended(pid) for pid in found)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Any]:
    """Starts Python code as a group; all are ended."""
    started: list[Group] = []

    def begin(code: str) -> Group:
        output = tmp_path / "output"
        started.append(processes.start([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, output=output))
        return started[-1]

    yield begin
    for each in started:
        each.stop()


def test_group_exit_codes(group: Any) -> None:
    """A group tells its exit code, negative for a signal, and None while it runs."""
    assert group("raise SystemExit(3)").wait(30) == 3
    running = group("import time; time.sleep(600)")
    assert running.wait(0.05) is None
    assert running.stop(grace=5) == -signal.SIGTERM
    assert running.stop() == -signal.SIGTERM


def test_group_grace(group: Any, tmp_path: Path) -> None:
    """A command has its grace to end in order; one that is stopped is woken for it."""
    code = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path("in order").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
    found = group(code)
    while "ready" not in (tmp_path / "output").read_text():
        time.sleep(0.01)
    os.kill(found.pid, signal.SIGSTOP)
    assert found.stop(grace=20) == 0
    assert (tmp_path / "in order").exists()
