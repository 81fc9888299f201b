"""A trainer with runs, a sweep and a model whose every text is hostile, and requests to its local pages."""

from __future__ import annotations

import contextlib
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from attrs import define, field
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mnistkit.data.dataset import Dataset
from mnistkit.jobs.job import ScriptJob
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.local.threads import InProcessCompute
from mnistkit.runs.run import Run
from mnistkit.trainer.trainer import Trainer
from support.pages import HOSTILE

TRAP = "window.trapped = true"
HOSTILE_TEXTS = [
    *(text for text in HOSTILE if text.isprintable()),
    f'<img src=x onerror="{TRAP}">',
    f"</script><script>{TRAP}</script>",
]
SCRIPT = """
import sys, time
from pathlib import Path
from mnistkit import get_context
run = get_context()
print("the script begins <b>&amp;</b>", flush=True)
for step in range(10_000):
    run.log("loss", 1 / (step + 1), step=step)
    print(f"step {step}", flush=True)
    if Path(sys.argv[1]).exists() or run.should_stop:
        break
    time.sleep(0.05)
run.log("accuracy", 0.97)
print("the script ends", flush=True)
"""


def digits_dataset() -> Dataset:
    """Some digits, in classes with hostile names."""
    bunch = load_digits()
    images = (bunch.images[:300] * 255 / 16).astype(np.uint8)
    names = [f"{i} {HOSTILE_TEXTS[i % len(HOSTILE_TEXTS)]}" for i in range(10)]
    return Dataset.from_arrays(images, bunch.target[:300], name="some digits", class_names=names)


def make_trainer(home: Path) -> Trainer:
    """A trainer with six runs, of which three are a sweep and one failed, and a model of two versions."""
    compute, models = InProcessCompute(home, parallel=4), FolderRegistry(home)
    trainer = Trainer(data=digits_dataset(), compute=compute, models=models, experiment="pages", home=home)
    split = trainer.dataset().train
    for i, rate in enumerate((0.01, 0.1, 1.0, 10.0, 100.0)):
        text = HOSTILE_TEXTS[i % len(HOSTILE_TEXTS)]
        tags = {"rate": str(rate), text: text, **({"sweep": f"rates {HOSTILE_TEXTS[0]}"} if i < 3 else {})}
        with trainer.start_run(f"fit-{i} {text}", tags=tags) as run:
            print(f"hello from {text}")
            for step in range(6):
                run.log("loss", rate / (step + 1), step=step)
            run.log("accuracy", 0.8 + i / 100)
        trainer.run(run.id).note(text)
    with contextlib.suppress(ValueError), trainer.start_run("breaks"):
        int(HOSTILE_TEXTS[-2])
    model = LogisticRegression(max_iter=20, tol=0.1).fit(split.X(), split.y)
    for text in HOSTILE_TEXTS[-2:]:
        trainer.register(model, "digits", description=text, tags={text: text})
    models.assign("digits", "champion", 1, reason=HOSTILE_TEXTS[-1])
    return trainer


def start_script(trainer: Trainer, folder: Path) -> tuple[Run, Path]:
    """Submit a script that logs steps until a file appears; return its run and that file."""
    code, end = folder / "code", folder / "end"
    code.mkdir(parents=True)
    (code / "train.py").write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
    return trainer.submit(ScriptJob(code, "train.py", (str(end),))), end


@define
class Visitor:
    """A client of the pages that keeps no cookie but the one that it was given.

    Attributes:
        base: The address of the pages.
        cookie: Of the first visit.
    """

    base: str
    cookie: str
    _pool: urllib3.PoolManager = field(factory=lambda: urllib3.PoolManager(retries=False))

    @classmethod
    def of(cls, url: str) -> Visitor:
        """The visitor that has opened the printed address."""
        answer = urllib3.request("GET", url, redirect=False, retries=False)
        assert answer.status == 303, answer.data
        return cls(url.split("/?", maxsplit=1)[0], answer.headers["Set-Cookie"].split(";")[0])

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Get a page; a header with an underscore is one with a hyphen."""
        return self.request("GET", path, **headers)

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """Send a form as a page of the server would."""
        headers = {"Origin": self.base, **headers}
        return self.request("POST", path, fields=fields or {}, encode_multipart=False, **headers)

    def request(self, method: str, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """Send any request."""
        fields = {key: options.pop(key) for key in ("fields", "encode_multipart") if key in options}
        headers = {"Cookie": self.cookie, **{key.replace("_", "-"): value for key, value in options.items()}}
        return self._pool.request(method, f"{self.base}{path}", headers=headers, redirect=False, **fields)


__all__ = ["HOSTILE_TEXTS", "TRAP", "Visitor", "digits_dataset", "make_trainer", "start_script"]
