"""The contract of `ModelRegistry`, as tests to subclass."""

from __future__ import annotations

from datetime import timezone
from pathlib import Path

import pytest
from attrs import asdict, fields

from mnistkit.errors import StorageError
from mnistkit.interfaces import ModelRegistry
from mnistkit.models.files import FORMATS
from mnistkit.models.input import InputSpec
from mnistkit.registry.info import ModelInfo
from mnistkit.registry.verification import version_numbers
from mnistkit.testing.registry_aliases import AliasSuite
from mnistkit.testing.registry_base import FILES, content
from mnistkit.testing.registry_integrity import IntegritySuite
from mnistkit.testing.registry_refusals import RefusalSuite
from mnistkit.testing.registry_threads import ConcurrencySuite
from mnistkit.utils.files import FileInfo, sha256_hex

__all__ = ["ModelRegistrySuite"]


class ModelRegistrySuite(AliasSuite, ConcurrencySuite, IntegritySuite, RefusalSuite):
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
        assert [registry.register("digits", folder, ModelInfo(format="files")).version for _ in range(3)] == [1, 2, 3]
        assert registry.register("letters", folder, ModelInfo(format="files")).version == 1

    def test_versions_are_newest_first(self, registry: ModelRegistry, folder: Path) -> None:
        """`versions` lists all of them, newest first, as `register` and `get` return them."""
        registered = [registry.register("digits", folder, ModelInfo(format="files")) for _ in range(12)]
        assert registry.versions("digits") == tuple(reversed(registered))
        assert registry.get("digits", 10) == registered[9]

    def test_newest_is_the_default(self, registry: ModelRegistry, folder: Path) -> None:
        """`get` without a version returns the one with the highest number, not the last in the alphabet."""
        for _ in range(11):
            registry.register("digits", folder, ModelInfo(format="files"))
        assert registry.get("digits").version == 11

    def test_names_are_sorted(self, registry: ModelRegistry, folder: Path) -> None:
        """`names` lists the models that have a version, sorted."""
        for name in ("letters", "digits", "Zebra"):
            registry.register(name, folder, ModelInfo(format="files"))
        assert registry.names() == ("Zebra", "digits", "letters")

    def test_info_comes_back(self, registry: ModelRegistry, folder: Path) -> None:
        """Every field of `ModelInfo` comes back in the version as it was given, with a time in UTC."""
        info = ModelInfo(
            format="joblib",
            metrics={"accuracy": 0.1 + 0.2, "regularization rate": 1e-300, "count": -0.0},
            tags={"owner": "Zoë 😀", "empty": "", "Key with spaces": 'line\n"quoted" \\'},
            description="a\tb\n\n{} null",
            run_id="20260131-120000-abc123",
            input=InputSpec(height=7, width=28, inverted=True, class_names=("zéro", "un"), dataset="digits"),
        )
        model = registry.get("digits", registry.register("digits", folder, info).version)
        assert {each.name: getattr(model, each.name) for each in fields(ModelInfo)} == asdict(info, recurse=False)
        assert (model.name, model.version, model.id) == ("digits", 1, "digits:1")
        assert model.created_at.utcoffset() == timezone.utc.utcoffset(None)

    def test_optional_info_is_empty(self, registry: ModelRegistry, folder: Path) -> None:
        """Metrics, tags, description, run id and input are optional and empty by default."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        assert (dict(model.metrics), dict(model.tags), model.description) == ({}, {}, "")
        assert (model.run_id, model.input) == (None, None)

    @pytest.mark.parametrize("format_", FORMATS)
    def test_every_format_is_taken(self, registry: ModelRegistry, folder: Path, format_: str) -> None:
        """Every format of `FORMATS` can be registered: a registry keeps files and doesn't look into them."""
        assert registry.register("digits", folder, ModelInfo(format=format_)).format == format_

    def test_files_are_described(self, registry: ModelRegistry, folder: Path) -> None:
        """``files`` holds the size and sha256 of each file, by its relative POSIX path, subfolders included."""
        expected = {file: FileInfo(len(data), sha256_hex(data)) for file, data in FILES.items()}
        assert registry.register("digits", folder, ModelInfo(format="files")).files == expected

    def test_digest_tells_versions_apart(self, registry: ModelRegistry, folder: Path) -> None:
        """``digest`` is 64 hexadecimal digits, stays the same, and differs between versions."""
        first, second = (registry.register("digits", folder, ModelInfo(format="files")) for _ in range(2))
        assert len(first.digest) == 64
        assert int(first.digest, 16) >= 0
        assert registry.get("digits", 1).digest == first.digest != second.digest

    def test_download_gives_the_files(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` returns the folder it was given, created, with exactly the registered files."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        into = tmp_path / "new" / "folder"
        assert registry.download(model, into) == into
        assert content(into) == FILES

    def test_download_again(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` replaces files of the same name and leaves others alone."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        (tmp_path / "into").mkdir()
        (tmp_path / "into" / "mine.txt").write_bytes(b"mine")
        (tmp_path / "into" / "model.skops").write_bytes(b"an older model")
        registry.download(model, tmp_path / "into")
        assert content(registry.download(model, tmp_path / "into")) == {**FILES, "mine.txt": b"mine"}

    def test_registered_files_are_a_copy(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """Changing the source folder, or a downloaded copy, doesn't change the version."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        (folder / "model.skops").write_bytes(b"changed")
        (registry.download(model, tmp_path / "one") / "model.skops").write_bytes(b"changed too")
        assert content(registry.download(model, tmp_path / "two")) == FILES
        assert registry.get("digits", 1) == model

    def test_source_stays_as_it_is(self, registry: ModelRegistry, folder: Path) -> None:
        """Registering leaves the source folder as it is."""
        registry.register("digits", folder, ModelInfo(format="files"))
        assert content(folder) == FILES

    def test_numbers_are_those_there(self, registry: ModelRegistry, folder: Path) -> None:
        """`numbers` are the versions that aren't deleted, newest first."""
        assert version_numbers(registry, "digits") == ()
        for _ in range(3):
            registry.register("digits", folder, ModelInfo(format="files"))
        registry.delete("digits", 2)
        assert version_numbers(registry, "digits") == (3, 1)

    def test_later_processes_find_everything(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """After `register` and `assign` a later process finds versions, files and aliases as they were."""
        model = registry.register("digits", folder, ModelInfo(format="files", metrics={"accuracy": 0.9}))
        registry.assign("digits", "champion", 1, reason="the first")
        aliases = dict(registry.aliases("digits"))
        later = self.reopened(registry)
        assert (later.names(), later.versions("digits")) == (("digits",), (model,))
        assert dict(later.aliases("digits")) == aliases
        assert content(later.download(model, tmp_path / "later")) == FILES
        assert later.register("digits", folder, ModelInfo(format="files")).version == 2

    def test_download_where_nothing_can_be_written(self, registry: ModelRegistry, folder: Path, tmp_path: Path) -> None:
        """`download` into a folder that can't be made is a `StorageError`."""
        model = registry.register("digits", folder, ModelInfo(format="files"))
        (tmp_path / "file").write_bytes(b"in the way")
        with pytest.raises(StorageError):
            registry.download(model, tmp_path / "file" / "into")
