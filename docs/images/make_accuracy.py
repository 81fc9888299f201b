"""Draws errors against seconds of the classifiers in the table of ``docs/explanation/accuracy.md``.

Run it with ``python docs/images/make_accuracy.py`` after the table has changed (the extra ``plot``); it writes
``docs/images/accuracy.png``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt

_HERE = Path(__file__).parent
_TABLE = _HERE.parent / "explanation" / "accuracy.md"
_OUT = _HERE / "accuracy.png"
_ROW_PATTERN = re.compile(r"\| (.+?) \| ([\d.]+) % \| ([\d.]+) s \|.+\| ([\d,]+) \|")
_IMAGES = 10_000
_OURS = "AccurateClassifier"
_LABELS: dict[str, tuple[str, Literal["left", "right"], int]] = {
    "tutorial": ("the tutorial's logistic regression", "left", -3),
    "SVC": ("scikit-learn SVC", "left", -12),
    "MLP": ("scikit-learn MLP", "right", -3),
    "HistGradientBoosting": ("scikit-learn\nHistGradientBoosting", "left", 2),
    "KNeighbors": ("scikit-learn\n3 nearest neighbours", "left", -3),
    "PyTorch": ("PyTorch,\n2 convolutions", "left", -8),
    f"{_OURS}()": (f"{_OURS}()", "left", -9),
    f"{_OURS}(order=1)": (f"{_OURS}(order=1)", "left", 7),
}


def main() -> None:
    """Write the figure."""
    figure, axes = plt.subplots(figsize=(7.2, 4.2), dpi=110, layout="constrained")
    for name, accuracy, fit, per_second in _ROW_PATTERN.findall(_TABLE.read_text(encoding="utf-8")):
        label, side, lift = next(value for key, value in _LABELS.items() if key in name)
        point = float(fit) + _IMAGES / float(per_second.replace(",", "")), _IMAGES * (1 - float(accuracy) / 100)
        colour = "tab:red" if _OURS in name else "dimgray"
        axes.plot(*point, "o", color=colour)
        offset = (8 if side == "left" else -8, lift)
        axes.annotate(label, point, offset, textcoords="offset points", ha=side, fontsize=9, color=colour)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(2, 1000),
        ylim=(30, 1200),
        xlabel=f"seconds to fit 60,000 images and predict {_IMAGES:,}, on two cores",
        ylabel=f"wrong of {_IMAGES:,} test images",
    )
    axes.set_xticks([3, 10, 30, 100, 300], ["3", "10", "30", "100", "300"])
    axes.set_yticks([50, 100, 200, 500, 1000], ["50", "100", "200", "500", "1,000"])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(_OUT, metadata={"Software": None})


if __name__ == "__main__":
    main()
