"""A report in a real browser: at desktop and phone width, light, dark and on paper."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistkit import ScriptJob, Trainer
from mnistkit.data.idx import write_idx
from mnistkit.data.manifest import DatasetManifest
from support.browser import CONTRAST, TOO_WIDE

pytest.importorskip("playwright", reason="the dependency group 'browser' isn't installed")
pytest.importorskip("matplotlib")

Look = Callable[[Path], Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of a good run, a failed script, a sweep with a failure, and of data with unwieldy names."""
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTKIT_CACHE", str(folder / "cache"))
        patch.setenv("MNISTKIT_COMPUTE", "in-process")
        trainer = Trainer.local(data="digits", home=folder / "home")
        run = trainer.train(LogisticRegression(C=0.01, tol=1e-3), tags={"a-tag-of-" + "x" * 90: "y" * 120})
        trainer.report(run, folder / "run.html")
        (folder / "code").mkdir()
        (folder / "code" / "train.py").write_text(f"raise ValueError({'w' * 300!r})\n")
        script = ScriptJob(str(folder / "code"), "train.py", ("--" + "option" * 30,))
        trainer.report(trainer.submit(script).wait(), folder / "failed.html")
        sweep = trainer.sweep(LogisticRegression(tol=0.1), {"C": [0.01, 1.0, -1.0]}, limit=200)
        trainer.report(sweep, folder / "sweep.html")
        named = Trainer.local(data=f"idx:{_unwieldy(folder / 'named')}", home=folder / "home")
        named.report(named.train(LogisticRegression(tol=0.1)), folder / "named.html")
    return folder


def _unwieldy(folder: Path) -> Path:
    """Twenty classes with long names, and images that aren't square."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 200), ("t10k", 100)):
        write_idx(folder / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (n, 6, 90), dtype=np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(n) % 20).astype(np.uint8))
    names = tuple(f"Donaudampfschifffahrtsgesellschaft-{i}/Kapitän" for i in range(20))
    DatasetManifest(name="unwieldy-" + "n" * 60, class_names=names).write(folder)
    return folder


PAGES = ("run.html", "failed.html", "sweep.html", "named.html")


@pytest.mark.parametrize("name", PAGES)
def test_it_reads_well(look: Look, folder: Path, name: str) -> None:
    """Nothing is wider than the screen, every text has its contrast, every picture is decoded."""
    page = look(folder / name)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(TOO_WIDE) == []
    contrasts = page.evaluate(CONTRAST)
    assert len(contrasts) > 30
    assert [each for each in contrasts if each[0] < each[1]] == []
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("name", PAGES)
def test_it_has_an_outline(look: Look, folder: Path, name: str) -> None:
    """Headings don't skip a level, each section is named by its own, and all of them are in the contents."""
    page = look(folder / name)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(each => +each.tagName[1])")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    named = page.evaluate(
        "[...document.querySelectorAll('section')]"
        ".map(each => document.getElementById(each.getAttribute('aria-labelledby')).innerText)"
    )
    assert named == page.evaluate("[...document.querySelectorAll('nav a')].map(each => each.innerText)")
    assert page.title()


def test_it_goes_by_keyboard(look: Look, folder: Path) -> None:
    """The first Tab offers to skip to the content, links lead to their sections, and what scrolls takes the focus."""
    page = look(folder / "run.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("link", name="How to reproduce").click()
    top = page.evaluate("document.querySelector('h2:target').getBoundingClientRect().top")
    assert -1 <= top < page.viewport_size["height"]
    assert page.evaluate("[...document.querySelectorAll('.scroll, pre')].every(each => each.tabIndex === 0)")
    assert page.evaluate("[...document.querySelectorAll('nav a')].every(each => each.offsetHeight >= 24)")


def test_the_parts_have_roles(look: Look, folder: Path) -> None:
    """A screen reader finds the landmarks, the tables by their names, and the pictures by what they show."""
    page = look(folder / "run.html")
    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("navigation", name="Contents").count() == 1
    assert page.get_by_role("table", name="Metrics").count() == 1
    assert page.get_by_role("img", name=re.compile("true classes as rows")).count() == 1
    assert page.get_by_role("img", name=re.compile(r"^Training image \d+, dark on white: \d$")).count() == 30
    assert page.get_by_role("img", name=re.compile("^Time line: Queued")).count() == 1


def test_it_can_be_printed(look: Look, folder: Path) -> None:
    """On paper there are no links to click, what is folded is unfolded, and ink is on white, also of a dark screen."""
    page = look(folder / "run.html")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.get_by_role("table", name="Images of each class").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert [each for each in page.evaluate(CONTRAST) if each[0] < each[1]] == []
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_no_script_would_run(look: Look, folder: Path, tmp_path: Path) -> None:
    """Even if a script or a request had got into the page, its policy would stop it."""
    text = (folder / "run.html").read_text(encoding="utf-8")
    bad = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    (tmp_path / "bad.html").write_text(text.replace("</main>", f"{bad}</main>"), encoding="utf-8")
    context = look(folder / "run.html").context
    page = context.new_page()
    page.goto((tmp_path / "bad.html").as_uri())
    assert page.title().startswith("Run ")
