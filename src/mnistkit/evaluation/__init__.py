"""How good a model is, and which of two is better."""

from __future__ import annotations
