"""What every room uses: files, names, text, JSON, HTML, progress."""

from __future__ import annotations
