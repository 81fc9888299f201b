"""Runs: their records, the backends that keep them, and the handle that users hold."""

from __future__ import annotations
