"""A headless Chromium, where there is one; without it, or without playwright, these tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium's own errands would be requests that leave; there is no sandbox in a container.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZES = {"desktop": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    program = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="the dependency group 'browser' isn't installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(params=[(size, scheme) for size in SIZES for scheme in ("light", "dark")], ids="-".join)
def look(request: pytest.FixtureRequest, chromium: Any) -> Iterator[Callable[[Path], Any]]:
    """Open a file at desktop and phone width, light and dark; nothing may complain, and no request may leave."""
    size, scheme = request.param
    width, height = SIZES[size]
    complaints: list[str] = []
    viewport = {"width": width, "height": height}
    context = chromium.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.on("console", lambda message: complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else complaints.append(f"request: {request.url}")
        ),
    )

    def opened(path: Path) -> Any:
        page.goto(path.absolute().as_uri())
        return page

    yield opened
    context.close()
    assert complaints == []
