"""Fingerprints, reuse of earlier runs, and why there is none."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from mnistkit import DATA_FOLDER, Environment, Fingerprint, ReuseDecision, ScriptJob, Trainer
from mnistkit.data.folders import DigitsSource, FolderSource
from mnistkit.data.idx import write_idx
from mnistkit.data.web import CATALOG, WebSource
from mnistkit.errors import NotFoundError, RunFailedError, SpecError, UsageError
from mnistkit.interfaces import DataSource, SupportsDigests
from mnistkit.jobs import source_code as sources
from mnistkit.jobs.fingerprint import PARTS
from mnistkit.jobs.job import Job
from mnistkit.runs import reuse
from mnistkit.runs.record import RunState
from mnistkit.runs.submission import fingerprint
from mnistkit.testing.data import write_tiny_mnist
from mnistkit.utils.serialization import from_json, to_json

QUICK = {"max_iter": 20}


@pytest.fixture
def trainer(tiny_mnist: DataSource) -> Trainer:
    """Everything local, on the tiny MNIST, in the test's own home."""
    return Trainer.local(data=tiny_mnist)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder with a quick script."""
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "train.py").write_text("import helper\nprint('done')\n")
    (folder / "helper.py").write_text("RATE = 1\n")
    return folder


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Write a module of the user's own, to be imported in this test only."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sources, "_loaded", {})
    monkeypatch.setattr(sys, "modules", dict(sys.modules))

    def write(file: str, text: str) -> Path:
        path = folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return path

    return write


CLASSIFIER = "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression):\n    pass\n"


def parts_that_differ(one: Fingerprint, other: Fingerprint) -> set[str]:
    """The parts whose digests differ; the whole must differ if any does."""
    differ = {part for part in PARTS if one.digests[part] != other.digests[part]}
    assert (one.digest != other.digest) is bool(differ)
    assert {difference.part for difference in one.differences(other)} == differ
    return differ


def test_an_identical_run_is_reused(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    """With reuse the earlier run is returned and that is logged; without it there is a second run."""
    first = trainer.train(LogisticRegression(**QUICK), reuse=True)
    with caplog.at_level(logging.INFO, "mnistkit"):
        again = trainer.train(LogisticRegression(**QUICK), reuse=True)
    assert again.id == first.id
    assert f"reused run {first.id}" in caplog.text
    assert len(trainer.runs()) == 1
    assert trainer.train(LogisticRegression(**QUICK)).id != first.id
    assert len(trainer.runs()) == 2


def test_another_process_reuses_it(trainer: Trainer) -> None:
    """What is compared is in the record, so that another trainer on the same home finds the run."""
    run = trainer.train(LogisticRegression(**QUICK))
    other = Trainer.local(data=trainer.data)
    assert other.submit(other.job(LogisticRegression(**QUICK)), reuse=True).id == run.id


@pytest.mark.parametrize(
    ("change", "part", "line"),
    [
        ({"seed": 7}, "seed", "seed: 42 -> 7"),
        ({"limit": 100}, "parameters", "limit: not set -> 100"),
        ({"model_format": "joblib"}, "parameters", "model_format: skops -> joblib"),
    ],
)
def test_each_argument_that_matters_counts(trainer: Trainer, change: dict[str, object], part: str, line: str) -> None:
    """Seed, limit and format are told apart, and the explanation names old and new value."""
    run = trainer.train(LogisticRegression(**QUICK))
    job = trainer.job(LogisticRegression(**QUICK), **change)  # type: ignore[arg-type]
    explanation = trainer.explain_reuse(job)
    assert not explanation.reuses
    assert str(explanation) == (
        f"Nothing to reuse: the nearest run, {run.id}, differs (old -> new) in\n  {part}\n    {line}"
    )
    assert trainer.submit(job, reuse=True).wait().id != run.id


def test_what_doesnt_matter_doesnt_count(trainer: Trainer) -> None:
    """Tags, a time limit and retries leave the result as it is."""
    run = trainer.train(LogisticRegression(**QUICK))
    assert trainer.train(LogisticRegression(**QUICK), tags={"a": "b"}, timeout=60, retries=1, reuse=True).id == run.id


def test_parameters_are_compared_one_by_one(trainer: Trainer) -> None:
    """Parameters are shown as they are written, also deep in a pipeline; those left at their default as not set."""

    def job(scaler: object, **params: object) -> Job:
        return trainer.job(make_pipeline(scaler, LogisticRegression(**QUICK, **params)))

    run = trainer.submit(job(StandardScaler())).wait()
    assert str(trainer.explain_reuse(job(StandardScaler()))) == (
        f"Run {run.id} can be reused: it had the same code, parameters, data, libraries and seed."
    )
    text = str(trainer.explain_reuse(job(MinMaxScaler(), C=0.5)))
    assert text.splitlines()[2:] == [
        "    steps[0].minmaxscaler: not set -> sklearn.preprocessing.MinMaxScaler",
        "    steps[0].standardscaler: sklearn.preprocessing.StandardScaler -> not set",
        "    steps[1].logisticregression.C: not set -> 0.5",
    ]


def test_the_order_of_steps_counts(trainer: Trainer) -> None:
    """Two pipelines of the same steps in another order are two models."""
    one = trainer.job(make_pipeline(StandardScaler(), MinMaxScaler(), LogisticRegression()))
    other = trainer.job(make_pipeline(MinMaxScaler(), StandardScaler(), LogisticRegression()))
    assert parts_that_differ(fingerprint(one, trainer.data), fingerprint(other, trainer.data)) == {"parameters"}


def test_every_parameter_is_in_it(trainer: Trainer) -> None:
    """Estimators in lists, in tuples and as parameters all count, however deep."""

    def model(alpha: float, C: float) -> VotingClassifier:
        return VotingClassifier([("a", SGDClassifier(alpha=alpha)), ("b", make_pipeline(LogisticRegression(C=C)))])

    base = fingerprint(trainer.job(model(1, 2)), trainer.data)
    for other in (model(2, 2), model(1, 3)):
        [difference] = fingerprint(trainer.job(other), trainer.data).differences(base)
        assert difference.part == "parameters"


def test_the_nearest_run_is_named(trainer: Trainer) -> None:
    """Of several runs the one with the fewest differences is compared with; of equal ones the newest."""
    trainer.train(LogisticRegression(**QUICK, C=3, tol=0.1), seed=1)
    near = trainer.train(LogisticRegression(**QUICK, C=3))
    assert trainer.explain_reuse(trainer.job(LogisticRegression(**QUICK, C=4))).run_id == near.id
    newer = trainer.train(LogisticRegression(**QUICK, C=5))
    assert trainer.explain_reuse(trainer.job(LogisticRegression(**QUICK, C=4))).run_id == newer.id


def test_a_run_that_failed_is_never_reused(trainer: Trainer) -> None:
    """A failed run with the same fingerprint is named, and the job is run again."""
    with pytest.raises(RunFailedError):
        trainer.train(LogisticRegression(C=-1))
    job = trainer.job(LogisticRegression(C=-1))
    [failed] = trainer.runs()
    explanation = trainer.explain_reuse(job)
    assert str(explanation) == f"Nothing to reuse: run {failed.id} is the same, but it is Failed."
    assert trainer.submit(job, reuse=True).wait().id != failed.id


def test_a_completed_run_wins_over_a_failed_twin(trainer: Trainer) -> None:
    """Of runs that are the same, the completed one is taken, also if a newer one failed."""
    run = trainer.train(LogisticRegression(**QUICK))
    failed = attrs.evolve(
        run.record, id="other", transitions=(attrs.evolve(run.record.transitions[0], state=RunState.FAILED),)
    )
    known = run.record.job.fingerprint
    assert known is not None
    assert reuse.explain_reuse(known, [failed, run.record]).run_id == run.id
    assert reuse.explain_reuse(known, [run.record, failed]).reuses


def test_other_experiments_arent_looked_at(trainer: Trainer) -> None:
    """Reuse stays within an experiment."""
    trainer.train(LogisticRegression(**QUICK))
    other = Trainer.local(data=trainer.data, experiment="other")
    job = other.job(LogisticRegression(**QUICK))
    assert other.explain_reuse(job) == ReuseDecision()
    assert str(other.explain_reuse(job)) == "Nothing to reuse: there is no earlier run to compare with."


def test_jobs_submitted_straight_to_a_backend_stay_as_they_are(trainer: Trainer) -> None:
    """Without the trainer a job gets no fingerprint; with it, it equals the job that was given."""
    job = attrs.evolve(trainer.job(LogisticRegression(**QUICK)), experiment="x")
    straight = trainer.compute.submit(job, trainer.data)
    assert straight.job == job
    assert straight.job.fingerprint is None
    run = trainer.submit(job).wait()
    assert run.record.job == job
    assert run.record.job.fingerprint == fingerprint(job, trainer.data)
    trainer.run(straight.id).wait()


def test_it_travels_as_json(trainer: Trainer, script: Path) -> None:
    """A fingerprint comes back from JSON as it was, digest and all."""
    known = fingerprint(ScriptJob(str(script), "train.py", ("--rate", 0.5)), trainer.data)
    assert from_json(to_json(known), Fingerprint, "here") == known
    assert from_json(to_json(known), Fingerprint, "here").digest == known.digest


# Data


def test_data_is_compared_by_content(tmp_path: Path) -> None:
    """The same files elsewhere are the same data; other files in the same place aren't."""
    one, two = (Trainer.local(data=f"idx:{write_tiny_mnist(tmp_path / name)}") for name in ("one", "two"))
    run = one.train(LogisticRegression(**QUICK))
    assert two.train(LogisticRegression(**QUICK), reuse=True).id == run.id
    write_idx(tmp_path / "two" / "t10k-labels-idx1-ubyte.gz", np.zeros(100, dtype=np.uint8))
    explanation = two.explain_reuse(two.job(LogisticRegression(**QUICK)))
    assert [(d.part, d.item) for d in explanation.differences] == [("data", "t10k-labels-idx1-ubyte.gz")]


def test_a_folder_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's digest is computed again only if the file has changed."""
    source = FolderSource(write_tiny_mnist(tmp_path))
    path = tmp_path / "train-images-idx3-ubyte.gz"
    for file in tmp_path.iterdir():
        os.utime(file, (1, 1))
    monkeypatch.setattr("mnistkit.utils.files._SETTLED_NS", -(10**18))
    first = source.digests()
    monkeypatch.setattr("mnistkit.utils.files.file_info", None)
    assert source.digests() == first
    monkeypatch.undo()
    path.write_bytes(path.read_bytes() + b"x")
    assert source.digests()[path.name] != first[path.name]


def test_a_listed_folder_isnt_read(tmp_path: Path) -> None:
    """Where dataset.json has digests these count: reading the data verifies them."""
    folder = DigitsSource().fetch(tmp_path / "digits")
    (folder / "train-images-idx3-ubyte").write_bytes(b"damaged")
    assert FolderSource(folder).digests() == DigitsSource().digests()


def test_pinned_data_needs_nothing_fetched() -> None:
    """The digests of datasets on the web are known before they are fetched, and differ from one to the other."""
    digests = [tuple(sorted(WebSource(name).digests().items())) for name in CATALOG]
    assert len(set(digests)) == len(CATALOG)
    assert isinstance(WebSource("mnist"), SupportsDigests)


class _Silent(DataSource):
    """A source that doesn't say what it holds."""

    def __init__(self, source: DataSource) -> None:
        self._source = source

    @property
    def uri(self) -> str:
        return "silent"

    def fetch(self, into: Path) -> Path:
        return self._source.fetch(into)


def test_data_that_isnt_known_is_never_the_same(trainer: Trainer) -> None:
    """Runs on a source that doesn't say what it holds are run every time; explain says why."""
    silent = Trainer.local(data=_Silent(trainer.data))
    run = silent.train(LogisticRegression(**QUICK))
    assert run.record.job.fingerprint is None
    assert silent.train(LogisticRegression(**QUICK), reuse=True).id != run.id
    with pytest.raises(UsageError, match=r"silent doesn't identify its content.*SupportsDigests"):
        silent.explain_reuse(silent.job(LogisticRegression(**QUICK)))


def test_missing_data_is_a_failed_run_as_ever(trainer: Trainer, tmp_path: Path) -> None:
    """A folder that isn't there is an error of `explain`, and a Failed run of `submit`."""
    lost = Trainer.local(data=f"idx:{tmp_path / 'nowhere'}")
    job = lost.job(LogisticRegression(**QUICK))
    assert lost.submit(job, reuse=True).wait().state is RunState.FAILED
    with pytest.raises(NotFoundError, match="nowhere"):
        lost.explain_reuse(job)


# Code


def test_libraries_are_compared_by_version(trainer: Trainer) -> None:
    """Another version of a library is named, old and new."""
    known = fingerprint(trainer.job(LogisticRegression()), trainer.data)
    older = attrs.evolve(known, libraries={**known.libraries, "numpy": "1.26.0"})
    assert parts_that_differ(known, older) == {"libraries"}
    assert str(known.differences(older)[0]) == f"numpy: 1.26.0 -> {np.__version__}"


def test_scikit_learns_own_code_goes_by_its_version(trainer: Trainer) -> None:
    """An estimator of scikit-learn or mnistkit brings no files."""
    assert fingerprint(trainer.job(LogisticRegression()), trainer.data).code == {}


def test_a_class_of_ones_own_counts_with_what_it_imports(
    trainer: Trainer, write_module: Callable[[str, str], Path]
) -> None:
    """The files of the class, of the user's modules that it imports and of their packages count; others don't."""
    write_module("reuse_models.py", "import json\nfrom reuse_parts.deep import RATE\n" + CLASSIFIER)
    write_module("reuse_parts/__init__.py", "")
    deep = write_module("reuse_parts/deep.py", "from . import more\nRATE = 1\n")
    write_module("reuse_parts/more.py", "")
    write_module("reuse_unrelated.py", "")
    importlib.import_module("reuse_unrelated")
    job = trainer.job(importlib.import_module("reuse_models").Mine())
    known = fingerprint(job, trainer.data)
    assert sorted(known.code) == [
        "reuse_models.py", "reuse_parts/__init__.py", "reuse_parts/deep.py", "reuse_parts/more.py",
    ]  # fmt: skip
    deep.write_text("RATE = 2\n")
    importlib.reload(sys.modules["reuse_parts.deep"])
    again = fingerprint(job, trainer.data)
    changed = [difference for difference in again.differences(known) if difference.new]
    assert [(d.part, d.item) for d in changed] == [("code", "reuse_parts/deep.py")]
    assert len(str(changed[0])) == len("reuse_parts/deep.py:  -> ") + 24


def test_a_file_that_changed_after_its_import_counts_as_unknown(
    trainer: Trainer, write_module: Callable[[str, str], Path]
) -> None:
    """Whether the old or the new code will run depends on the backend: such a run is never reused, until a reload."""
    path = write_module("reuse_edited.py", CLASSIFIER)
    module = importlib.import_module("reuse_edited")
    job = trainer.job(module.Mine())
    assert fingerprint(job, trainer.data).code
    path.write_text(CLASSIFIER + "# edited\n")
    with pytest.raises(SpecError, match=r"reuse_edited\.py has changed since"):
        trainer.explain_reuse(job)
    importlib.reload(module)
    assert fingerprint(trainer.job(module.Mine()), trainer.data).code


def test_functions_as_parameters_count(trainer: Trainer, write_module: Callable[[str, str], Path]) -> None:
    """A function of the user's that is a parameter brings its file."""
    from sklearn.preprocessing import FunctionTransformer

    write_module("reuse_functions.py", "def halve(X):\n    return X / 2\n")
    halve = importlib.import_module("reuse_functions").halve
    job = trainer.job(make_pipeline(FunctionTransformer(halve), LogisticRegression()))
    assert list(fingerprint(job, trainer.data).code) == ["reuse_functions.py"]


# Scripts


def test_a_script_is_compared_file_by_file(trainer: Trainer, script: Path) -> None:
    """Any file that travels with a script counts, by name; what doesn't travel doesn't."""
    job = ScriptJob(str(script))
    run = trainer.submit(job).wait()
    assert run.state is RunState.COMPLETED, run.error
    (script / "outputs").mkdir()
    (script / "outputs" / "old.txt").write_text("old")
    (script / "__pycache__").mkdir()
    (script / "__pycache__" / "helper.pyc").write_text("cached")
    assert trainer.submit(job, reuse=True).id == run.id
    (script / "helper.py").write_text("RATE = 2\n")
    (script / "notes.txt").write_text("new")
    explanation = trainer.explain_reuse(job)
    assert [(d.part, d.item) for d in explanation.differences] == [("code", "helper.py"), ("code", "notes.txt")]
    assert "    notes.txt: absent -> " in str(explanation)
    assert trainer.submit(job, reuse=True).wait().id != run.id


def test_the_same_files_travel_that_count(trainer: Trainer, script: Path, tmp_path: Path) -> None:
    """The fingerprint has exactly the files that the backend copies."""
    for name in (".git/config", "venv/x.py", "deep/.tox/y", "deep/z.py", "logs/a.txt", "a.pyc", ".hidden"):
        (script / name).parent.mkdir(parents=True, exist_ok=True)
        (script / name).write_text(name)
    (script / "link.py").symlink_to(script / "helper.py")
    job = ScriptJob(str(script))
    run = trainer.submit(job).wait()
    code = Path(run.record.url, "code")
    travelled = {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file()}
    assert set(fingerprint(job, trainer.data).code) == {name for name in travelled if "__pycache__" not in name}


def test_runs_inside_a_scripts_folder_dont_count(tiny_mnist: DataSource, script: Path) -> None:
    """A home below the script's folder grows with every run, and isn't code."""
    trainer = Trainer.local(data=tiny_mnist, home=script / "home")
    run = trainer.submit(ScriptJob(str(script))).wait()
    assert run.state is RunState.COMPLETED, run.error
    assert trainer.submit(ScriptJob(str(script)), reuse=True).id == run.id


def test_arguments_are_compared_one_by_one(trainer: Trainer, script: Path) -> None:
    """An argument goes by its place and its option; the order of arguments counts."""

    def known(*arguments: object) -> Fingerprint:
        return fingerprint(ScriptJob(str(script), "train.py", arguments), trainer.data)  # type: ignore[arg-type]

    base = known("--data-folder", DATA_FOLDER, "--rate", 0.5)
    [difference] = known("--data-folder", DATA_FOLDER, "--rate", 0.8).differences(base)
    assert str(difference) == "arguments[3] (--rate): 0.5 -> 0.8"
    assert known("--rate", 0.5, "--data-folder", DATA_FOLDER).digest != base.digest
    assert known("a", "b").digest != known("b", "a").digest
    assert known("a").digest != known("a", "").digest


def test_secret_arguments_differ_but_arent_shown(trainer: Trainer, script: Path) -> None:
    """Another password is another fingerprint; none is in it."""

    def known(secret: str) -> Fingerprint:
        environment = Environment(variables={"API_TOKEN": secret, "THREADS": "2"})
        return fingerprint(ScriptJob(str(script), "train.py", ("--password", secret), environment=environment), source)

    source = trainer.data
    differences = known("hunter22").differences(known("hunter11"))
    assert len(differences) == 2
    for text in (*map(str, differences), to_json(known("hunter22")).decode(), repr(known("hunter22"))):
        assert "hunter" not in text
    assert "environment.variables.THREADS" in known("x").parameters


def test_environments_count_but_their_names_dont(trainer: Trainer, script: Path) -> None:
    """Requirements and variables count; the name of an environment is for people."""

    def known(**options: object) -> Fingerprint:
        environment = Environment(**options)  # type: ignore[arg-type]
        return fingerprint(ScriptJob(str(script), environment=environment), trainer.data)

    assert known(name="a") == known(name="b")
    for options in ({"pip": ("a",)}, {"conda": ("a",)}, {"python": "3.11"}, {"variables": {"a": "b"}}):
        assert parts_that_differ(known(**options), known()) == {"parameters"}


def test_many_files_are_kept_as_one_digest(trainer: Trainer, script: Path) -> None:
    """A folder of very many files makes no long record, and still every file counts."""
    for i in range(300):
        (script / f"{i}.txt").write_text("x")
    job = ScriptJob(str(script))
    known = fingerprint(job, trainer.data)
    assert list(known.code) == ["(302 files)"]
    (script / "7.txt").write_text("y")
    assert parts_that_differ(fingerprint(job, trainer.data), known) == {"code"}


def test_a_missing_script_is_refused_as_ever(trainer: Trainer, tmp_path: Path) -> None:
    """A script that isn't there is an error of `submit` and of `explain`."""
    for call in (trainer.submit, trainer.explain_reuse):
        with pytest.raises(NotFoundError, match="no-such-folder"):
            call(ScriptJob(str(tmp_path / "no-such-folder")))
    assert not trainer.runs()
