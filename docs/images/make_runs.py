"""Draws the screenshot of the page of many runs.

Run it with ``python docs/images/make_runs.py``; it trains some runs on scikit-learn's digits in a temporary folder,
opens the page in Chromium (the dependency group ``browser``), and writes ``docs/images/runs.png``.
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

_OUT = Path(__file__).with_name("runs.png")
_SIZE = {"width": 1180, "height": 1460}
_MAX_COLOURS = 96
_SCRIPT = """
import sys, warnings
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from mnistkit import get_context

rate, alpha, seed = float(sys.argv[2]), float(sys.argv[4]), int(sys.argv[6])
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.3, random_state=seed)
model = SGDClassifier(loss="log_loss", alpha=alpha, learning_rate="constant", eta0=rate, random_state=seed)
for epoch in range(20):
    model.partial_fit(X_train, y_train, classes=np.arange(10))
    get_context().log("loss", log_loss(y_train, model.predict_proba(X_train)), step=epoch)
get_context().log("accuracy", model.score(X_test, y_test))
"""


def _page(folder: Path) -> Path:
    """Train twelve runs, and return the file of their page."""
    (folder / "code").mkdir()
    (folder / "code" / "train.py").write_text(_SCRIPT, encoding="utf-8")
    trainer = Trainer.local(data="digits", experiment="digits", home=folder / "home", parallel=2)
    jobs = [
        ScriptJob(folder / "code", "train.py", ("--rate", rate, "--alpha", alpha, "--seed", seed))
        for rate in (0.003, 0.01, 0.03, 0.1)
        for alpha, seed in ((1e-5, 1), (1e-4, 1), (1e-3, 2))
    ]
    runs = [run.wait() for run in trainer.submit_all(jobs)]
    runs[5].note("the one to beat")
    return trainer.report(trainer.runs(sort="-accuracy"), folder / "runs.html")


def main() -> None:
    """Write the screenshot."""
    os.environ.pop("MNISTKIT_HOME", None)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        path = _page(Path(name))
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=_SIZE)
        page.goto(path.as_uri())
        page.click("#tick-best")
        picture = page.screenshot()
        browser.close()
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").quantize(_MAX_COLOURS).save(_OUT, optimize=True)


if __name__ == "__main__":
    main()
