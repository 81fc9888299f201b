"""Datasets over HTTPS mirrors: pinned, verified on every use, kept in a cache."""

from __future__ import annotations

from mnistkit.data.web.catalog import CATALOG, PinnedFile, PinnedWheel, WebDataset
from mnistkit.data.web.source import WebSource
from mnistkit.data.web.transfer import Patience

__all__ = ["CATALOG", "Patience", "PinnedFile", "PinnedWheel", "WebDataset", "WebSource"]
