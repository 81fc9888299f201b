"""Text of the user's that becomes a path: whatever it is, it stays below its root or is refused, everywhere."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnistkit import Trainer
from mnistkit.errors import MnistkitError
from mnistkit.interfaces import DataSource
from mnistkit.jobs.job import ScriptJob, TrainingJob
from mnistkit.jobs.spec import ModelSpec
from mnistkit.local.processes.compute import ProcessCompute
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.plugins import compute_backend, data_source, model_registry
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.verification import verify_models
from mnistkit.registry.version import ModelRef
from mnistkit.runs.context import FolderContext
from mnistkit.runs.folder.backend import FolderBackend
from mnistkit.runs.record import RunState
from mnistkit.runs.run import Run
from mnistkit.testing.hostile_names import HOSTILE_NAMES
from mnistkit.utils.names import check_file, check_name

SPEC = ModelSpec("sklearn.dummy.DummyClassifier", {})
SECRET = "canary-77aa"
ALPHABETS = (
    "./\\:~%a\0\nC ",
    "abc.-_0",
    "\ud800\udfff\u202e\u2215\uff0e\uff0fé\x1b\x7f",
    "".join(map(chr, range(1, 256))),
)


def random_texts(count: int) -> Iterator[str]:
    """Yield short texts that are full of what means something to file systems."""
    rng = random.Random(11)
    parts = (
        "..",
        "/",
        "../",
        "con",
        "nul.",
        "C:",
        "secret",
        "%2e%2e%2f",
        "~",
        "outputs/",
        "\\\\?\\",
        "\0",
        "\n",
        "a" * 70,
    )
    for _ in range(count):
        alphabet = rng.choice(ALPHABETS)
        pieces = [rng.choice((*parts, *alphabet)) for _ in range(rng.randint(0, 6))]
        yield "".join(pieces)


@pytest.fixture(params=[InProcessCompute, ProcessCompute], ids=lambda kind: kind.__name__)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> FolderBackend:
    """Each backend of this machine."""
    kind: type[FolderBackend] = request.param
    return kind(tmp_path / "root" / "home")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything happens below ``root``; what lies beside it and above must not be touched."""
    (tmp_path / "root" / "here").mkdir(parents=True)
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "root" / "secret").write_text(SECRET)
    monkeypatch.chdir(tmp_path / "root" / "here")
    return tmp_path / "root"


def listing(folder: Path) -> list[Path]:
    """All that is below a folder."""
    return sorted(folder.rglob("*"))


def accepted(use: Callable[[str], object], texts: Iterator[str] | tuple[str, ...]) -> list[str]:
    """Those texts that aren't refused; any other error than ours is raised."""
    taken = []
    for text in texts:
        try:
            use(text)
        except MnistkitError:
            continue
        taken.append(text)
    return taken


def names_by_parameter(folder: Path) -> dict[str, Callable[[str], object]]:
    """Each public parameter that is a name, and becomes a part of a path."""
    registry = FolderRegistry(folder / "models")
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "file").touch()
    registry.register("digits", folder / "model", ModelInfo(format="files"))
    compute = InProcessCompute(folder / "home")
    return {
        "experiment of a training job": lambda name: TrainingJob(model=SPEC, experiment=name),
        "experiment of a script": lambda name: ScriptJob(".", experiment=name),
        "experiment of a trainer": lambda name: Trainer.local(home=folder / "home", data="digits", experiment=name),
        "run id of get": compute.get,
        "run id of cancel": compute.cancel,
        "run id of logs": compute.logs,
        "run id of download": lambda name: compute.download(name, "logs/std_log.txt", folder / "into"),
        "model name of register": lambda name: registry.register(name, folder / "model", ModelInfo(format="files")),
        "model name of get": registry.get,
        "model name of versions": registry.versions,
        "model name of delete": lambda name: registry.delete(name, 1),
        "model name of aliases": registry.aliases,
        "model name of assign": lambda name: registry.assign(name, "production", 1),
        "model name of verify": lambda name: verify_models(registry, name, 1),
        "alias": lambda name: registry.assign("digits", name, 1),
        "model reference": lambda name: ModelRef.parse(f"{name}:1"),
        "alias in a reference": lambda name: ModelRef.parse(f"digits@{name}"),
        "data source": lambda name: data_source(f"{name}:x"),
        "compute backend": lambda name: compute_backend(name, folder / "home"),
        "model registry": lambda name: model_registry(name, folder / "home"),
    }


def test_hostile_names_are_refused_everywhere(root: Path, tmp_path: Path) -> None:
    """No parameter takes any of the hostile names, and nothing is made anywhere but below its own root."""
    uses = names_by_parameter(root / "own")
    before = listing(tmp_path)
    taken = {parameter: accepted(use, HOSTILE_NAMES) for parameter, use in uses.items()}
    # ModelRef splits its text, so a hostile text may be a good name and something else: what matters is what it means.
    references = {"model reference", "alias in a reference"}
    assert {parameter: names for parameter, names in taken.items() if names and parameter not in references} == {}
    for name in HOSTILE_NAMES:
        for text in (f"{name}:1", f"digits@{name}"):
            if accepted(ModelRef.parse, (text,)):
                reference = ModelRef.parse(text)
                assert check_name(reference.name, "name") == reference.name
                assert reference.alias is None or check_name(reference.alias, "alias") == reference.alias
    assert listing(tmp_path) == before


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_random_names_stay_inside(root: Path, tmp_path: Path, count: int) -> None:
    """Random names are refused, or are one component below the root; no other error than ours is ever raised."""
    own = root / "own"
    uses = names_by_parameter(own)
    outside = [path for path in listing(tmp_path) if own not in path.parents]
    for use in uses.values():
        accepted(use, random_texts(count // len(uses)))
    for name in accepted(lambda text: check_name(text, "name"), random_texts(count)):
        assert (own / name).resolve().parent == own.resolve()
    for file in accepted(check_file, random_texts(count)):
        assert own.resolve() in (own / file).resolve().parents
        assert file.encode()
    assert [path for path in listing(tmp_path) if own not in path.parents] == outside
    models = own / "models" / "models"
    assert all(check_name(path.name, "model") for path in models.iterdir())


def test_a_naive_join_leaves_its_folder(tmp_path: Path) -> None:
    """The same texts lead a join without a check out of its folder."""
    inside = (tmp_path / "root").resolve()
    led = [text for text in random_texts(2_000) if "\0" not in text and inside not in _resolved(inside, text).parents]
    assert len(led) > 100


def _resolved(folder: Path, text: str) -> Path:
    return Path(os.path.normpath(folder / text))


def _is_elsewhere(text: str, root: Path) -> bool:
    """Whether the text means a folder that is there, but not below ``root``: it may hold the whole disk."""
    try:
        folder = os.path.abspath(os.path.expanduser(text.strip()))  # noqa: PTH100, PTH111 - of any text
    except ValueError:
        return False
    return os.path.isdir(folder) and not folder.startswith(str(root))  # noqa: PTH112 - the same


HOSTILE_FILES = (
    *(name for name in HOSTILE_NAMES if name != "..."),
    *("../record.json", "../../secret", "../../../secret", "outputs/../../../secret", "/etc/hostname", "job.json"),
    *(
        "record.json",
        "metrics.jsonl",
        "outputs",
        "logs",
        "outputs/",
        "outputs//model",
        "./logs/std_log.txt",
        "code/train.py",
    ),
    *("outputs/link", "outputs/home/secret", "logs/../job.json", "LOGS/std_log.txt", "outputs/\udcff"),
)


def test_only_a_runs_own_files_are_handed_out(backend: FolderBackend, tiny_mnist: DataSource, root: Path) -> None:
    """A download gives the listed files of a run and nothing else, whatever name is asked for."""
    script = root / "script"
    script.mkdir()
    (script / "train.py").write_text(
        "import os\nrun = os.environ['MNISTKIT_RUN_FOLDER']\n"
        f"os.symlink({str(root / 'secret')!r}, run + '/outputs/link')\n"
        f"os.symlink({str(root)!r}, run + '/outputs/home')\n"
        "open(run + '/outputs/ok', 'w').write('ok')\n"
    )
    run = Run(backend, backend.submit(ScriptJob(str(script)), tiny_mnist)).wait(60)
    assert run.state is RunState.COMPLETED, run.error
    outside = [path for path in listing(root) if root / "into" not in path.parents]
    texts = (*HOSTILE_FILES, *random_texts(60))
    assert set(accepted(lambda file: run.download(file, root / "into"), texts)) <= set(run.files)
    assert run.download("outputs/ok", root / "into").read_text() == "ok"
    assert [path.name for path in listing(root / "into")] == ["ok"]
    assert [path for path in listing(root) if root / "into" not in path.parents and path != root / "into"] == outside


@pytest.mark.parametrize("count", [500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_entry_scripts_lie_in_their_folder(root: Path, count: int) -> None:
    """The script of a job is a file below its folder, or the job can't be made."""
    for file in accepted(lambda text: ScriptJob(".", text), (*HOSTILE_NAMES, *random_texts(count))):
        assert root.resolve() in (root / ScriptJob(".", file).entry_script).resolve().parents
    for file in ("../train.py", "/etc/passwd", "a/../../b.py", "..\\train.py", "C:/train.py", "-c\nprint()"):
        assert accepted(lambda text: ScriptJob(".", text), (file,)) == []


def test_pictures_and_tables_lie_in_the_outputs(root: Path) -> None:
    """What a job calls a table is refused, or kept below its outputs."""
    context = FolderContext(root / "run")
    for name in (*HOSTILE_NAMES, *random_texts(500)):
        accepted(lambda text: context.log_confusion_matrix(text, [[1]], ["0"]), (name,))
    kept = [path for path in listing(root) if path.is_file() and path.name != "secret"]
    assert kept
    assert all(root / "run" / "outputs" in path.parents for path in kept)


def test_data_uris_name_folders_and_nothing_else(root: Path, tmp_path: Path) -> None:
    """Any text after ``idx:`` is a folder of the user's to look at: nothing is made, and only our errors are raised."""
    before = listing(tmp_path)
    texts = [
        *HOSTILE_NAMES,
        *random_texts(1_000),
        "~nobody-of-this-name",
        "\0",
        "a\0b",
        "\udcff",
        "x" * 300,
        "x" * 5000,
    ]
    texts = [text for text in texts if not _is_elsewhere(text, tmp_path)]
    assert accepted(lambda text: data_source(f"idx:{text}").fetch(root / "into"), texts) == []
    assert accepted(data_source, tuple(texts[:60])) == []
    assert listing(tmp_path) == before
