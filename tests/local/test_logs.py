"""Reading logs of any bytes: nothing raises, and text that was once returned never changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mnistkit.jobs.job import ScriptJob
from mnistkit.runs.folder.store import RunStore
from mnistkit.runs.record import RunState

Logged = tuple[RunStore, str]

TRICKY = ("é", "数", "😀", "\ufeff", "\u202e", "\x1b[2J", "\x00", "\r\n", "\n", "a", "\\xff", "\u2028")

any_bytes = st.binary(max_size=40)
broken_text = st.lists(
    st.one_of(
        st.sampled_from([text.encode() for text in TRICKY]),
        st.sampled_from([text.encode()[:-1] for text in TRICKY]),
        st.binary(max_size=2),
    ),
    max_size=12,
).map(b"".join)


@pytest.fixture(scope="module")
def new_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Logged]:
    """Make a run that hasn't ended, with an empty log."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "script").mkdir()
    (folder / "script" / "train.py").touch()
    store = RunStore(folder / "home")

    def create() -> Logged:
        run_id = store.create(ScriptJob(folder / "script"), "digits")
        store.log_file(run_id).write_bytes(b"")
        return store, run_id

    return create


def follow(logged: Logged, data: bytes) -> list[str]:
    """Let the log grow byte by byte until the run ends, and read it after each, from where the last reading ended."""
    store, run_id = logged
    pieces: list[str] = []
    with store.log_file(run_id).open("ab", buffering=0) as log:
        for at in range(len(data)):
            log.write(data[at : at + 1])
            pieces.append(store.read_log(run_id, sum(map(len, pieces))))
    store.advance(run_id, RunState.COMPLETED)
    pieces.append(store.read_log(run_id, sum(map(len, pieces))))
    return pieces


@settings(deadline=None)
@given(data=any_bytes | broken_text)
@example(data="😀".encode()[:3])
@example(data=b"\xed\xa0\x80 \xf4\x90\x80\x80 \xc0\xaf")
def test_the_pieces_are_the_whole(new_run: Callable[[], Logged], data: bytes) -> None:
    """Read piece by piece while it grows, a log is what one decoding of all its bytes is."""
    assert "".join(follow(new_run(), data)) == data.decode("utf-8", "backslashreplace")


@pytest.mark.slow
@settings(deadline=None, max_examples=5000)
@given(data=any_bytes | broken_text)
def test_the_pieces_of_5000_logs(new_run: Callable[[], Logged], data: bytes) -> None:
    """Five thousand logs of random bytes: never an error, and the pieces are the whole."""
    assert "".join(follow(new_run(), data)) == data.decode("utf-8", "backslashreplace")


@settings(deadline=None, max_examples=20)
@given(data=broken_text)
def test_an_ended_run_is_read_from_any_character(new_run: Callable[[], Logged], data: bytes) -> None:
    """Once a run has ended, its log from character n on is the end of the whole, for every n."""
    store, run_id = new_run()
    store.log_file(run_id).write_bytes(data)
    store.advance(run_id, RunState.FAILED, error="it failed")
    whole = data.decode("utf-8", "backslashreplace")
    assert [store.read_log(run_id, start) for start in range(len(whole) + 2)] == [
        whole[start:] for start in range(len(whole) + 2)
    ]


def test_naive_decoding_of_pieces_is_wrong() -> None:
    """The proof can fail: decoding each piece by itself breaks characters that lie across two pieces."""
    data = "數字".encode()
    naive = "".join(data[at : at + 1].decode("utf-8", "backslashreplace") for at in range(len(data)))
    assert naive != data.decode()


def test_a_log_that_is_not_there_yet(new_run: Callable[[], Logged]) -> None:
    """A run that has written nothing has an empty log."""
    store, run_id = new_run()
    store.log_file(run_id).unlink()
    assert store.read_log(run_id, 0) == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("kind", ["pipe", "link", "link to a pipe", "folder"])
def test_what_a_job_put_in_place_of_its_files_is_not_read(
    new_run: Callable[[], Logged], tmp_path: Path, kind: str
) -> None:
    """A log or a list of metrics that is no file of the run's own neither makes a reader wait nor leads it away."""
    store, run_id = new_run()
    secret = tmp_path / "secret"
    secret.write_text('{"name": "secret", "value": 1}\n')
    os.mkfifo(tmp_path / "pipe")
    for path in (store.log_file(run_id), store.folder(run_id) / "metrics.jsonl"):
        path.unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to(secret if kind == "link" else tmp_path / "pipe")
    assert store.read_log(run_id, 0) == ""
    assert store.read(run_id).metrics == {}
