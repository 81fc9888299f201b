"""The run folder: one run as files, readable without mnistkit, which any backend may keep."""

from __future__ import annotations
