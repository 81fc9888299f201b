"""The limits: each refusal is of one kind, noted, and told in the documentation as the code has it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytest.importorskip("h11")

import mnistkit.emulator
from emulator import runs_client as runs
from emulator.conftest import Client
from mnistkit.emulator.limits import LIMITS, limits_table

SOURCE = Path(mnistkit.emulator.__file__).parent
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "test-azure-code-offline.md"


def refusals() -> list[tuple[str, ast.Call]]:
    """Where the source makes a refusal."""
    return [
        (f"{path.name}:{node.lineno}", node)
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Refusal", "NotEmulated"}
    ]


def test_one_way_of_refusing() -> None:
    """What isn't emulated is refused by NotEmulated, which is noted, and by nothing else."""
    for where, call in refusals():
        text = ast.unparse(call)
        if call.func.id == "Refusal":  # type: ignore[attr-defined]
            assert "501" not in text, where
            assert "t emulated" not in text, where
            assert "NotImplemented" not in text, where
        else:
            assert ast.literal_eval(call.args[0]) in LIMITS, where


def test_every_limit_is_met_somewhere() -> None:
    """A limit that nothing refuses is no limit."""
    used = {ast.literal_eval(call.args[0]) for _, call in refusals() if call.func.id == "NotEmulated"}  # type: ignore[attr-defined]
    assert used == set(LIMITS)


def test_the_documentation_has_the_table() -> None:
    """The page's table is the code's: print limits_table() and paste it where they differ."""
    assert limits_table() in PAGE.read_text(encoding="utf-8")


def test_a_refusal_is_noted(client: Client) -> None:
    """Code that catches the error doesn't hide it: the emulator's list has it, with the reason."""
    runs.cluster(client)
    runs.submit(client, "one", "print()", status=400, framework="PySpark")
    (noted,) = client.emulator.unknown_requests
    assert noted.startswith("POST 127.0.0.1/execution/v1.0/")
    assert "PySpark" in noted
