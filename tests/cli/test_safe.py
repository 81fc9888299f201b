"""Nothing that a job writes can steer the terminal of who looks at it."""

from __future__ import annotations

import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mnistkit.cli import output

STEERS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = {"\u061c", "\u200e", "\u200f"}


def is_harmless(character: str) -> bool:
    """Whether a character can be encoded, and a terminal shows it in its place, as the tables of Unicode have it."""
    return character in "\n\t" or not (
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(character) in STEERS
        or character in MARKS
    )


def test_every_character_of_unicode() -> None:
    """Each character is left alone if it is harmless, and written out if not; a carriage return ends a line."""
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        shown = output.safe(character)
        if is_harmless(character):
            assert shown == character
        elif character == "\r":
            assert shown == "\n"
        else:
            assert shown.startswith("\\")
            assert shown.isascii()
            assert shown.isprintable()


@given(data=st.binary(max_size=200) | st.text("\x1b[]0;2Ja\r\n\x07\u202e\u2066\x9b").map(str.encode))
def test_what_is_shown_of_any_log(data: bytes) -> None:
    """Of a log of any bytes only harmless characters are shown, whether in one piece or in two."""
    text = data.decode("utf-8", "backslashreplace")
    for at in range(len(text) + 1):
        shown = output.safe(text[:at]) + output.safe(text[at:])
        assert all(map(is_harmless, shown))
