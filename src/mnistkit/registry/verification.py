"""What a check of registered models found, as values."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

__all__ = ["Problem", "Verification"]


@frozen
class Problem:
    """One way in which a version, or what points to it, isn't what was registered.

    Attributes:
        model: The version, as ``name:version``; the model's name alone if it isn't about one version.
        file: Which of its files, by relative POSIX path; empty if it isn't about one.
        what: What is wrong, and with the file's name and numbers where there are any.
    """

    model: str
    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.model}: {self.file + ': ' if self.file else ''}{self.what}"


@frozen
class Verification:
    """How much was checked, and what was found.

    Attributes:
        versions: How many versions were checked.
        size: How many bytes their files should have, together.
        problems: What is wrong; empty if all is as it was registered.
    """

    versions: int
    size: int
    problems: tuple[Problem, ...] = ()

    @classmethod
    def total(cls, parts: Iterable[Verification]) -> Verification:
        """What several checks found, in their order."""
        found = tuple(parts)
        return cls(
            sum(part.versions for part in found),
            sum(part.size for part in found),
            tuple(problem for part in found for problem in part.problems),
        )
