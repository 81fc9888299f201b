"""Jobs as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.errors import DataFormatError, InvalidNameError, NotFoundError, UsageError
from mnistkit.jobs.environment import Environment, library_versions
from mnistkit.jobs.job import DATA_FOLDER, Job, ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.utils.serialization import from_json, to_json

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


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**32},
        {"seed": 1.5},
        {"seed": None},
        {"limit": 2.5},
        {"limit": "10"},
        {"model_format": "x"},
        {"timeout": float("inf")},
        {"timeout": "5"},
        {"retries": 1.5},
        {"tags": "abc"},
        {"tags": {"a": "\ud800"}},
    ],
    ids=str,
)
def test_what_no_record_could_keep_is_refused_at_once(options: dict[str, Any]) -> None:
    """A value that couldn't be written to ``job.json`` and read again is refused before there is a run, by its name."""
    (name,) = options
    with pytest.raises(UsageError, match=f"{name}="):
        TrainingJob(model=SPEC, **options)


def test_numbers_of_numpy_are_numbers() -> None:
    """Whole numbers of numpy become Python's, and tags that are no text become text."""
    given = {
        "seed": np.int64(3),
        "limit": np.uint8(9),
        "retries": np.int32(1),
        "timeout": np.float32(2),
        "tags": {1: 2},
    }
    job = TrainingJob(model=SPEC, **cast("dict[str, Any]", given))
    assert job == TrainingJob(model=SPEC, seed=3, limit=9, retries=1, timeout=2.0, tags={"1": "2"})
    assert from_json(to_json(job), Job, "job.json") == job


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
