"""The embedded defaults: data, compute and models on this machine."""

from __future__ import annotations
