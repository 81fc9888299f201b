"""What to run, as values that go to JSON and back."""

from __future__ import annotations
