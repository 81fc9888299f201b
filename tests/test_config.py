"""mnistkit.toml and [tool.mnistkit]."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnistkit.config import Config, cache_folder, find_config, home_folder, open_datasets_pins, read_config
from mnistkit.errors import ConfigError
from mnistkit.plugins import load_dataset


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


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """The same data, models and certificates are found from each folder below the file."""
    text = """
data = "idx:images#my"
track = "sqlite:///mlflow.db"
compute = { backend = "dask", address = "tls://h:1", security = { tls_ca_file = "ca.pem", tls_client_key = "-\\n-" } }
models = { backend = "mlflow", uri = "sqlite:///db/models.db" }
"""
    config = read_config(write(tmp_path, text))
    assert config.data == f"idx:{tmp_path}/images#my"
    assert config.track == f"sqlite:///{tmp_path}/mlflow.db"
    assert config.models["uri"] == f"sqlite:///{tmp_path}/db/models.db"
    assert config.compute["security"] == {"tls_ca_file": f"{tmp_path}/ca.pem", "tls_client_key": "-\n-"}
    assert config.compute["address"] == "tls://h:1"


@pytest.mark.parametrize(
    ("data", "models"),
    [("mnist", {"backend": "azureml", "config": "/there/config.json"}), ("idx:/there", {"backend": "folder"}),
     ("idx:~/there", {"backend": "mlflow", "uri": "http://host:5000"})],
)  # fmt: skip
def test_what_is_no_relative_path_stays(data: str, models: dict[str, str], tmp_path: Path) -> None:
    """Names, absolute paths, those below a home folder and addresses of servers."""
    options = ", ".join(f'{key} = "{value}"' for key, value in models.items())
    config = read_config(write(tmp_path, f'data = "{data}"\nmodels = {{ {options} }}\n'))
    assert (config.data, config.models) == (data, models)


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


@pytest.mark.parametrize("home", [None, "", "relative"])
@pytest.mark.skipif(os.name == "nt", reason="Windows asks the system")
def test_a_user_without_a_home_has_a_cache(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without HOME and without an entry among the users, as in a container, datasets lie beside the runs."""
    import pwd

    def unknown(number: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for variable in ("HOME", "XDG_CACHE_HOME", "MNISTKIT_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("MNISTKIT_HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / "cache"
    assert [cache_folder(), cache_folder()] == [expected, expected]
    said = [record.message for record in caplog.records if "no home folder" in record.message]
    assert len(said) == 1
    assert f"datasets are kept in {expected}. Set MNISTKIT_CACHE" in said[0]
    assert load_dataset("digits").name == "digits"


@pytest.mark.parametrize("variable", ["MNISTKIT_CACHE", "MNISTKIT_HOME", "MNISTKIT_OPEN_DATASETS_PINS"])
def test_a_home_that_is_unknown_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with the home of a user that doesn't exist is an error that names it, not the system's."""
    monkeypatch.setenv(variable, "~no-such-user-here/x")
    with pytest.raises(ConfigError, match=r"~no-such-user-here/x.*Write the folder without '~'"):
        {"MNISTKIT_CACHE": cache_folder, "MNISTKIT_HOME": home_folder}.get(variable, open_datasets_pins)()
