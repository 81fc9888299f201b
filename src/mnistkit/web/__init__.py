"""Datasets over HTTPS mirrors: pinned, verified on every use, kept in a cache."""

from __future__ import annotations

from mnistkit.web.catalog import CATALOG, PinnedFile, PinnedWheel, WebDataset
from mnistkit.web.source import WebSource
from mnistkit.web.transfer import Patience

__all__ = ["CATALOG", "Patience", "PinnedFile", "PinnedWheel", "WebDataset", "WebSource"]
