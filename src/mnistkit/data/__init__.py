"""Datasets, the files that they are in, and where these come from."""

from __future__ import annotations
