"""Names that every part of mnistkit must refuse."""

from __future__ import annotations

from typing import Final

__all__ = ["HOSTILE_NAMES"]

HOSTILE_NAMES: Final = (
    *(
        "",
        ".",
        "..",
        "...",
        "../x",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a/../b",
        "./a",
        "a/",
        "a\\b",
        "..\\a",
        "\\\\h\\s",
    ),
    *(
        "C:x",
        "C:/x",
        "c:\\x",
        "a:b",
        "a@b",
        "a?x",
        "a#x",
        "a%x",
        "%2e%2e",
        "%2e%2e%2fx",
        "a*",
        "~",
        "~root",
        "$HOME",
        "`id`",
    ),
    *(
        "a\n",
        "a\r\n",
        "\na",
        "a\0",
        "a\0.skops",
        "a\tb",
        "a b",
        " a",
        "a ",
        ".a",
        "a.",
        "-a",
        "a-",
        "_a",
        "a..b",
        "a|b",
        "a;b",
    ),
    *("con", "CON", "con.txt", "nul", "AUX", "prn", "com1", "LPT9", "lpt0.skops"),
    *(
        "modèle",
        "\u0430dmin",
        "\uff41",
        "a\u2024b",
        "a\u2044b",
        "a\u202eb",
        "a\u200b",
        "\ufeffa",
        "\uff11",
        "\ud800",
        "😀",
    ),
    *("a" * 65, "a" * 5000, "a" * 100_000, '"a"', "'a'", "<a>"),
)
"""Texts that break `mnistkit.utils.names.NAME_RULE`: climbing, absolute, encoded, reserved, look-alikes, too long."""
