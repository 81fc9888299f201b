from mnistkit.evaluation.calibration import Calibration as Calibration
from mnistkit.evaluation.calibration import calibrate as calibrate
from mnistkit.evaluation.comparison import Comparison as Comparison
from mnistkit.evaluation.comparison import compare as compare
from mnistkit.evaluation.comparison import mcnemar as mcnemar
from mnistkit.evaluation.images import InputImage as InputImage
from mnistkit.evaluation.images import read_images as read_images
from mnistkit.evaluation.predictions import Failure as Failure
from mnistkit.evaluation.predictions import Predictions as Predictions
from mnistkit.evaluation.predictions import Predictor as Predictor
from mnistkit.evaluation.predictions import predictor_of as predictor_of
from mnistkit.evaluation.results import run_dataset as run_dataset
from mnistkit.evaluation.results import run_evaluation as run_evaluation
from mnistkit.evaluation.results import run_model as run_model
from mnistkit.evaluation.robustness import Robustness as Robustness
from mnistkit.evaluation.robustness import measure_robustness as measure_robustness
from mnistkit.evaluation.run_comparison import ComparedItem as ComparedItem
from mnistkit.evaluation.run_comparison import RunComparison as RunComparison
from mnistkit.evaluation.run_comparison import SourceDiff as SourceDiff
from mnistkit.evaluation.run_comparison import compare_runs as compare_runs
from mnistkit.evaluation.scores import ClassScore as ClassScore
from mnistkit.evaluation.scores import Evaluation as Evaluation
from mnistkit.evaluation.scores import evaluate as evaluate
from mnistkit.evaluation.scores import predict as predict
from mnistkit.evaluation.scores import wilson_interval as wilson_interval

__all__ = [
    "Calibration",
    "ClassScore",
    "ComparedItem",
    "Comparison",
    "Evaluation",
    "Failure",
    "InputImage",
    "Predictions",
    "Predictor",
    "Robustness",
    "RunComparison",
    "SourceDiff",
    "calibrate",
    "compare",
    "compare_runs",
    "evaluate",
    "mcnemar",
    "measure_robustness",
    "predict",
    "predictor_of",
    "read_images",
    "run_dataset",
    "run_evaluation",
    "run_model",
    "wilson_interval",
]
