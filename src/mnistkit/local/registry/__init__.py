"""The registry in a folder."""

from __future__ import annotations
