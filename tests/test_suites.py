"""The conformance suites: each catches an implementation written in a hurry, and says which promise it breaks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import frozen

import mnistkit.testing
from mnistkit.testing.contract import ContractSuite
from support.subprocesses import python_path

SUITES = [getattr(mnistkit.testing, name) for name in mnistkit.testing.__all__ if name.endswith("Suite")]

NAIVE_SOURCE = """
import pytest
from support.naive import NaiveSource
from mnistkit.testing import DataSourceSuite

class TestNaive(DataSourceSuite):
    @pytest.fixture
    def source(self):
        return NaiveSource()
"""

NAIVE_COMPUTE = """
import pytest
from support.naive import NaiveCompute
from mnistkit.testing import ComputeBackendSuite

class TestNaive(ComputeBackendSuite):
    deadline = 3.0

    @pytest.fixture
    def backend(self, tmp_path):
        return NaiveCompute(tmp_path / "home")

    def reopened(self, backend):
        return NaiveCompute(backend.root)
"""


@frozen
class Outcome:
    """What a suite found."""

    passed: set[str]
    failed: set[str]
    text: str


def run_suite(code: str, folder: Path, *options: str) -> Outcome:
    """Run a suite by a pytest of its own; what its jobs leave behind is ended."""
    (folder / "test_naive.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-rfEp", "-p", "no:cacheprovider", *options, "test_naive.py"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": python_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:  # what a job leaves behind may keep the pipe open
            lines.append(line)
            if re.match(r"\d+ (passed|failed).* in [\d.]+s", line):
                break
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    words = [line.split() for line in lines]
    found = [(w[0], w[1].split("::")[-1].split("[")[0]) for w in words if len(w) > 1 and "::" in w[1]]
    failed = {test for outcome, test in found if outcome in {"FAILED", "ERROR"}}
    return Outcome({test for outcome, test in found if outcome == "PASSED"} - failed, failed, "".join(lines))


@pytest.mark.skipif(os.name == "nt", reason="ends a session of processes")
def test_suite_catches_a_naive_source(tmp_path: Path) -> None:
    """The suite finds what a source written in a hurry gets wrong, and passes what it gets right."""
    found = run_suite(NAIVE_SOURCE, tmp_path, "--tb=no")
    assert found.failed >= {
        "test_a_folder_that_cant_be_made",
        "test_a_full_disk_leaves_nothing_half_written",
        "test_damaged_data_is_replaced_or_refused",
        "test_fetch_in_processes",
        "test_fetch_in_threads",
        "test_known_content_is_known_before_it_is_fetched",
        "test_missing_data_is_replaced",
        "test_uri_is_the_same_in_every_process",
    }, found.text
    assert found.passed >= {"test_fetch_returns_a_readable_folder", "test_uri_is_stable"}, found.text


@pytest.mark.skipif(os.name == "nt", reason="ends a session of processes")
def test_suite_catches_a_naive_backend(tmp_path: Path) -> None:
    """The suite finds what a backend written in a hurry gets wrong, and passes what it gets right."""
    found = run_suite(NAIVE_COMPUTE, tmp_path, "--tb=no")
    assert found.failed >= {
        "test_a_killed_script_says_by_what",
        "test_a_late_script_is_ended",
        "test_a_missing_script_is_refused",
        "test_a_regressor_is_refused",
        "test_a_script_gets_arguments_and_data",
        "test_a_script_logs_and_leaves_files",
        "test_an_error_in_training_is_kept",
        "test_an_estimator_that_isnt_there_is_refused",
        "test_cancel_after_the_end_changes_nothing",
        "test_cancel_ends_a_running_script",
        "test_detach_is_kept_or_refused",
        "test_files_that_arent_there",
        "test_logs_can_be_read_in_pieces",
        "test_odd_bytes_in_logs_never_raise",
        "test_records_outlive_their_process",
        "test_runs_are_listed_newest_first",
        "test_unknown_runs_are_not_found",
        "test_what_ends_badly_is_repeated",
    }, found.text
    assert found.passed >= {"test_is_a_compute_backend", "test_submit_returns_at_once"}, found.text


@pytest.mark.skipif(os.name == "nt", reason="ends a session of processes")
def test_a_failure_says_which_promise_broke(tmp_path: Path) -> None:
    """Under the failure of a suite's test stands the promise that it proves, and that the interface makes it."""
    options = ("-k", "test_a_folder_that_cant_be_made", "--show-capture=no")
    text = run_suite(NAIVE_SOURCE, tmp_path, *options).text
    assert " contract of DataSource " in text
    assert "contract: `fetch` raises `StorageError` if the folder given can't be made." in text


@pytest.mark.parametrize("suite", SUITES)
def test_every_test_of_a_suite_states_a_promise(suite: type[ContractSuite]) -> None:
    """Each test has a docstring of one sentence, and a subclass that overrides one still names it."""
    tests = [name for name in dir(suite) if name.startswith("test_")]
    assert tests
    promises = [suite.promise(name) for name in tests]
    assert [name for name, promise in zip(tests, promises, strict=True) if promise is None] == []
    assert [promise for promise in promises if promise and not promise[1].endswith(".")] == []
    mine = type("Mine", (suite,), {tests[0]: lambda self: None, "test_mine": lambda self: None})
    assert mine.promise(tests[0]) == promises[0]
    assert mine.promise("test_mine") is None


def test_a_capability_that_is_missing_skips() -> None:
    """A test that needs what the subclass says it lacks is skipped, and the reason names the capability."""

    class Without(ContractSuite):
        interface = "Nothing"
        runs_scripts = False

    with pytest.raises(pytest.skip.Exception, match=r"Without\.runs_scripts is False"):
        Without().require("runs_scripts")
