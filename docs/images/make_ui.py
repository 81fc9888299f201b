"""Draws the screenshot of the local pages: a run that is running.

Run it with ``python docs/images/make_ui.py``; it runs a script on scikit-learn's digits in a temporary folder, opens
the page of its run in Chromium (the dependency group ``browser``), and writes ``docs/images/ui.png``.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from mnistkit import ScriptJob, Trainer
from mnistkit.ui import UiServer

_OUT = Path(__file__).with_name("ui.png")
_SIZE = {"width": 1000, "height": 1020}
_MAX_COLOURS = 96
_LAST_STEP = 30
_SCRIPT = """
import time
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from mnistkit import get_context

X, y = load_digits(return_X_y=True)
model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=0)
for epoch in range(1000):
    model.partial_fit(X / 16, y, classes=np.arange(10))
    loss = log_loss(y, model.predict_proba(X / 16))
    get_context().log("loss", loss, step=epoch)
    print(f"epoch {epoch}: loss {loss:.4f}", flush=True)
    time.sleep(0.1)
"""


def main() -> None:
    """Write the screenshot."""
    os.environ.pop("MNISTKIT_HOME", None)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "code").mkdir()
        (folder / "code" / "train.py").write_text(_SCRIPT, encoding="utf-8")
        trainer = Trainer.local(data="digits", experiment="digits", home=folder / "home")
        run = trainer.submit(ScriptJob(folder / "code", "train.py", tags={"purpose": "demo"}))
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        with UiServer(trainer, port=0) as server:
            page = browser.new_page(viewport=_SIZE)
            page.goto(server.url)
            page.click(f"text={run.id}")
            page.wait_for_function(
                "step => document.getElementById('log').textContent.includes(`epoch ${step}:`)", arg=_LAST_STEP
            )
            picture = page.screenshot()
            run.cancel()
            run.wait()
        browser.close()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(_MAX_COLOURS).save(_OUT, optimize=True)


if __name__ == "__main__":
    main()
