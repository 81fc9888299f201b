"""The local pages in a real browser: runs are found, compared, followed and canceled; and hostile texts are text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import CONTRAST, TOO_WIDE

pytest.importorskip("playwright", reason="the dependency group 'browser' isn't installed")
pytest.importorskip("flask", reason="the extra 'ui' isn't installed")

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LOOKS = [(size, scheme) for size in SIZES for scheme in ("light", "dark")]
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs, a sweep and a model, whose texts are hostile."""
    from support.ui import make_trainer

    return make_trainer(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def server(trainer: Any) -> Iterator[Any]:
    """The pages of these."""
    from mnistkit.ui.server import UiServer

    with UiServer(trainer, port=0, allow_changes=True) as running:
        yield running


@pytest.fixture
def visit(chromium: Any, server: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; nothing may complain, no request may go elsewhere, and no hostile text may run."""
    complaints: list[str] = []
    contexts = []
    base = server.url.split("/?")[0]

    def opened(path: str = "/", size: str = "desktop", scheme: str = "light") -> Any:
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((f"{base}/", "data:")) else complaints.append(f"request: {request.url}")
            ),
        )
        page.goto(server.url)
        if path != "/":
            page.goto(f"{base}{path}")
        return page

    yield opened
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.trapped") is None
        context.close()
    assert complaints == []


Visit = Callable[..., Any]


def check_look(page: Any, name: str) -> None:
    """Nothing is wider than the screen, and every text has its contrast."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"ui-{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(TOO_WIDE) == []
    assert [found for found in page.evaluate(CONTRAST) if found[0] < found[1]] == []


def shown_runs(page: Any) -> list[str]:
    """The ids in the table, in order."""
    return page.eval_on_selector_all("#table tbody th a", "all => all.map(each => each.textContent)")  # type: ignore[no-any-return]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_the_pages_read_well(visit: Visit, trainer: Any, size: str, scheme: str) -> None:
    """At desktop and phone width, light and dark, every page fits, and hostile texts are shown as text."""
    rows = trainer.runs().rows
    failed, run = rows[0].id, rows[1].id
    page = visit("/", size, scheme)
    page.wait_for_selector("#table tbody tr")
    page.wait_for_selector("#curve-chart svg path.line")
    page.click("#table tbody tr:nth-child(2) th button")
    check_look(page, f"runs-{size}-{scheme}")
    assert page.locator("#table tbody img").count() == 0
    for name, path, selector in (
        ("run", f"/runs/{run}", "#summary dl"),
        ("failed", f"/runs/{failed}", "#summary dl"),
        ("sweeps", "/sweeps", "tbody tr"),
        ("compare", f"/compare?run={run}&run={rows[2].id}", "caption"),
        ("models", "/models", "tbody tr"),
        ("model", "/models/digits", "#promote"),
        ("datasets", "/data", "tbody tr"),
    ):
        page.goto(f"{page.url.split('/', 3)[0]}//{page.url.split('/', 3)[2]}{path}")
        page.wait_for_selector(selector)
        check_look(page, f"{name}-{size}-{scheme}")
    page.click("tbody a")
    page.wait_for_selector(".samples img")
    check_look(page, f"dataset-{size}-{scheme}")


def test_runs_are_filtered_and_sorted(visit: Visit, trainer: Any) -> None:
    """The same grammar as on the command line filters and sorts; what is wrong in it is said in words."""
    page = visit()
    page.wait_for_selector("#table tbody tr")
    assert len(shown_runs(page)) == len(trainer.runs())
    page.fill("input[name=where]", "accuracy > 0.81 and state == 'Completed'")
    page.fill("input[name=sort]", "-accuracy")
    page.fill("input[name=columns]", "accuracy, tags.rate")
    page.click("text=Show")
    page.wait_for_function("() => document.querySelectorAll('#table tbody tr').length === 3")
    expected = [row.id for row in trainer.runs("accuracy > 0.81 and state == 'Completed'", sort="-accuracy").rows]
    assert shown_runs(page) == expected
    heads = page.eval_on_selector_all("#table thead th", "all => all.map(each => each.textContent)")
    assert heads == ["", "run", "accuracy", "tags.rate"]
    page.reload()
    page.wait_for_selector("#table tbody tr")
    assert shown_runs(page) == expected
    page.fill("input[name=where]", "acuracy > 0.81")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "acuracy" in page.inner_text("#problem")


def test_two_ticked_runs_are_compared(visit: Visit, trainer: Any) -> None:
    """Two runs that are ticked are compared, in the order in which they were ticked."""
    page = visit()
    page.wait_for_selector("#table tbody tr")
    ids = shown_runs(page)
    assert page.is_disabled("#compare")
    for row in (3, 2):
        page.check(f"#table tbody tr:nth-child({row}) input")
    page.click("#compare")
    page.wait_for_selector("caption")
    assert page.eval_on_selector_all("header a", "all => all.map(each => each.textContent)") == [ids[2], ids[1]]
    assert "accuracy" in page.inner_text("main")


def test_a_run_is_followed_to_its_end(visit: Visit, trainer: Any, tmp_path: Path) -> None:
    """State, log and curve of a running run appear as they come, and its end without a reload."""
    from support.ui import start_script

    run, end = start_script(trainer, tmp_path)
    page = visit("/")
    page.wait_for_selector(f"#table tbody th a[href='/runs/{run.id}']")
    page.wait_for_function("() => document.getElementById('table').textContent.includes('loss')", timeout=WAIT_MS)
    page.click(f"#table tbody th a[href='/runs/{run.id}']")
    page.wait_for_function("() => document.getElementById('state').textContent === 'Running'", timeout=WAIT_MS)
    page.wait_for_selector("#curve-chart svg path.line", timeout=WAIT_MS)
    page.wait_for_function("() => document.getElementById('log').textContent.includes('step 3')", timeout=WAIT_MS)
    assert "<b>&amp;</b>" in page.inner_text("#log")
    assert page.is_visible("#cancel")
    page.evaluate("window.isTheSamePage = true")
    end.touch()
    page.wait_for_function("() => document.getElementById('state').textContent === 'Completed'", timeout=WAIT_MS)
    page.wait_for_function("() => document.getElementById('log').textContent.includes('script ends')", timeout=WAIT_MS)
    assert page.evaluate("window.isTheSamePage")
    assert page.is_hidden("#cancel")
    assert page.text_content("#log") == trainer.run(run.id).logs()


def test_a_run_is_canceled(visit: Visit, trainer: Any, tmp_path: Path) -> None:
    """A run is canceled from its page, once the question is answered with yes."""
    from support.ui import start_script

    run, _ = start_script(trainer, tmp_path)
    page = visit(f"/runs/{run.id}")
    page.wait_for_function("() => document.getElementById('log').textContent.includes('step 1')", timeout=WAIT_MS)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#cancel button")
    assert not trainer.run(run.id).state.is_terminal
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#cancel button")
    page.wait_for_function("() => document.getElementById('state').textContent === 'Canceled'", timeout=WAIT_MS)
    assert str(trainer.run(run.id).state) == "Canceled"


def test_an_alias_is_promoted_and_rolled_back(visit: Visit, trainer: Any) -> None:
    """With changes allowed, an alias is promoted and rolled back, and the history says why."""
    page = visit("/models/digits")
    page.select_option("#promote select", "2")
    page.fill("#promote input[name=reason]", "it is better <b>")
    page.click("#promote button")
    page.wait_for_function("() => document.body.textContent.includes('it is better <b>')")
    assert trainer.models.aliases("digits")["champion"][-1].version == 2
    page.click("#rollback button")
    page.wait_for_function("() => document.body.textContent.includes('rollback from version 2')")
    assert trainer.models.aliases("digits")["champion"][-1].version == 1


def test_a_sweep_has_its_own_list(visit: Visit, trainer: Any) -> None:
    """A sweep's page lists its runs alone, with the charts of many runs."""
    page = visit("/sweeps")
    page.click("tbody th a")
    page.wait_for_selector("#table tbody tr")
    expected = [row.id for row in trainer.runs().rows if row.tags.get("sweep")]
    assert shown_runs(page) == expected


def test_the_report_runs_nothing(visit: Visit, trainer: Any) -> None:
    """The full report is a page without scripts, with a policy of its own."""
    page = visit(f"/runs/{trainer.runs().rows[1].id}")
    page.click("text=Full report")
    page.wait_for_selector("h2")
    assert page.locator("script").count() == 0


def test_a_server_that_ends_is_noticed(chromium: Any, trainer: Any) -> None:
    """When the server ends, the page says so and keeps what it shows."""
    from mnistkit.ui.server import UiServer

    running = UiServer(trainer, port=0).start()
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(running.url)
    page.wait_for_selector("#table tbody tr")
    running.close()
    page.evaluate("window.runs.poll.restart()")
    page.wait_for_selector("#connection:not([hidden])")
    page.check("#table tbody tr:nth-child(1) input")  # draws its curve
    assert shown_runs(page)
    page.close()
    assert errors == []
