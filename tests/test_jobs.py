"""Jobs as values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.codec import from_json, to_json
from mnistkit.errors import DataFormatError, InvalidNameError, NotFoundError, UsageError
from mnistkit.jobs import DATA_FOLDER, Environment, Job, ScriptJob, TrainingJob, library_versions
from mnistkit.spec import ModelSpec

SPEC = ModelSpec("sklearn.linear_model.LogisticRegression", {"C": 2})
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.builds(
        TrainingJob,
        model=st.just(SPEC),
        seed=st.integers(0, 2**32 - 1),
        limit=st.none() | st.integers(1, 60000),
        tags=st.dictionaries(texts, texts, max_size=3),
    )
    | st.builds(
        ScriptJob,
        texts,
        arguments=st.lists(texts | st.floats() | st.integers(), max_size=4),
        environment=st.none()
        | st.builds(Environment, python=texts, variables=st.dictionaries(texts, texts, max_size=2)),
    )
)
def test_jobs_come_back_the_same(job: Job) -> None:
    """Every job is the same after a trip through JSON, and equal jobs give equal bytes."""
    data = to_json(job)
    assert from_json(data, Job, "job.json") == job
    assert to_json(from_json(data, Job, "job.json")) == data


def test_unknown_keys_are_refused() -> None:
    """A misspelt key is an error that names file and key, never ignored."""
    data = to_json(TrainingJob(model=SPEC)).replace(b'"seed"', b'"sead"')
    with pytest.raises(DataFormatError, match=r"job\.json.*sead"):
        from_json(data, Job, "job.json")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kind": "other"}', b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_job_is_refused(data: bytes) -> None:
    """Anything else than a job's JSON is `DataFormatError`."""
    with pytest.raises(DataFormatError, match="here"):
        from_json(data, Job, "here")


def test_arguments_are_text() -> None:
    """Numbers among a script's arguments become text."""
    job = ScriptJob("folder", "train.py", ("--data-folder", DATA_FOLDER, "--regularization", 0.5))
    assert job.arguments == ("--data-folder", DATA_FOLDER, "--regularization", "0.5")


def test_bad_values_are_refused_at_once() -> None:
    """A limit below 1, an experiment that can't be a name and a script outside of its folder are refused."""
    with pytest.raises(UsageError, match="limit=0"):
        TrainingJob(model=SPEC, limit=0)
    with pytest.raises(InvalidNameError, match="experiment name"):
        TrainingJob(model=SPEC, experiment="a/b")
    with pytest.raises(InvalidNameError, match="entry script"):
        ScriptJob("folder", "../train.py")


def test_a_missing_script_lists_the_others(tmp_path: Path) -> None:
    """`check` says which scripts the folder holds."""
    (tmp_path / "main.py").touch()
    with pytest.raises(NotFoundError, match=r"no train\.py; its scripts: main\.py"):
        ScriptJob(str(tmp_path)).check()


def test_the_current_environment_is_pinned() -> None:
    """`Environment.current` pins what is installed here."""
    environment = Environment.current()
    assert f"scikit-learn=={library_versions()['scikit-learn']}" in environment.pip
    assert environment.python == library_versions()["python"]
