"""Settings of the emulator."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen
from attrs.converters import optional

from mnistkit.errors import UsageError

__all__ = ["Settings"]


@frozen(kw_only=True)
class Settings:
    """The behaviour of an emulator.

    Attributes:
        data: The folder with MNIST's four files, at any depth, that Open Datasets serves; None for synthetic digits.
        phase_seconds: How long a job stays Queued, Preparing and Finalizing each, beyond what that takes anyway.
        check_environment: Whether a job fails whose requirements this interpreter doesn't meet.
        job_seconds: How long a job may take that sets itself no limit.
        job_bytes: How much a job may write.
    """

    data: Path | None = field(default=None, converter=optional(Path))
    phase_seconds: float = 0.0
    check_environment: bool = False
    job_seconds: float = 24 * 3600.0
    job_bytes: int = 10 << 30

    def __attrs_post_init__(self) -> None:
        """Check the numbers."""
        for name in ("phase_seconds", "job_seconds", "job_bytes"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name}={value}: use a number from 0 on.")
