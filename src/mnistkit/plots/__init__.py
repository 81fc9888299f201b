"""Figures of data, models and runs, by matplotlib. Needs the extra ``plot``.

A Figure is returned to be shown or saved by the caller: a notebook shows it, ``figure.savefig("name.png")`` writes it.
Nothing is drawn through pyplot, so nothing stays open and no state is shared. A figure of one axis takes ``ax=`` to be
drawn into one of yours, a grid of images takes ``figure=``, a Figure or SubFigure of yours.

Nothing is shown by hue alone: images are grey, words name the classes, misclassified images are inverted as well as
red, lines differ in their marks, and colour scales go from light to dark.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "confusion": ["confusion"],
        "data": ["class_balance", "mean_images", "sample_grid"],
        "predictions": ["misclassified", "prediction_grid", "reliability"],
        "runs": ["learning_curve", "sweep_curve", "timeline"],
        "series": ["series"],
        "weights": ["weights"],
    },
)
