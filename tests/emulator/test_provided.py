"""Data of other accounts and hosts: served from folders, or refused at once with the way to provide it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("h11")

import urllib3

from emulator.conftest import Client
from mnistkit.emulator import AzureMLEmulator, Settings
from mnistkit.emulator.settings import parse_places
from mnistkit.errors import UsageError

BLOB = "https://dprepdata.blob.core.windows.net/demo"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of an emulator that has data of one container and of one site."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "Titanic.csv").write_text("a,b\n1,2\n")
    (folder / "deep" / "more.csv").write_text("c\n3\n")
    (folder / "leads-out.csv").symlink_to("/etc/passwd")
    settings = Settings(blobs={"dprepdata/demo": folder}, web={"raw.example.com/some/path": folder})
    with AzureMLEmulator(settings=settings) as emulator:
        yield Client(emulator)


def test_a_container_is_served(client: Client) -> None:
    """A container's blobs are listed and read, in ranges too, by whoever asks; links that lead out aren't there."""
    listing = client.ask("GET", f"{BLOB}?restype=container&comp=list", token=None).data.decode()
    assert [name in listing for name in ("Titanic.csv", "deep/more.csv", "leads-out.csv")] == [True, True, False]
    assert client.ask("GET", f"{BLOB}/Titanic.csv", token=None).data == b"a,b\n1,2\n"
    part = client.ask("GET", f"{BLOB}/deep/more.csv", token=None, headers={"Range": "bytes=2-2"})
    assert (part.status, part.data) == (206, b"3")
    assert client.ask("HEAD", f"{BLOB}/Titanic.csv", token=None).headers["content-length"] == "8"
    for name in ("nothing.csv", "leads-out.csv", "..%2Fdata%2FTitanic.csv", "deep"):
        assert client.ask("GET", f"{BLOB}/{name}", token=None).status == 404
    assert client.emulator.unknown_requests == ()


def test_a_site_is_served(client: Client) -> None:
    """A part of a web site is served, over TLS and without; the rest of it is not."""
    for scheme in ("https", "http"):
        assert client.ask("GET", f"{scheme}://raw.example.com/some/path/Titanic.csv", token=None).data == b"a,b\n1,2\n"
    answer = client.ask("GET", "https://raw.example.com/other/x.csv", token=None)
    assert answer.status == 404
    assert "--web raw.example.com/other=FOLDER" in answer.json()["error"]["message"]


def test_what_is_not_provided(client: Client) -> None:
    """Other data is refused in a form that isn't tried again, with the option that provides it, and is noted."""
    answer = client.ask("GET", "https://other.blob.core.windows.net/box/x.csv", token=None)
    assert answer.status == 404
    assert "--blob other/box=FOLDER" in answer.json()["error"]["message"]
    assert client.ask("HEAD", "https://other.blob.core.windows.net/box?restype=container", token=None).status == 200
    with pytest.raises(urllib3.exceptions.ProxyError) as caught:
        client.ask("GET", "https://example.org/x.csv", token=None)
    assert "--web example.org=FOLDER" in str(caught.value.__cause__ or caught.value)
    first, second = client.emulator.unknown_requests
    assert first.startswith("GET other.blob.core.windows.net/box/x.csv: ")
    assert "--blob other/box=FOLDER" in first
    assert second.startswith("CONNECT example.org:443: ")


def test_nothing_is_written(client: Client, tmp_path: Path) -> None:
    """A folder that stands in for a container is read only."""
    assert client.ask("PUT", f"{BLOB}/new.csv", body=b"x", token=None).status == 403
    assert not (tmp_path / "data" / "new.csv").exists()
    assert client.ask("DELETE", f"{BLOB}/Titanic.csv", token=None).status == 403
    assert (tmp_path / "data" / "Titanic.csv").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"blobs": {"dprepdata": "."}},
        {"blobs": {"UPPER/demo": "."}},
        {"blobs": {"dprepdata/../x": "."}},
        {"blobs": {"dprepdata/demo": "./nowhere"}},
        {"web": {"localhost/x": "."}},
        {"web": {"exa mple.com": "."}},
        {"web": {"example.com/{x}": "."}},
        {"web": {"example.com": "./nowhere"}},
    ],
)
def test_settings_are_checked(settings: dict[str, dict[str, str]]) -> None:
    """Places that can't be, and folders that aren't there, are refused before anything is started."""
    with pytest.raises(UsageError):
        Settings(**settings)


def test_places_as_text(tmp_path: Path) -> None:
    """The command line's texts name a place and a folder."""
    assert parse_places([f"a/b={tmp_path}"], "--blob") == {"a/b": tmp_path}
    with pytest.raises(UsageError, match="--blob"):
        parse_places(["a/b"], "--blob")


def test_a_reset_keeps_the_hosts(client: Client, tmp_path: Path) -> None:
    """A reset may change what is served, but not add a host: clients have read the certificates already."""
    client.emulator.reset(settings=Settings(blobs={"dprepdata/other": tmp_path}))
    assert client.ask("GET", f"{BLOB}/Titanic.csv", token=None).status == 404
    with pytest.raises(UsageError, match=r"more\.example\.com"):
        client.emulator.reset(settings=Settings(web={"more.example.com": tmp_path}))
