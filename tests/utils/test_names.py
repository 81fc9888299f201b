"""The rule for names that become part of a path."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistkit.errors import InvalidNameError
from mnistkit.testing.hostile_names import HOSTILE_NAMES
from mnistkit.utils.names import NAME_RULE, check_file, check_name

_HOSTILE_FILES = [
    *("", ".", "..", "/", "/etc/passwd", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/", "a\\b", "..\\x"),
    *("C:x", "C:/x", "a:b", "a\n", "a\0", "a\x7f", "a?b", "a*", 'a"', "a<b", "a|b", "con", "a/nul.txt", "COM1/x"),
    *("a ", "a./b", "a/b.", "x" * 1025, "a/" * 600 + "a"),
]
_TEXT = st.text(max_size=40) | st.text(alphabet="./\\:~%a\0\nC ", max_size=12)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
def test_hostile_names_are_refused(name: str) -> None:
    """A name that could leave its folder, or mean another file elsewhere, is refused; the message states the rule."""
    with pytest.raises(InvalidNameError) as caught:
        check_name(name, "model name")
    assert NAME_RULE in str(caught.value)
    assert "model name" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["a", "0", "sklearn_mnist", "v1.2-rc_3", "a" * 64, "conference", "nullable", "com10"])
def test_good_names_are_returned(name: str) -> None:
    """A name that follows the rule is returned as it is."""
    assert check_name(name, "model name") == name


@pytest.mark.parametrize("name", [None, 3, b"a", Path("a")])
def test_names_are_text(name: object) -> None:
    """Anything but a text is refused with the same error."""
    with pytest.raises(InvalidNameError):
        check_name(name, "alias")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidNameError):
        check_file(name)  # type: ignore[arg-type]  # that is the point


@given(_TEXT)
def test_any_name_stays_inside(name: str) -> None:
    """Whatever the text: it is refused, or one plain component of a path."""
    root = Path("/root").resolve()
    try:
        path = root / check_name(name, "name")
    except InvalidNameError:
        return
    assert path.resolve().parent == root
    assert path.name == name
    assert name.isascii()


@pytest.mark.parametrize("file", _HOSTILE_FILES, ids=lambda file: ascii(file)[:30])
def test_hostile_files_are_refused(file: str) -> None:
    """A file path that is absolute, climbs, or means something else on another system is refused."""
    with pytest.raises(InvalidNameError):
        check_file(file)


@pytest.mark.parametrize("file", ["model.skops", "outputs/model.skops", "a b/ü.txt", ".hidden", "a/..b/c", "-x"])
def test_good_files_are_returned(file: str) -> None:
    """A relative path is returned as a POSIX path."""
    assert check_file(file) == PurePosixPath(file)


@given(_TEXT)
def test_any_file_stays_below(file: str) -> None:
    """Whatever the text: it is refused, or a path below the folder it is joined to, and not the folder itself."""
    root = Path("/root").resolve()
    try:
        path = root / check_file(file)
    except InvalidNameError:
        return
    assert root in path.resolve().parents
