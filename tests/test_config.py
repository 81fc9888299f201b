"""mnistkit.toml and [tool.mnistkit]."""

from __future__ import annotations

from pathlib import Path

import pytest

from mnistkit.config import Config, find_config, read_config
from mnistkit.errors import ConfigError


def write(folder: Path, text: str, name: str = "mnistkit.toml") -> Path:
    """A file with that text."""
    path = folder / name
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """Where no file is found, the built-in defaults hold."""
    assert find_config(tmp_path) == Config()


def test_the_nearest_file_upwards_counts(tmp_path: Path) -> None:
    """The file is looked for from the working directory upwards; a pyproject.toml without a table doesn't count."""
    write(tmp_path, 'experiment = "mine"\ncompute = { backend = "in-process", parallel = 2 }\n')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(deep, "[project]\nname = 'x'\n", "pyproject.toml")
    config = find_config(deep)
    assert (config.experiment, config.file) == ("mine", tmp_path / "mnistkit.toml")
    assert config.compute == {"backend": "in-process", "parallel": 2}


def test_a_table_in_pyproject(tmp_path: Path) -> None:
    """``[tool.mnistkit]`` is as good as a file of its own."""
    write(tmp_path, '[tool.mnistkit]\ndata = "digits"\n[tool.mnistkit.models]\nbackend = "folder"\n', "pyproject.toml")
    assert find_config(tmp_path).data == "digits"


def test_home_is_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative home is next to the file; MNISTKIT_HOME wins over it."""
    path = write(tmp_path, 'home = "runs-here"\n')
    assert read_config(path).home is None
    monkeypatch.delenv("MNISTKIT_HOME")
    assert read_config(path).home == str(tmp_path / "runs-here")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data = "digits"\nexperimant = "x"\n', r"line 2: unknown key 'experimant'; the keys are data, experiment"),
        ("data = 5\n", r"line 1: 'data' must be text, got 5"),
        ('\n\ncompute = "in-process"\n', r"line 3: 'compute' must be a table"),
        ("[compute]\nparallel = 2\n", r"line 1: 'compute' lacks a backend"),
        ("data = \n", r"mnistkit\.toml: .*line 1"),
        ("file = 'x'\n", r"unknown key 'file'"),
        ("\x00", r"mnistkit\.toml"),
    ],
)
def test_a_broken_file_names_file_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    """What can't be understood is an error that says where."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=words) as raised:
        read_config(path)
    assert str(path) in str(raised.value)
