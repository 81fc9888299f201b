"""Registered models: versions, references, aliases, and the interface of registries."""

from __future__ import annotations
