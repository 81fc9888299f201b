"""The page to draw a digit on, in a real browser: at desktop and phone width, light and dark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import CONTRAST, TOO_WIDE
from support.serving import png

pytest.importorskip("playwright", reason="the dependency group 'browser' isn't installed")
pytest.importorskip("flask", reason="the extra 'serve' isn't installed")
pytest.importorskip("PIL")

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
NOTHING = "\N{EN DASH}"
THREE = [
    [(90, 70), (120, 50), (165, 55), (185, 85), (165, 120), (130, 135)],
    [(130, 135), (175, 150), (192, 185), (165, 225), (115, 225), (85, 205)],
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server of a model of MNIST's kind: digits drawn large, in 28x28."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    from mnistkit.local.registry.registry import FolderRegistry
    from mnistkit.models.input import InputSpec
    from mnistkit.models.persistence import save_model
    from mnistkit.registry.info import ModelInfo
    from mnistkit.serving.server import ModelServer

    bunch = load_digits()
    images = np.zeros((len(bunch.images), 28, 28), dtype=np.uint8)
    for place, image in zip(images, (bunch.images * 255 / 16).astype(np.uint8), strict=True):
        place[4:24, 4:24] = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC))
    X = np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)
    model = KNeighborsClassifier(weights="distance").fit(X, bunch.target)
    folder = tmp_path_factory.mktemp("served")
    save_model(model, folder / "files", format="skops", probe=X[::100])
    registry = FolderRegistry(folder / "registry")
    registry.register(
        "digits",
        folder / "files",
        ModelInfo(
            format="skops",
            metrics={"accuracy": 0.9876},
            description="Digits of scikit-learn, enlarged <b>&amp;",
            input=InputSpec(height=28, width=28, inverted=True, centred=True),
        ),
    )
    with ModelServer(registry, "digits", port=0, poll_seconds=60) as running:
        yield running


@pytest.fixture
def visit(chromium: Any, server: Any) -> Iterator[Callable[..., Any]]:
    """Open the page; nothing may complain, and no request may go elsewhere."""
    complaints: list[str] = []
    contexts = []

    def opened(size: str = "desktop", scheme: str = "light", url: str = server.url, **options: Any) -> Any:
        width, height = SIZES[size]
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((f"{url}/", "data:", f"blob:{url}/"))
                else complaints.append(f"request: {request.url}")
            ),
        )
        page.goto(url)
        page.wait_for_selector("#bars li")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [each for each in complaints if "status of 422" not in each] == []  # half a digit shows none, or two


def draw(page: Any, strokes: list[list[tuple[int, int]]]) -> None:
    """Draw with the mouse."""
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=8)
        page.mouse.up()


def expect_label(page: Any, label: str) -> None:
    """The page comes to show a prediction."""
    page.wait_for_function("label => document.getElementById('label').textContent === label", arg=label, timeout=60_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_drawn_digit_is_read(visit: Callable[..., Any], size: str, scheme: str) -> None:
    """A 3 drawn with the mouse is read as 3; the bars, what the model sees and the model's card are shown."""
    page = visit(size, scheme)
    draw(page, THREE)
    expect_label(page, "3")
    bars = [float(value) for value in page.eval_on_selector_all("#bars meter", "all => all.map(one => one.value)")]
    assert len(bars) == 10
    assert bars.index(max(bars)) == 3
    assert page.eval_on_selector("#seen", "image => [image.naturalWidth, image.naturalHeight]") == [28, 28]
    card = page.inner_text("#card")
    assert "0.9876" in card
    assert "Digits of scikit-learn, enlarged <b>&amp;" in card
    assert page.evaluate(TOO_WIDE) == []
    assert [found for found in page.evaluate(CONTRAST) if found[0] < found[1]] == []
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"draw-{size}-{scheme}.png", full_page=True)


def test_clear_and_undo(visit: Callable[..., Any]) -> None:
    """Undo takes the last stroke away, Clear all of them and the prediction."""
    page = visit()
    draw(page, THREE)
    expect_label(page, "3")
    page.click("#undo")
    page.wait_for_function("() => document.getElementById('label').textContent !== '3'")
    page.click("#clear")
    expect_label(page, NOTHING)
    assert page.is_hidden("#seen-part")


def test_a_finger_draws(visit: Callable[..., Any]) -> None:
    """Touch draws as well: the page doesn't scroll away under the finger."""
    page = visit("phone", has_touch=True, is_mobile=True)
    box = page.locator("#canvas").bounding_box()
    session = page.context.new_cdp_session(page)
    for stroke in THREE:
        points = [{"x": box["x"] + x * box["width"] / 280, "y": box["y"] + y * box["height"] / 280} for x, y in stroke]
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
        for point in points[1:]:
            session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_label(page, "3")
    assert page.evaluate("scrollY") == 0


def test_the_keyboard_draws(visit: Callable[..., Any]) -> None:
    """Arrows and the space bar draw a 1; every control is reached by Tab, and Backspace undoes."""
    page = visit()
    page.focus("#canvas")
    for key, times in (("ArrowUp", 8), (" ", 1), ("ArrowDown", 16), (" ", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    expect_label(page, "1")
    page.keyboard.press("Backspace")
    expect_label(page, NOTHING)
    reached = []
    for _ in range(4):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["clear", "undo", "upload", "A"]


def test_a_file_is_read(visit: Callable[..., Any], tmp_path: Path) -> None:
    """An image file is shown and predicted; a file that is no image is refused in words."""
    import numpy as np
    from PIL import Image, ImageDraw

    page = visit()
    image = Image.new("L", (280, 280), 255)
    for stroke in THREE:
        ImageDraw.Draw(image).line(stroke, fill=0, width=20, joint="curve")
    (tmp_path / "three.png").write_bytes(png(np.asarray(image)))
    page.set_input_files("#upload", tmp_path / "three.png")
    expect_label(page, "3")
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    page.set_input_files("#upload", tmp_path / "text.png")
    page.wait_for_selector("#problem:not([hidden])")
    assert "text.png is no image" in page.inner_text("#problem")


def test_the_page_wants_the_token(chromium: Any, server: Any) -> None:
    """A server with a token: the page wants it once, and then predicts."""
    from mnistkit.serving.server import ModelServer

    with ModelServer(server._registry, "digits", port=0, token="secret") as guarded:
        page = chromium.new_page()
        page.goto(guarded.url)
        page.fill("#token", "wrong")
        page.press("#token", "Enter")
        page.wait_for_selector("#problem:not([hidden])")
        page.fill("#token", "secret")
        page.press("#token", "Enter")
        page.wait_for_selector("#bars li")
        assert page.is_hidden("#access")
        draw(page, THREE)
        expect_label(page, "3")
        page.close()
