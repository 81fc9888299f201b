from mnistkit.evaluation.calibration import Calibration as Calibration
from mnistkit.evaluation.calibration import calibrate as calibrate
from mnistkit.evaluation.comparison import Comparison as Comparison
from mnistkit.evaluation.comparison import compare as compare
from mnistkit.evaluation.comparison import mcnemar as mcnemar
from mnistkit.evaluation.results import run_dataset as run_dataset
from mnistkit.evaluation.results import run_evaluation as run_evaluation
from mnistkit.evaluation.results import run_model as run_model
from mnistkit.evaluation.robustness import Robustness as Robustness
from mnistkit.evaluation.robustness import measure_robustness as measure_robustness
from mnistkit.evaluation.scores import ClassScore as ClassScore
from mnistkit.evaluation.scores import Evaluation as Evaluation
from mnistkit.evaluation.scores import evaluate as evaluate
from mnistkit.evaluation.scores import predict as predict
from mnistkit.evaluation.scores import wilson_interval as wilson_interval

__all__ = [
    "Calibration",
    "ClassScore",
    "Comparison",
    "Evaluation",
    "Robustness",
    "calibrate",
    "compare",
    "evaluate",
    "mcnemar",
    "measure_robustness",
    "predict",
    "run_dataset",
    "run_evaluation",
    "run_model",
    "wilson_interval",
]
