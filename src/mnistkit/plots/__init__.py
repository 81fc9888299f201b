"""Pictures for people, as matplotlib Figures. Needs the extra ``plot``.

A Figure is returned to be shown or saved by the caller: a notebook shows it, ``figure.savefig("name.png")`` writes it.
Nothing is drawn through pyplot, so nothing stays open and no state is shared. A picture of one axis takes ``ax=`` to be
drawn into one of yours, a grid of images takes ``figure=``, a Figure or SubFigure of yours.

No meaning hangs on a hue: images are grey, words name the classes, wrong answers are inverted as well as red, lines
differ in their marks, and colour scales go from light to dark.
"""

from __future__ import annotations

from mnistkit.plots.confusion import confusion
from mnistkit.plots.data import class_balance, mean_images, sample_grid
from mnistkit.plots.predictions import misclassified, prediction_grid, reliability
from mnistkit.plots.runs import learning_curve, sweep_curve, timeline
from mnistkit.plots.weights import weights

__all__ = [
    "class_balance",
    "confusion",
    "learning_curve",
    "mean_images",
    "misclassified",
    "prediction_grid",
    "reliability",
    "sample_grid",
    "sweep_curve",
    "timeline",
    "weights",
]
