"""``mnistkit emulator``: what a command and a shell are given, how it ends, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("h11")

from cli.conftest import Program

Start = Callable[..., "subprocess.Popen[str]"]
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")

ASK = """
import os, sys, urllib3
pool = urllib3.ProxyManager(os.environ["https_proxy"], ca_certs=os.environ["SSL_CERT_FILE"], retries=False)
print(pool.request("GET", "https://management.azure.com/" + sys.argv[1]).status)
"""


def wait_for(file: Path, process: subprocess.Popen[str]) -> str:
    """The content of a file that a process is to write."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if file.exists() and file.read_text().endswith("\n"):
            return file.read_text()
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"{file} never came")


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("code", [0, 7])
def test_exec_ends_as_its_command(mnistkit: Program, code: int) -> None:
    """The exit code is the command's."""
    mnistkit("emulator", "exec", "--", sys.executable, "-c", f"raise SystemExit({code})", code=code)


@pytest.mark.parametrize(("options", "hinted"), [((), True), (("--write-config", "."), False)])
def test_exec_hints_at_the_config(mnistkit: Program, options: tuple[str, ...], hinted: bool) -> None:
    """After a failure without a config.json, what makes one is named."""
    outcome = mnistkit("emulator", "exec", *options, "--", sys.executable, "-c", "raise SystemExit(1)", code=1)
    assert ("--write-config ." in outcome.err) is hinted


@posix
def test_exec_of_a_killed_command(mnistkit: Program) -> None:
    """A command that a signal ends has the exit code that shells give it."""
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    mnistkit("emulator", "exec", "--", sys.executable, "-c", script, code=128 + signal.SIGKILL)


def test_exec_of_no_command(mnistkit: Program) -> None:
    """A command that isn't there is said to be so."""
    outcome = mnistkit("emulator", "exec", "--", "no-such-command", code=127)
    assert "no-such-command can't be run" in outcome.err


def test_exec_gives_the_environment(start: Start) -> None:
    """The command reaches the emulator, and what isn't emulated is told at the end."""
    process = start("emulator", "exec", "--", sys.executable, "-c", ASK, "nothing")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "501\n")
    assert "GET management.azure.com/nothing" in err


def test_exec_passes_options_on(start: Start) -> None:
    """What follows the command is the command's own."""
    script = "import sys; print(sys.argv[1:])"
    process = start("emulator", "exec", sys.executable, "-c", script, "--port", "x", "--help")
    assert process.communicate(timeout=60)[0] == "['--port', 'x', '--help']\n"


def test_exec_with_ones_own_home(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The command has a home of its own, unless it is to keep the user's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    script = "import os; print(os.environ['HOME'])"
    for options, same in (((), False), (("--keep-home",), True)):
        process = start("emulator", "exec", *options, "--", sys.executable, "-c", script)
        assert (process.communicate(timeout=60)[0].strip() == str(tmp_path)) is same


def test_exec_stands_in_for_the_config_at_hand(start: Start) -> None:
    """The workspace has the names of the config.json that the SDK would find."""
    names = {
        "subscription_id": "11111111-2222-3333-4444-555555555555",
        "resource_group": "team",
        "workspace_name": "ml",
    }
    Path(".azureml").mkdir()
    Path(".azureml/config.json").write_text(json.dumps(names))
    Path("below").mkdir()
    path = f"subscriptions/{names['subscription_id']}/resourceGroups/team"
    script = ASK.replace(").status", ", headers={'Authorization': 'Bearer x'}).status")
    process = start("emulator", "exec", "--", sys.executable, "-c", script, path, cwd="below")
    out, err = process.communicate(timeout=60)
    assert out == "401\n"
    assert "'ml'" in err


def test_write_config(mnistkit: Program) -> None:
    """A config.json is written where one is wanted."""
    mnistkit("emulator", "exec", "--write-config", "there", "--", sys.executable, "-c", "")
    assert json.loads(Path("there/config.json").read_text())["workspace_name"] == "emulator"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fault", "nothing"), "There is no fault 'nothing'"),
        (("--config", "nowhere.json"), "nowhere.json"),
        (("--port", "70000"), "--port"),
    ],
)
def test_misuse(mnistkit: Program, options: tuple[str, ...], message: str) -> None:
    """A command line that can't be right is refused before anything runs."""
    assert message in mnistkit("emulator", "exec", *options, "--", "no-such-command", code=2).err


@posix
def test_exec_passes_a_signal_on(start: Start, tmp_path: Path) -> None:
    """SIGTERM ends the command too, and the temporary state is gone."""
    file = tmp_path / "pid"
    script = f"""
import os, time, pathlib
pathlib.Path({str(file)!r}).write_text(f"{{os.getpid()}} {{os.environ['SSL_CERT_FILE']}}\\n")
time.sleep(600)
"""
    process = start("emulator", "exec", "--", sys.executable, "-c", script)
    pid, bundle = wait_for(file, process).split()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert not is_alive(int(pid))
    assert not Path(bundle).exists()


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_until_it_is_ended(start: Start, number: signal.Signals) -> None:
    """The emulator prints what a shell needs and runs until Ctrl-C or SIGTERM; then all is gone."""
    process = start("emulator", "run", "--json", stdin=subprocess.DEVNULL)
    assert process.stdout
    assert process.stderr
    lines = []
    while not lines or lines[-1] != "}\n":
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    shown = json.loads("".join(lines))
    environment = {**os.environ, **shown["environment"]}
    command = [sys.executable, "-c", ASK, "nothing"]
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert asked.stdout == "501\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert not Path(shown["config"]).exists()


@posix
def test_run_prints_lines_for_a_shell(start: Start) -> None:
    """Each line sets a variable; the notes go to standard error, with a path that other folders' shells understand."""
    process = start("emulator", "run", "--write-config", ".", stdin=subprocess.DEVNULL)
    assert process.stderr
    notes = ""
    while "listens on" not in notes:
        notes += process.stderr.readline()
    assert f"config.json is {Path('config.json').absolute()}" in notes
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert all(line.startswith("export ") for line in out.splitlines())
    assert "export https_proxy=http://127.0.0.1:" in out
