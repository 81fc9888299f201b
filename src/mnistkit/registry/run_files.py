"""What a model registry may offer besides: taking the files of a run from where the run lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from mnistkit.registry.version import ModelVersion

__all__ = ["RegistersRuns"]


@runtime_checkable
class RegistersRuns(Protocol):
    """A `ModelRegistry` in the place where runs keep their files: it registers these without a copy of them."""

    def has_run(self, run_id: str) -> bool:
        """Whether the run lives there."""

    def register_from_run(
        self,
        name: str,
        run_id: str,
        files: Sequence[str],
        *,
        format: str | None = None,  # noqa: A002 - the field's word for it
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        copies: Path | None = None,
    ) -> ModelVersion:
        """Publish files of a run as the next version of ``name``, otherwise as `ModelRegistry.register` does.

        Args:
            name: The model.
            run_id: The run.
            files: Some of its files, the model first; the version has them by their own names.
            format: One of `mnistkit.registry.FORMATS`; None to tell from the first file.
            metrics: Finite numbers by name.
            tags: Free text by key.
            description: Free text.
            copies: A folder with verified copies of the files, by their own names, from which to tell what they are;
                None to read them where they are.

        Raises:
            RunNotFoundError: There is no such run.
            NotFoundError: The run has no such file; lists the ones it has.
        """
