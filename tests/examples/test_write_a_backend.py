"""The backends of the page about writing one pass the suites, run as the page's readers run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "write-a-backend.md"
BLOCK = re.compile(r"^```python\n# (?P<file>\w+\.py)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def write_files(folder: Path) -> set[str]:
    """Write the blocks that begin with a file's name into that file; returns the names."""
    text: dict[str, list[str]] = {}
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        text.setdefault(block["file"], []).append(block["code"])
    for name, codes in text.items():
        (folder / name).write_text("\n".join(codes), encoding="utf-8")
    return set(text)


def run_pytest(folder: Path, *options: str) -> str:
    """What pytest says of the page's tests."""
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [*command, "test_my_backends.py"],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return done.stdout


@pytest.mark.timeout(300)
def test_the_page_s_backends_keep_the_contracts(tmp_path: Path) -> None:
    """Each suite of the page passes, of each kind of backend, and hardly a test is skipped."""
    assert write_files(tmp_path) == {"my_backends.py", "test_my_backends.py"}
    text = run_pytest(tmp_path, "-rp")
    for suite in ("TestStripes", "TestNotifyingCompute", "TestNotifyingRegistry"):
        assert text.count(f"PASSED test_my_backends.py::{suite}::") >= 15, text
    assert re.search(r"^\d+ passed, \d+ skipped in ", text, re.MULTILINE), text


def test_the_page_s_failure_is_what_is_shown(tmp_path: Path) -> None:
    """A wrapper that drops ``detach`` fails with the sentence that the page quotes."""
    write_files(tmp_path)
    module = tmp_path / "my_backends.py"
    right = module.read_text(encoding="utf-8")
    wrong = right.replace(", detach=detach", "")
    assert wrong != right
    module.write_text(wrong, encoding="utf-8")
    text = run_pytest(tmp_path, "-k", "test_detach_is_kept_or_refused")
    quoted = re.search(r"^contract: .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert quoted is not None
    assert quoted[0] in text
    assert "contract of ComputeBackend" in text
