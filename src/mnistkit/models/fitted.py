"""The check that a classifier was fitted."""

from __future__ import annotations

from typing import Any

from mnistkit.errors import UsageError
from mnistkit.jobs.spec import check_classifier

__all__ = ["check_fitted"]


def check_fitted(classifier: Any) -> None:
    """Check that ``classifier`` is a scikit-learn classifier, or a pipeline that ends in one, and was fitted.

    Raises:
        SpecError: It isn't a classifier.
        UsageError: It isn't fitted.
    """
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    check_classifier(classifier)
    try:
        check_is_fitted(classifier)
    except NotFittedError as error:
        raise UsageError(f"{type(classifier).__name__} isn't fitted: call its fit first.") from error
