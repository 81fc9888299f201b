from mnistkit.plots.confusion import confusion as confusion
from mnistkit.plots.data import class_balance as class_balance
from mnistkit.plots.data import mean_images as mean_images
from mnistkit.plots.data import sample_grid as sample_grid
from mnistkit.plots.predictions import misclassified as misclassified
from mnistkit.plots.predictions import prediction_grid as prediction_grid
from mnistkit.plots.predictions import reliability as reliability
from mnistkit.plots.runs import learning_curve as learning_curve
from mnistkit.plots.runs import sweep_curve as sweep_curve
from mnistkit.plots.runs import timeline as timeline
from mnistkit.plots.series import series as series
from mnistkit.plots.weights import weights as weights

__all__ = [
    "class_balance",
    "confusion",
    "learning_curve",
    "mean_images",
    "misclassified",
    "prediction_grid",
    "reliability",
    "sample_grid",
    "series",
    "sweep_curve",
    "timeline",
    "weights",
]
