"""Options of ``mnistkit train`` and ``mnistkit sweep``, and the classifier that they describe."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mnistkit.errors import UsageError

if TYPE_CHECKING:  # takes a moment to load
    from mnistkit.jobs.spec import ModelSpec

__all__ = [
    "DetachOption",
    "ExperimentOption",
    "ExplainOption",
    "FormatOption",
    "LimitOption",
    "MaxIterOption",
    "ModelFormat",
    "NameOption",
    "RegisterOption",
    "RetriesOption",
    "ReuseOption",
    "SeedOption",
    "Solver",
    "SolverOption",
    "TimeoutOption",
    "TolOption",
    "fast_logistic_regression",
    "inverse_rate",
    "logistic_regression",
]


class Solver(str, enum.Enum):
    """mnistkit's own solver, and scikit-learn's, for a logistic regression; or another classifier in its place."""

    FAST = "fast"
    ACCURATE = "accurate"
    LBFGS = "lbfgs"
    LIBLINEAR = "liblinear"
    NEWTON_CG = "newton-cg"
    NEWTON_CHOLESKY = "newton-cholesky"
    SAG = "sag"
    SAGA = "saga"


class ModelFormat(str, enum.Enum):
    """The format of the model file."""

    SKOPS = "skops"
    JOBLIB = "joblib"
    LINEAR = "linear"


SolverOption = Annotated[
    Solver,
    typer.Option(
        help="fast is mnistkit's own, the others scikit-learn's; liblinear trains one model per class. accurate is no "
        "logistic regression but a kernel machine on gradients: above 99.5 % on MNIST."
    ),
]
MaxIterOption = Annotated[int, typer.Option(min=1, help="Maximum number of iterations of the solver.")]
TolOption = Annotated[float, typer.Option(min=0, help="Tolerance of the solver; scikit-learn's default is 1e-4.")]
SeedOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed for everything random.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Number of training images, each class in proportion.")]
ExperimentOption = Annotated[str | None, typer.Option(metavar="NAME", help="The experiment that groups the runs.")]
NameOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The name to register the model under.  [default: sklearn_ and the data's]"),
]
RegisterOption = Annotated[bool, typer.Option(help="Register the model, or keep it in its run only.")]
FormatOption = Annotated[
    ModelFormat,
    typer.Option("--format", help="skops loads safely; linear holds numbers only; joblib is the tutorial's pickle."),
]
ReuseOption = Annotated[
    bool,
    typer.Option("--reuse", help="Reuse an earlier run with the same code, parameters, data, libraries and seed."),
]
ExplainOption = Annotated[
    bool,
    typer.Option("--explain", help="Train nothing: print which run --reuse would reuse, or why it would reuse none."),
]
DetachOption = Annotated[
    bool, typer.Option("--detach", help="Return at once: the run continues in the background. It isn't registered.")
]
TimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Stop an attempt that takes longer.  [default: no limit]")
]
RetriesOption = Annotated[int, typer.Option(min=0, help="Number of further attempts if it fails or is killed.")]


def inverse_rate(rate: float) -> float:
    """Return C, scikit-learn's parameter: 1/rate."""
    if not (rate > 0 and math.isfinite(rate) and math.isfinite(1 / rate)):
        raise UsageError(
            f"--regularization {rate:g}: it must be a finite number above 0, as C is 1/regularization. "
            "The tutorial uses 0.5; a lower rate regularizes less."
        )
    return 1 / rate


def fast_logistic_regression(c: float, max_iter: int, tol: float) -> ModelSpec:
    """Return the spec of mnistkit's own logistic regression: scikit-learn is imported only where it is fitted."""
    from mnistkit.jobs.signatures import own_model

    return own_model("mnistkit.estimators.FastLogisticRegression", C=c, max_iter=max_iter, tol=tol)


def logistic_regression(c: float, solver: Solver, max_iter: int, tol: float) -> Any:
    """Return the logistic regression, not fitted."""
    from sklearn.linear_model import LogisticRegression

    from mnistkit.estimators import FastLogisticRegression

    if solver is Solver.FAST:
        return FastLogisticRegression(C=c, max_iter=max_iter, tol=tol)
    return LogisticRegression(C=c, solver=solver.value, max_iter=max_iter, tol=tol)
