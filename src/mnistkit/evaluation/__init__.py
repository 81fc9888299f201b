"""Evaluation of models: scores, comparison of two, calibration, robustness, results of runs."""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "calibration": ["Calibration", "calibrate"],
        "comparison": ["Comparison", "compare", "mcnemar"],
        "images": ["InputImage", "read_images"],
        "predictions": ["Failure", "Predictions", "Predictor", "predictor_of"],
        "results": ["run_dataset", "run_evaluation", "run_model"],
        "robustness": ["Robustness", "measure_robustness"],
        "run_comparison": ["ComparedItem", "RunComparison", "SourceDiff", "compare_runs"],
        "scores": ["ClassScore", "Evaluation", "evaluate", "predict", "wilson_interval"],
    },
)
