"""Fitted models as files: written, read, checked."""

from __future__ import annotations
