"""What the README and the docs tell people to type works: each page is followed from top to bottom in an empty folder.

Python blocks are executed, and the ``mnistkit`` commands of console blocks are run; both must end well. A block that
shall not be run has the reason in a comment before it: ``<!-- not run: it takes minutes -->``. Its commands and their
options must exist all the same. A picture that a page shows and that its blocks write must look like the one that is
kept.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n+)?^```(?P<language>python|console)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TOLERANCE = 0.05  # digits that were misread with nearly the same confidence may change places between machines: 0.03
PICTURE = re.compile(r"^(?:```\{image\} |!\[[^\]\n]*\]\()(?P<file>[\w./-]+\.png)", re.MULTILINE)
NEEDS_MNIST = re.compile(
    r"\bTrainer\.(local|from_config)\(\)|[\"']mnist[\"']|^\$ mnistkit (train|data)(?!.*digits)", re.MULTILINE
)


@frozen
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    line: int
    reason: str | None

    def commands(self) -> list[list[str]]:
        """The ``mnistkit`` commands of a console block, without the program's name."""
        if self.language != "console":
            return []
        lines = [line.removeprefix("$ ") for line in self.text.splitlines() if line.startswith("$ mnistkit")]
        return [shlex.split(line, comments=True)[1:] for line in lines]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = FENCE.finditer(text)
    return [Block(m["language"], m["text"], text.count("\n", 0, m.start("text")), m["reason"]) for m in found]


def pages() -> Iterator[Any]:
    """The pages that hold something to run; marked ``mnist`` if that needs the real MNIST."""
    for page in PAGES:
        live = [
            block for block in blocks(page) if block.reason is None and (block.commands() or block.language == "python")
        ]
        if live:
            marks = [pytest.mark.mnist] if any(NEEDS_MNIST.search(block.text) for block in live) else []
            yield pytest.param(page, marks=marks, id=page.relative_to(ROOT).as_posix())


def pictures(page: Path) -> list[Path]:
    """The pictures that are kept in the repository and shown by a page."""
    return [page.parent / match["file"] for match in PICTURE.finditer(page.read_text(encoding="utf-8"))]


def difference(one: Path, other: Path) -> float:
    """How much two pictures differ, 0 to 1: the mean over a coarse grid, as fonts differ between releases."""
    image = pytest.importorskip("PIL.Image", reason="the extra 'cli' isn't installed")
    grids = []
    for path in (one, other):
        with image.open(path) as picture:
            flat = image.new("RGB", picture.size, "white")
            flat.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
            grids.append(np.asarray(flat.resize((48, 24), image.Resampling.BOX), dtype=float))
    return float(np.abs(grids[0] - grids[1]).mean() / 255)


def run_command(arguments: list[str]) -> None:
    """Run ``mnistkit`` with these arguments here; it must end well."""
    program = [sys.executable, "-c", "from mnistkit.cli import main; main()"]
    outcome = subprocess.run(
        [*program, *arguments], capture_output=True, text=True, timeout=240, check=False, env=dict(os.environ)
    )
    assert outcome.returncode == 0, f"mnistkit {shlex.join(arguments)}: {outcome.stderr}"


@pytest.fixture
def own_environment() -> Iterator[None]:
    """Variables that the test sets, by whatever means, are gone after it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("page", [*pages()])
def test_a_page_can_be_followed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, run in order in an empty folder, end without an error or a warning."""
    folder = tmp_path / "reader"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MNISTKIT_HOME")
    namespace: dict[str, Any] = {"__name__": "snippet"}
    for block in blocks(page):
        if block.reason is not None:
            continue
        for command in block.commands():
            pytest.importorskip("typer", reason="the extra 'cli' isn't installed")
            run_command(command)
        if block.language == "python":
            code = "\n" * block.line + block.text
            exec(compile(code, str(page), "exec", dont_inherit=True), namespace)  # noqa: S102 - running the page is the point
    for kept in pictures(page):
        if (folder / kept.name).exists():
            assert difference(kept, folder / kept.name) < TOLERANCE, f"{kept.name} isn't what is drawn now"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_on_a_page_exist(page: Path) -> None:
    """Every ``mnistkit`` command of a page, run or not, names a command and options that exist."""
    pytest.importorskip("typer", reason="the extra 'cli' isn't installed")
    from typer.main import get_command

    from mnistkit.cli.app import app

    for block in blocks(page):
        for arguments in block.commands():
            command: Any = get_command(app)
            rest = list(arguments)
            while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
                name = rest.pop(0)
                assert name in command.commands, f"{page}: there is no 'mnistkit {shlex.join(arguments)}'"
                command = command.commands[name]
            known = {"--help", "-h"} | {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
            own = rest[: rest.index("--")] if "--" in rest else rest  # what follows is another program's
            used = {argument.partition("=")[0] for argument in own if argument.startswith("-")}
            assert used <= known, f"{page}: 'mnistkit {shlex.join(arguments)}' has no {used - known}"


def test_pages_speak_of_what_they_can_show() -> None:
    """There are pages with blocks to run: the search for blocks didn't go blind."""
    assert {"README.md", "docs/tutorial.md"} <= {param.id for param in pages()}


def test_pictures_are_made_by_the_tutorial() -> None:
    """Every picture of the tutorial is written by one of its own commands, the README's others by a script."""
    tutorial = ROOT / "docs" / "tutorial.md"
    written = {argument for block in blocks(tutorial) for command in block.commands() for argument in command}
    assert {path.name for path in pictures(tutorial)} <= written
    others = {path.name for path in pictures(ROOT / "README.md")} - {path.name for path in pictures(tutorial)}
    scripts = {path.stem.removeprefix("make_") for path in (ROOT / "docs" / "images").glob("make_*.py")}
    assert {Path(name).stem for name in others} <= scripts


def test_a_picture_of_something_else_is_told(tmp_path: Path) -> None:
    """The tolerance is below what tells one sample of digits from another, or a picture from its mirror image."""
    image = pytest.importorskip("PIL.Image", reason="the extra 'cli' isn't installed")
    kept = ROOT / "docs" / "images" / "digits.png"
    with image.open(kept) as picture:
        picture.transpose(image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
        picture.resize((picture.width * 2, picture.height * 2)).save(tmp_path / "larger.png")
    assert difference(kept, tmp_path / "larger.png") < TOLERANCE / 4
    assert difference(kept, tmp_path / "mirrored.png") > TOLERANCE * 1.5
