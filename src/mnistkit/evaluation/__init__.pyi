from mnistkit.evaluation.comparison import Comparison as Comparison
from mnistkit.evaluation.comparison import compare as compare
from mnistkit.evaluation.comparison import mcnemar as mcnemar
from mnistkit.evaluation.results import run_dataset as run_dataset
from mnistkit.evaluation.results import run_evaluation as run_evaluation
from mnistkit.evaluation.results import run_model as run_model
from mnistkit.evaluation.scores import ClassScore as ClassScore
from mnistkit.evaluation.scores import Evaluation as Evaluation
from mnistkit.evaluation.scores import evaluate as evaluate
from mnistkit.evaluation.scores import wilson_interval as wilson_interval

__all__ = [
    "ClassScore",
    "Comparison",
    "Evaluation",
    "compare",
    "evaluate",
    "mcnemar",
    "run_dataset",
    "run_evaluation",
    "run_model",
    "wilson_interval",
]
