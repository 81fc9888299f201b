"""Secrets taken out of text."""

from __future__ import annotations

import time

import pytest

from mnistkit.utils.redaction import is_secret_name, redacted, redacted_arguments, redacted_source

SECRETS = [
    "https://me:CANARY@host/data",
    "http://CANARY@host",
    "https://me:p@CANARY@host/",
    "https://a.blob.core.windows.net/c/f?sv=2024&sig=CANARY%2B%3D&se=2027",
    "https://host/f?code=CANARY",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=CANARY+/ab==;EndpointSuffix=x",
    "Endpoint=sb://x/;SharedAccessKey=CANARY",
    "train --password CANARY",
    "train --db-password='a CANARY b'",
    "train --api-key CANARY --limit 3",
    "train --token=CANARY",
    "AZURE_CLIENT_SECRET=CANARY",
    '{"client_secret": "a CANARY"}',
    "password: CANARY",
    "Authorization: Bearer CANARY",
    "Proxy-Authorization: Basic CANARY",
    "it sent bearer CANARY-CANARY-CANARY",
    "eyJhbGciOiJIUzI1NiJ9.CANARY.CANARY",
]
HARMLESS = [
    "train --data mnist --regularization 0.5 --tokenizer fast --max-tokens 5 --key-column id",
    "KeyError: 'C'",
    "max(runs, key=len)",
    "unexpected token: '}'",
    "sklearn_mnist@champion",
    "https://host/mnist/train-images-idx3-ubyte.gz?raw=true",
    "design=3 signature: none",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_masked(text: str) -> None:
    """Nothing of the secret stays, wherever it stands."""
    assert "CANARY" not in redacted(text)
    assert "***" in redacted(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(text: str) -> None:
    """What only resembles a secret is left as it is."""
    assert redacted(text) == text


def test_what_surrounds_a_secret_stays() -> None:
    """Hosts, names and other options can still be read."""
    assert redacted("GET https://u:p@host/f?sv=1&sig=x&se=2 --token t --limit 3") == (
        "GET https://***@host/f?sv=1&sig=***&se=2 --token *** --limit 3"
    )


def test_command_lines_are_masked_argument_by_argument() -> None:
    """A secret option hides the argument after it, spaces and all, or what follows its =; flags hide nothing."""
    line = ("train.py", "--password", "a b", "--token=c d", "--secret", "--verbose", "--key", "-e", "https://u:p@h/")
    assert redacted_arguments(line) == (
        "train.py", "--password", "***", "--token=***", "--secret", "--verbose", "--key", "***", "https://***@h/",
    )  # fmt: skip


def test_secrets_of_the_environment_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of secret-looking variables, and a proxy's password in either spelling, are masked anywhere."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "plain-words")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:open%21sesame@proxy:3128")
    monkeypatch.setenv("MY_TOKEN", "short")
    text = "said plain-words, open%21sesame and open!sesame, in short"
    assert redacted(text) == "said ***, *** and ***, in short"


def test_the_working_directory_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """PWD is a folder, not a password."""
    monkeypatch.setenv("PWD", "/home/somebody")
    assert redacted("in /home/somebody") == "in /home/somebody"
    assert is_secret_name("--pwd")


@pytest.mark.parametrize("unit", ["x" * 1000, "password", "a-b.", "https://", "sig=", "'", "eyJaaaaaaaa.", "--key "])
def test_long_text_takes_no_longer_than_it_must(unit: str) -> None:
    """A megabyte of anything is read in seconds: no rule goes over the same characters again and again."""
    text = unit * (1_000_000 // len(unit))
    start = time.monotonic()
    redacted(text)
    assert time.monotonic() - start < 30


def test_source_keeps_its_form() -> None:
    """In Python source the texts that are assigned to names of secrets are masked, and nothing else."""
    source = (
        "api_key = 'abc'\ntoken: str = \"abc\"\nd['password'] = 'abc'\nd = {'sig': 'abc', 'name': 'x'}\nmonkey = 'x'\n"
    )
    masked = redacted_source(source)
    assert "abc" not in masked
    assert masked.startswith("api_key = '***'\ntoken: str = '***'\nd['password'] = '***'\n")
    assert masked.endswith("'name': 'x'}\nmonkey = 'x'\n")
