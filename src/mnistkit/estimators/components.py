r"""Principal components in which what varies within the classes counts for less.

Kernels and nearest neighbours compare rows by their distance. Some directions differ from row to row of one class as
much as between classes, such as the writer's pen: they make distances longer and say nothing about the class. With
the principal components :math:`z`, and the covariance :math:`S` of their differences to the means of their classes,

.. math:: z \mapsto \left(S / s + \epsilon I\right)^{-p} z, \quad s = \operatorname{tr}(S) / c

shrinks a direction the more, the more it varies within the classes; :math:`p = 1/2` would make all alike. It is the
within-class covariance normalization of A. O. Hatch, S. Kajarekar and A. Stolcke, *Within-class covariance
normalization for SVM-based speaker recognition*, Interspeech 2006, to a part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["WithinClassComponents"]

Array = NDArray[Any]


class WithinClassComponents(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Principal components, each direction scaled down the more it varies within the classes.

    See `mnistkit.estimators.components` for the formula. float32 stays float32. The columns are the directions of the
    variation within the classes, from the least to the most of it; only distances between rows mean something.

    Args:
        n_components: How many, at least 1; fewer where there are fewer rows or columns.
        power: How much directions are scaled: 0 leaves principal components, 0.5 gives all of them the same variance.
        shrinkage: What is added to each direction's variance, as a multiple of their mean.

    Attributes:
        mean_: ``(d,)``, of the rows.
        projection_: ``(d, c)``.
        n_features_in_: d.
    """

    def __init__(self, n_components: int = 256, *, power: float = 0.2, shrinkage: float = 0.1) -> None:
        self.n_components = n_components
        self.power = power
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> WithinClassComponents:
        """Find the directions.

        Args:
            X: ``(n, d)``, n at least 2.
            y: ``(n,)`` class labels.

        Raises:
            ValueError: As scikit-learn: an option that can't be, shapes that don't fit, NaN or infinite values.
        """
        from sklearn.decomposition import PCA

        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_classification_targets(y)
        solver = "covariance_eigh" if len(X) > X.shape[1] else "full"  # the cheaper one; both are exact
        pca = PCA(min(self.n_components, *X.shape), svd_solver=solver).fit(X)
        Z = pca.transform(X).astype(np.float64)
        classes, codes = np.unique(y, return_inverse=True)
        indicators = np.eye(len(classes))[codes]
        Z -= ((indicators.T @ Z) / indicators.sum(axis=0)[:, None])[codes]
        variances, directions = np.linalg.eigh(Z.T @ Z / len(Z))
        mean = variances.mean()
        scales = np.maximum(variances, 0) / mean if mean > 0 else np.ones_like(variances)
        weights = np.maximum(scales + self.shrinkage, np.finfo(X.dtype).eps) ** -self.power
        self.mean_ = pca.mean_
        self.projection_ = (pca.components_.T @ (directions * weights)).astype(X.dtype)
        return self

    def transform(self, X: Any) -> Array:
        """Return the components, ``(n, c)``.

        Args:
            X: ``(n, d)``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        components: Array = (X - self.mean_) @ self.projection_
        return components

    @property
    def _n_features_out(self) -> int:
        return int(self.projection_.shape[1])

    def _check_parameters(self) -> None:
        if not isinstance(self.n_components, (int, np.integer)) or self.n_components < 1:
            raise ValueError(f"n_components={self.n_components!r}: use a whole number of at least 1.")
        for name, value in (("power", self.power), ("shrinkage", self.shrinkage)):
            if not isinstance(value, (int, float, np.number)) or not value >= 0 or not np.isfinite(value):
                raise ValueError(f"{name}={value!r}: use a finite number of at least 0.")

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that labels are needed."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
