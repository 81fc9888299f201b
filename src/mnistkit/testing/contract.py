"""The base of the conformance suites: capabilities that are declared, and promises that failures name."""

from __future__ import annotations

import inspect
from typing import ClassVar

import pytest

__all__ = ["ContractSuite"]


class ContractSuite:
    """The contract of an interface as tests: the docstring of each is the promise that it proves.

    When one fails, the pytest plugin adds to the report which promise of which interface broke.

    Attributes:
        interface: The name of the interface.
    """

    interface: ClassVar[str] = ""

    def require(self, capability: str) -> None:
        """Skip the test where the backend doesn't have a capability: a class attribute of the suite."""
        if not getattr(self, capability):
            pytest.skip(f"{type(self).__name__}.{capability} is {getattr(self, capability)}")

    @classmethod
    def promise(cls, test: str) -> tuple[str, str] | None:
        """The interface and the promise that the test of that name proves; None if it is none of a suite's.

        A test that a subclass overrides still proves the suite's promise; one that it adds isn't the contract's.
        """
        for suite in reversed(cls.__mro__):
            if interface := vars(suite).get("interface"):
                doc = inspect.getdoc(vars(suite).get(test)) if test in vars(suite) else None
                if doc:
                    return interface, " ".join(doc.split("\n\n")[0].split())
        return None
