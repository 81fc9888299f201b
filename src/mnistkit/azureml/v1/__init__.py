"""Azure Machine Learning through version 1 of its SDK."""

from __future__ import annotations
