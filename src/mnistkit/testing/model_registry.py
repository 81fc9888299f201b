"""The contract of `ModelRegistry`, as tests to subclass."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timezone
from pathlib import Path
from threading import Barrier
from typing import Final

import pytest
from attrs import evolve

from mnistkit.errors import (
    ConflictError,
    IntegrityError,
    InvalidNameError,
    ModelNotFoundError,
    StorageError,
    UsageError,
)
from mnistkit.interfaces import ModelRegistry
from mnistkit.models.files import FORMATS
from mnistkit.registry.verification import Verification
from mnistkit.registry.version import ModelVersion
from mnistkit.testing.contract import ContractSuite
from mnistkit.utils.files import FileInfo, sha256_hex

__all__ = ["HOSTILE_NAMES", "ModelRegistrySuite"]

HOSTILE_NAMES: Final = (
    *(
        "",
        ".",
        "..",
        "...",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a/../b",
        "./a",
        "a/",
        "a\\b",
        "..\\a",
        "\\\\h\\s",
    ),
    *(
        "C:x",
        "C:/x",
        "c:\\x",
        "a:b",
        "a@b",
        "a?x",
        "a#x",
        "a%x",
        "%2e%2e",
        "%2e%2e%2fx",
        "a*",
        "~",
        "~root",
        "$HOME",
        "`id`",
    ),
    *(
        "a\n",
        "a\r\n",
        "\na",
        "a\0",
        "a\0.skops",
        "a\tb",
        "a b",
        " a",
        "a ",
        ".a",
        "a.",
        "-a",
        "a-",
        "_a",
        "a..b",
        "a|b",
        "a;b",
    ),
    *("con", "CON", "con.txt", "nul", "AUX", "prn", "com1", "LPT9", "lpt0.skops"),
    *(
        "modèle",
        "\u0430dmin",
        "\uff41",
        "a\u2024b",
        "a\u2044b",
        "a\u202eb",
        "a\u200b",
        "\ufeffa",
        "\uff11",
        "\ud800",
        "😀",
    ),
    *("a" * 65, "a" * 5000, "a" * 100_000, '"a"', "'a'", "<a>"),
)
"""Texts that break `mnistkit.utils.NAME_RULE`: climbing, absolute, encoded, reserved, look-alikes, too long."""

_GOOD_NAMES = ("a", "Z9", "sklearn_mnist", "a.b-c_d", "2026-01-31", "console", "a" * 64)
_FILES = {"model.skops": b"the model", "labels.txt": "zéro\nun\n".encode(), "extra/deep/empty.bin": b""}


class ModelRegistrySuite(ContractSuite):
    """The contract of a model registry. Subclass it with a fixture ``registry`` that returns a new, empty one.

    ::

        class TestMyRegistry(ModelRegistrySuite):
            @pytest.fixture
            def registry(self, tmp_path):
                return MyRegistry(tmp_path / "registry")

    The docstring of each test is the promise of the contract that it proves. Override `damage` and `reopened` if you
    can: their tests are skipped without them.
    """

    interface = "ModelRegistry"

    @pytest.fixture
    def registry(self) -> ModelRegistry:
        """The registry under test, empty."""
        raise NotImplementedError("define a fixture 'registry' in the subclass")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder with files to register, one of them in a subfolder and empty."""
        for file, data in _FILES.items():
            path = tmp_path / "source" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return tmp_path / "source"

    def damage(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Change a byte of the stored ``model.skops`` of ``model`` behind the registry's back."""
        pytest.skip(f"damage() isn't overridden: nothing can reach the files of {model.id} in {registry!r}")

    def damage_record(self, registry: ModelRegistry, model: ModelVersion) -> None:
        """Make what is kept about ``model``, other than its files, unreadable behind the registry's back."""
        pytest.skip(f"damage_record() isn't overridden: nothing can reach what {registry!r} keeps about {model.id}")

    def reopened(self, registry: ModelRegistry) -> ModelRegistry:
        """The same registry as a later process makes it."""
        pytest.skip(f"reopened() isn't overridden: nothing tells what a later process finds of {registry!r}")

    def test_is_a_model_registry(self, registry: ModelRegistry) -> None:
        """A registry is a `ModelRegistry`."""
        assert isinstance(registry, ModelRegistry)

    def test_empty(self, registry: ModelRegistry) -> None:
        """An empty registry has no names, no versions and no aliases, and says so without an error."""
        assert registry.names() == ()
        assert registry.versions("digits") == ()
        assert dict(registry.aliases("digits")) == {}

    def test_versions_count_from_one(self, registry: ModelRegistry, folder: Path) -> None:
        """Versions of a name are 1, 2, 3 and so on; each name counts by itself."""
        assert [registry.register("digits", folder, format="files").version for _ in range(3)] == [1, 2, 3]
        assert registry.register("letters", folder, format="files").version == 1

    def test_versions_are_newest_first(self, registry: ModelRegistry, folder: Path) -> None:
        """`versions` lists all of them, newest first, as `register` and `get` return them."""
        registered = [registry.register("digits", folder, format="files") for _ in range(12)]
        assert registry.versions("digits") == tuple(reversed(registered))
        assert registry.get("digits", 10) == registered[9]

    def test_newest_is_the_default(self, registry: ModelRegistry, folder: Path) -> None:
        """`get` without a version returns the one with the highest number, not the last in the alphabet."""
        for _ in range(11):
            registry.register("digits", folder, format="files")
        assert registry.get("digits").version == 11

    def test_names_are_sorted(self, registry: ModelRegistry, folder: Path) -> None:
        """`names` lists the models that have a version, sorted."""
        for name in ("letters", "digits", "Zebra"):
            registry.register(name, folder, format="files")
        assert registry.names() == ("Zebra", "digits", "letters")

    def test_everything_said_is_kept(self, registry: ModelRegistry, folder: Path) -> None:
        """Format, metrics, tags, description and run id come back as they were given, with a time in UTC."""
        said = {
            "format": "joblib",
            "metrics": {"accuracy": 0.1 + 0.2, "regularization rate": 1e-300, "count": -0.0},
            "tags": {"owner": "Zoë 😀", "empty": "", "Key with spaces": 'line\n"quoted" \\'},
            "description": "a\tb\n\n{} null",
            "run_id": "20260131-120000-abc123",
        }
        model = registry.get("digits", registry.register("digits", folder, **said).version)  # type: ignore[arg-type]  # a dict of keywords
        assert {key: getattr(model, key) for key in said} == said
        assert (model.name, model.version, model.id) == ("digits", 1, "digits:1")
        assert model.created_at.utcoffset() == timezone.utc.utcoffset(None)

    def test_nothing_said_is_nothing_kept(self, registry: ModelRegistry, folder: Path) -> None:
        """Metrics, tags, description and run id are optional and empty by default."""
        model = registry.register("digits", folder, format="files")
        assert (dict(model.metrics), dict(model.tags), model.description, model.run_id) == ({}, {}, "", None)

    @pytest.mark.parametrize("format_", FORMATS)
    def test_every_format_is_taken(self, registry: ModelRegistry, folder: Path, format_: str) -> None:
        """Every format of `FORMATS` can be registered: a registry keeps files and doesn't look into them."""
        assert registry.register("digits", folder, format=format_).format == format_

    def test_files_are_described(self, registry: ModelRegistry, folder: Path) -> None:
        """``files`` holds the size and sha256 of each file, by its relative POSIX path, subfolders included."""
        expected = {file: FileInfo(len(data), sha256_hex(data)) for file, data in _FILES.items()}
        assert registry.register("digits", folder, format="files").files == expected

    def test_digest_tells_versions_apart(self, registry: ModelRegistry, folder: Path) -> None:
        """``digest`` is 64 hexadecimal digits, stays the same, and differs between versions."""
        first, second = (registry.register("digits", folder, format="files") for _ in range(2))
        assert len(first.digest) == 64
        assert int(first.digest, 16) >= 0
        assert registry.get("digits", 1).digest == first.digest != second.digest

    def test_download_gives_the_files(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` returns the folder it was given, created, with exactly the registered files."""
        model = registry.register("digits", folder, format="files")
        into = tmp_path / "new" / "folder"
        assert registry.download(model, into) == into
        assert _content(into) == _FILES

    def test_download_again(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` replaces files of the same name and leaves others alone."""
        model = registry.register("digits", folder, format="files")
        (tmp_path / "into").mkdir()
        (tmp_path / "into" / "mine.txt").write_bytes(b"mine")
        (tmp_path / "into" / "model.skops").write_bytes(b"an older model")
        registry.download(model, tmp_path / "into")
        assert _content(registry.download(model, tmp_path / "into")) == {**_FILES, "mine.txt": b"mine"}

    def test_registered_files_are_a_copy(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """Changing the source folder, or a downloaded copy, doesn't change the version."""
        model = registry.register("digits", folder, format="files")
        (folder / "model.skops").write_bytes(b"changed")
        (registry.download(model, tmp_path / "one") / "model.skops").write_bytes(b"changed too")
        assert _content(registry.download(model, tmp_path / "two")) == _FILES
        assert registry.get("digits", 1) == model

    def test_source_stays_as_it_is(self, registry: ModelRegistry, folder: Path) -> None:
        """Registering leaves the source folder as it is."""
        registry.register("digits", folder, format="files")
        assert _content(folder) == _FILES

    def test_damage_is_found(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` refuses a version whose files were altered, leaves nothing, and the others stay usable."""
        bad, good = (registry.register("digits", folder, format="files") for _ in range(2))
        self.damage(registry, bad)
        with pytest.raises(IntegrityError):
            registry.download(bad, tmp_path / "bad")
        assert _content(tmp_path / "bad") == {}
        assert _content(registry.download(good, tmp_path / "good")) == _FILES

    def test_verify_passes_what_is_whole(self, registry: ModelRegistry, folder: Path) -> None:
        """`verify` says how many versions and bytes it compared, of one version, of a name or of all; none is off."""
        size = sum(len(data) for data in _FILES.values())
        assert registry.verify() == Verification(0, 0)
        for name in ("digits", "digits", "digits", "letters"):
            registry.register(name, folder, format="files")
        registry.delete("digits", 2)
        assert registry.verify() == Verification(3, 3 * size)
        assert registry.verify("digits") == Verification(2, 2 * size)
        assert registry.verify("digits", 3) == Verification(1, size)
        for name, version in (("digits", 2), ("digits", 9), ("unknown", None)):
            with pytest.raises(ModelNotFoundError):
                registry.verify(name, version)
        with pytest.raises(UsageError):
            registry.verify(version=1)

    def test_verify_finds_damage(self, registry: ModelRegistry, folder: Path) -> None:
        """`verify` names each version that was altered, and counts it; the others aren't named."""
        models = [registry.register("digits", folder, format="files") for _ in range(3)]
        self.damage(registry, models[1])
        for verification in (registry.verify(), registry.verify("digits"), registry.verify("digits", 2)):
            assert {problem.model for problem in verification.problems} == {"digits:2"}
            assert "model.skops" in str(verification.problems[0])
        assert registry.verify("digits").versions == 3
        assert registry.verify("digits", 3).problems == ()

    def test_numbers_are_those_there(self, registry: ModelRegistry, folder: Path) -> None:
        """`numbers` are the versions that aren't deleted, newest first."""
        assert registry.numbers("digits") == ()
        for _ in range(3):
            registry.register("digits", folder, format="files")
        registry.delete("digits", 2)
        assert registry.numbers("digits") == (3, 1)

    def test_unreadable_version_hides_no_other(
        self, registry: ModelRegistry, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A version that can't be read is an `IntegrityError`, a problem, and left out with a warning; others stay."""
        models = [registry.register("digits", folder, format="files") for _ in range(3)]
        self.damage_record(registry, models[1])
        with pytest.raises(IntegrityError, match="digits:2"):
            registry.get("digits", 2)
        assert registry.versions("digits") == (models[2], models[0])
        assert "digits:2" in caplog.text
        assert {problem.model for problem in registry.verify().problems} == {"digits:2"}
        assert registry.register("digits", folder, format="files").version == 4

    def test_later_processes_find_everything(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """After `register` and `assign` a later process finds versions, files and aliases as they were."""
        model = registry.register("digits", folder, format="files", metrics={"accuracy": 0.9})
        registry.assign("digits", "champion", 1, reason="the first")
        aliases = dict(registry.aliases("digits"))
        later = self.reopened(registry)
        assert (later.names(), later.versions("digits")) == (("digits",), (model,))
        assert dict(later.aliases("digits")) == aliases
        assert _content(later.download(model, tmp_path / "later")) == _FILES
        assert later.register("digits", folder, format="files").version == 2

    def test_download_where_nothing_can_be_written(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` into a folder that can't be made is a `StorageError`."""
        model = registry.register("digits", folder, format="files")
        (tmp_path / "file").write_bytes(b"in the way")
        with pytest.raises(StorageError):
            registry.download(model, tmp_path / "file" / "into")

    def test_download_checks_the_digest(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` refuses if the version at hand has another digest than the one that is kept."""
        model = registry.register("digits", folder, format="files")
        with pytest.raises(IntegrityError):
            registry.download(evolve(model, digest="0" * 64), tmp_path / "into")
        assert _content(tmp_path / "into") == {}

    def test_what_is_missing(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """An unknown model or version is a `ModelNotFoundError` in every method; the message lists what there is."""
        model = registry.register("digits", folder, format="files")
        calls: dict[str, Callable[[], object]] = {
            "get(unknown)": lambda: registry.get("letters"),
            "get(unknown, 1)": lambda: registry.get("letters", 1),
            "get(2)": lambda: registry.get("digits", 2),
            "get(0)": lambda: registry.get("digits", 0),
            "get(-1)": lambda: registry.get("digits", -1),
            "delete(2)": lambda: registry.delete("digits", 2),
            "delete(unknown)": lambda: registry.delete("letters", 1),
            "assign(2)": lambda: registry.assign("digits", "champion", 2),
            "assign(unknown)": lambda: registry.assign("letters", "champion", 1),
            "download(2)": lambda: registry.download(evolve(model, version=2), tmp_path / "into"),
            "download(unknown)": lambda: registry.download(evolve(model, name="letters"), tmp_path / "into"),
        }
        for call, function in calls.items():
            with pytest.raises(ModelNotFoundError) as caught:
                pytest.fail(f"{call} returned {function()!r} instead of raising ModelNotFoundError")
            assert ("digits" if "unknown" in call else "1") in str(caught.value), f"{call} doesn't list what there is"
        assert dict(registry.aliases("digits")) == {}
        assert registry.names() == ("digits",)

    def test_delete_keeps_the_number(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """A deleted version is gone, its number is never used again, and deleting it again does nothing."""
        models = [registry.register("digits", folder, format="files") for _ in range(3)]
        registry.delete("digits", 3)
        registry.delete("digits", 3)
        registry.delete("digits", 1)
        assert [model.version for model in registry.versions("digits")] == [2]
        assert registry.get("digits").version == 2
        for function in (lambda: registry.get("digits", 3), lambda: registry.download(models[2], tmp_path / "into")):
            with pytest.raises(ModelNotFoundError):
                function()
        assert registry.register("digits", folder, format="files").version == 4

    def test_delete_all(self, registry: ModelRegistry, folder: Path) -> None:
        """A model whose versions are all deleted has no name any more, and still counts on."""
        registry.register("digits", folder, format="files")
        registry.delete("digits", 1)
        assert registry.names() == ()
        assert registry.versions("digits") == ()
        with pytest.raises(ModelNotFoundError):
            registry.get("digits")
        assert registry.register("digits", folder, format="files").version == 2

    def test_delete_spares_what_an_alias_names(self, registry: ModelRegistry, folder: Path) -> None:
        """A version that an alias points to now can't be deleted; the message names the alias."""
        for _ in range(2):
            registry.register("digits", folder, format="files")
        registry.assign("digits", "champion", 1)
        with pytest.raises(UsageError, match="champion"):
            registry.delete("digits", 1)
        assert registry.get("digits", 1).version == 1
        registry.assign("digits", "champion", 2)
        registry.delete("digits", 1)
        assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2]

    def test_alias_keeps_its_history(self, registry: ModelRegistry, folder: Path) -> None:
        """Each assignment is kept, oldest first, with version, reason and time; aliases don't mix."""
        for _ in range(2):
            registry.register("digits", folder, format="files")
        for number in range(1, 13):
            registry.assign("digits", "champion", 1 + number % 2, reason=f"reason {number} é\n")
        registry.assign("digits", "challenger", 1)
        aliases = registry.aliases("digits")
        assert sorted(aliases) == ["challenger", "champion"]
        history = aliases["champion"]
        assert [entry.version for entry in history] == [1 + number % 2 for number in range(1, 13)]
        assert [entry.reason for entry in history] == [f"reason {number} é\n" for number in range(1, 13)]
        assert {(entry.alias, entry.assigned_at.utcoffset()) for entry in history} == {
            ("champion", timezone.utc.utcoffset(None))
        }
        assert dict(registry.aliases("letters")) == {}

    def test_assign_refuses_what_is_stale(self, registry: ModelRegistry, folder: Path) -> None:
        """`assign` with a history that isn't the present one is a `ConflictError`, and assigns nothing."""
        for _ in range(2):
            registry.register("digits", folder, format="files")
        registry.assign("digits", "champion", 1, seen=())
        first = registry.aliases("digits")["champion"]
        registry.assign("digits", "champion", 2, seen=first)
        second = registry.aliases("digits")["champion"]
        for stale in ((), first, (*second, second[-1]), (first[0], evolve(second[1], reason="another"))):
            with pytest.raises(ConflictError, match="champion"):
                registry.assign("digits", "champion", 1, seen=stale)
        assert registry.aliases("digits")["champion"] == second
        registry.assign("digits", "champion", 1, seen=second)
        assert [entry.version for entry in registry.aliases("digits")["champion"]] == [1, 2, 1]

    def test_hostile_names_are_refused(self, registry: ModelRegistry, folder: Path) -> None:
        """Every method refuses every name and alias that breaks the rule, as `InvalidNameError`, and writes nothing."""
        registry.register("digits", folder, format="files")
        calls: dict[str, Callable[[str], object]] = {
            "register": lambda name: registry.register(name, folder, format="files"),
            "get": registry.get,
            "versions": registry.versions,
            "delete": lambda name: registry.delete(name, 1),
            "assign": lambda name: registry.assign(name, "champion", 1),
            "assign(alias)": lambda name: registry.assign("digits", name, 1),
            "aliases": registry.aliases,
            "numbers": registry.numbers,
            "verify": registry.verify,
            "verify(version)": lambda name: registry.verify(name, 1),
            "inspect": lambda name: registry.inspect(name, 1),
        }
        wrong = [
            f"{call} {_outcome(function, name)} {name[:80]!r}"
            for call, function in calls.items()
            for name in HOSTILE_NAMES
            if _outcome(function, name) != "InvalidNameError"
        ]
        assert wrong == []
        assert registry.names() == ("digits",)
        assert dict(registry.aliases("digits")) == {}

    @pytest.mark.parametrize("name", _GOOD_NAMES)
    def test_good_names_are_taken(self, registry: ModelRegistry, folder: Path, name: str) -> None:
        """Names and aliases that follow the rule are taken as they are."""
        registry.register(name, folder, format="files")
        registry.assign(name, name, 1)
        assert registry.names() == (name,)
        assert list(registry.aliases(name)) == [name]

    def test_names_differ_in_more_than_case(self, registry: ModelRegistry, folder: Path) -> None:
        """A name that differs only in case from another model's is refused, whatever the file system can tell apart."""
        registry.register("Digits", folder, format="files")
        with pytest.raises(InvalidNameError, match="Digits"):
            registry.register("digits", folder, format="files")
        assert registry.names() == ("Digits",)
        assert registry.register("Digits", folder, format="files").version == 2

    def test_unknown_format_is_refused(self, registry: ModelRegistry, folder: Path) -> None:
        """A format that isn't in `FORMATS` is a `UsageError` that lists them, and nothing is registered."""
        with pytest.raises(UsageError, match=r"skops.*joblib.*files"):
            registry.register("digits", folder, format="pickle")
        assert registry.names() == ()

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_metrics_are_finite(self, registry: ModelRegistry, folder: Path, value: float) -> None:
        """A metric that isn't a finite number is a `UsageError` that names it, and nothing is registered."""
        with pytest.raises(UsageError, match="log loss"):
            registry.register("digits", folder, format="files", metrics={"accuracy": 0.9, "log loss": value})
        assert registry.names() == ()

    def test_empty_folder_is_refused(self, registry: ModelRegistry, tmp_path: Path) -> None:
        """A folder without a file, or one that isn't there, is a `UsageError`, and nothing is registered."""
        (tmp_path / "empty" / "inner").mkdir(parents=True)
        for path in (tmp_path / "empty", tmp_path / "missing"):
            with pytest.raises(UsageError):
                registry.register("digits", path, format="files")
        assert registry.names() == ()

    def test_links_are_refused(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """A folder that holds a symbolic link is a `UsageError` that names it: what it points to isn't read."""
        (tmp_path / "secret.txt").write_text("secret")
        try:
            (folder / "extra" / "link.txt").symlink_to(tmp_path / "secret.txt")
        except OSError:
            pytest.skip("this system lets nobody create symbolic links")
        with pytest.raises(UsageError, match=r"link\.txt"):
            registry.register("digits", folder, format="files")
        assert registry.names() == ()

    def test_hostile_file_names_are_refused(self, registry: ModelRegistry, folder: Path) -> None:
        """A folder that holds a file whose name breaks the rule is an `InvalidNameError`, and nothing is registered."""
        try:
            (folder / "extra" / "a:b?.txt").write_bytes(b"")
        except OSError:
            pytest.skip("this system has no such file names")
        with pytest.raises(InvalidNameError):
            registry.register("digits", folder, format="files")
        assert registry.names() == ()

    def test_threads_register_at_once(self, registry: ModelRegistry, folder: Path) -> None:
        """With 8 threads registering at once every call succeeds, and the numbers are 1 to 80 without a gap."""
        together = Barrier(8, timeout=60)

        def register_ten(thread: int) -> list[str | int]:
            answers: list[str | int] = []
            for turn in range(10):
                together.wait()
                try:
                    answers.append(_register(registry, folder, thread, turn))
                except Exception as error:  # noqa: BLE001 - no registration may fail because of another one
                    answers.append(repr(error))
            return answers

        with ThreadPoolExecutor(8) as pool:
            answers = [answer for ten in pool.map(register_ten, range(8)) for answer in ten]
        assert [answer for answer in answers if isinstance(answer, str)] == []
        assert sorted(answers, key=int) == list(range(1, 81))
        assert len({(model.version, model.run_id) for model in registry.versions("digits")}) == 80

    def test_threads_assign_at_once(self, registry: ModelRegistry, folder: Path) -> None:
        """With 8 threads assigning one alias at once every assignment is in its history."""
        registry.register("digits", folder, format="files")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: registry.assign("digits", "champion", 1, reason=str(i)), range(40)))
        reasons = {entry.reason for entry in registry.aliases("digits")["champion"]}
        assert reasons == {str(i) for i in range(40)}

    def test_threads_count(self, registry: ModelRegistry, folder: Path) -> None:
        """Of assignments that were decided on the same history exactly one succeeds: 4 threads count to 40 by it."""
        registry.register("digits", folder, format="files")

        def count_ten() -> None:
            done = 0
            while done < 10:
                history = registry.aliases("digits").get("counter", ())
                with contextlib.suppress(ConflictError):
                    registry.assign("digits", "counter", 1, reason=str(len(history) + 1), seen=history)
                    done += 1

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(count_ten) for _ in range(4)]:
                done.result()
        history = registry.aliases("digits")["counter"]
        assert [entry.reason for entry in history] == [str(number) for number in range(1, 41)]

    def test_readers_see_whole_versions(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """Whoever lists while others register sees whole versions only: each can be downloaded."""
        with ThreadPoolExecutor(2) as pool:
            writer = pool.submit(lambda: [_register(registry, folder, 0, k) for k in range(30)])
            while not writer.done():
                for model in registry.versions("digits")[:2]:
                    assert _content(registry.download(model, tmp_path / model.id.replace(":", "-"))) == _FILES
            assert writer.result() == list(range(1, 31))


def _content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _register(registry: ModelRegistry, folder: Path, thread: int, turn: int) -> int:
    return registry.register("digits", folder, format="files", run_id=f"{thread}-{turn}").version


def _outcome(function: Callable[[str], object], name: str) -> str:
    try:
        function(name)
    except Exception as error:  # noqa: BLE001 - which error it is, is the question
        return type(error).__name__
    return "accepted"
