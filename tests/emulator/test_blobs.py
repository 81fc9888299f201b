"""Blob storage: content, blocks, ranges, listings, and signatures that are checked."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("h11")
pytest.importorskip("jwt")

from mnistkit.emulator.routing import Refusal, Request, Response, Router
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.store import Store
from mnistkit.emulator.tokens import Identity, Tokens
from mnistkit.emulator.workspace import Workspace

WORKSPACE = Workspace(
    subscription_id="s", resource_group="g", name="w", id="i", location="l", storage_account="acct", url="http://x"
)


class Account:
    """A storage account, asked without a server."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.blobs = Blobs(WORKSPACE, self.store, Tokens(Identity.of(folder)))
        self._router = Router(WORKSPACE, self.blobs.routes)

    def ask(self, method: str, url: str, body: bytes = b"", more: str = "", **headers: str) -> Response:
        """One request, with more parameters in its query."""
        parts = urlsplit(url)
        query = dict(parse_qsl(f"{parts.query}&{more}", keep_blank_values=True))
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method=method, host=parts.netloc, path=parts.path, query=query, headers=names, body=body)
        try:
            found = self._router.find(request)
            assert found is not None
            return found[0].handler(request, **found[1])
        except Refusal as refusal:
            return refusal.response()


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """An account without blobs."""
    account = Account(tmp_path / "state")
    yield account
    account.store.close()


def code(response: Response) -> str:
    """Azure's word for an error."""
    found = ET.fromstring(response.body).findtext("Code")  # noqa: S314 - the emulator's own
    assert found == response.headers["x-ms-error-code"]
    return found


def test_put_and_get(account: Account) -> None:
    """A blob's content comes back, with its type, its length and a checksum."""
    url = account.blobs.url("box", "folder/a b.txt", "rcw")
    put = account.ask("PUT", url, b"content", x_ms_blob_type="BlockBlob", x_ms_blob_content_type="text/plain")
    assert put.status == 201
    got = account.ask("GET", url)
    assert (got.status, got.body, got.content_type) == (200, b"content", "text/plain")
    assert got.headers["Content-MD5"] == base64.b64encode(hashlib.md5(b"content").digest()).decode()  # noqa: S324 - Azure's
    head = account.ask("HEAD", url)
    assert (head.status, head.headers["Content-Length"]) == (200, "7")
    stamp = datetime.strptime(got.headers["Last-Modified"], "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=timezone.utc)
    assert got.headers["Last-Modified"].startswith(f"{stamp:%a}")


def test_ranges(account: Account) -> None:
    """Parts of a blob come with 206 and say where they are; parts beyond its end are refused."""
    account.blobs.write("box", "digits", b"0123456789")
    url = account.blobs.url("box", "digits")
    for asked, body, where in (
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ):
        got = account.ask("GET", url, range=asked)
        assert (got.status, got.body, got.headers["Content-Range"]) == (206, body, where)
    assert account.ask("GET", url, x_ms_range="bytes=2-4").body == b"234"
    assert account.ask("GET", url, range="bytes=10-12").status == 416
    assert account.ask("GET", url, range="lines=1").status == 400
    account.blobs.write("box", "empty", b"")
    assert account.ask("GET", account.blobs.url("box", "empty"), range="bytes=0-9").status == 416
    assert account.ask("GET", account.blobs.url("box", "empty")).body == b""


def test_blocks(account: Account) -> None:
    """Blocks become a blob in the order of their list, whatever the order in which they came."""
    url = account.blobs.url("box", "large", "rw")
    ids = [base64.b64encode(f"{number:05}".encode()).decode() for number in range(3)]
    for number in (2, 0, 1):
        part = bytes([number]) * 1000
        assert account.ask("PUT", url, part, f"comp=block&blockid={ids[number]}").status == 201
    body = "".join(f"<Latest>{each}</Latest>" for each in ids)
    xml = f'<?xml version="1.0"?><BlockList>{body}</BlockList>'.encode()
    assert account.ask("PUT", url, xml, "comp=blocklist").status == 201
    assert account.ask("GET", url).body == b"".join(bytes([number]) * 1000 for number in range(3))
    again = account.ask("PUT", url, xml, "comp=blocklist")
    assert (again.status, code(again)) == (400, "InvalidBlockList")
    assert code(account.ask("PUT", url, b"<Block", "comp=blocklist")) == "InvalidXmlDocument"


def test_append(account: Account) -> None:
    """An append blob grows, and says at which offset; a block blob doesn't."""
    url = account.blobs.url("box", "log", "racw")
    account.ask("PUT", url, x_ms_blob_type="AppendBlob")
    first = account.ask("PUT", url, b"one\n", "comp=appendblock")
    second = account.ask("PUT", url, b"two\n", "comp=appendblock")
    assert [each.headers["x-ms-blob-append-offset"] for each in (first, second)] == ["0", "4"]
    assert account.ask("GET", url).body == b"one\ntwo\n"
    assert account.ask("PUT", url, b"x", "comp=appendblock", x_ms_blob_condition_appendpos="3").status == 412
    account.blobs.write("box", "block", b"x")
    other = account.blobs.url("box", "block", "rw")
    assert code(account.ask("PUT", other, b"y", "comp=appendblock")) == "InvalidBlobType"


def test_listing(account: Account) -> None:
    """A container is listed by prefix, by folder, and on pages; names that XML can't hold as they are come through."""
    for name in ("a.txt", "deep/b.txt", "deep/c & <d>.txt", "deeper/e.txt"):
        account.blobs.write("box", name, b"12")
    url = f"https://{WORKSPACE.blob_host}/box?{account.blobs.container_sas('box', 'rl')}"

    def listed(more: str) -> tuple[list[str], str | None]:
        response = account.ask("GET", url, more=f"restype=container&comp=list&{more}")
        root = ET.fromstring(response.body)  # noqa: S314 - the emulator's own
        names = [each.findtext("Name") or "" for each in root.iterfind("Blobs/*")]
        return names, root.findtext("NextMarker")

    assert listed("prefix=deep/")[0] == ["deep/b.txt", "deep/c & <d>.txt"]
    assert listed("delimiter=/")[0] == ["a.txt", "deep/", "deeper/"]
    names, marker = listed("maxresults=3")
    assert names == ["a.txt", "deep/b.txt", "deep/c & <d>.txt"]
    assert listed(f"marker={marker}")[0] == ["deeper/e.txt"]
    assert account.ask("HEAD", url, more="restype=container").status == 200
    assert account.ask("GET", url, more="restype=container&comp=list&maxresults=no").status == 400


def signed(account: Account, **changes: Any) -> str:
    """A blob's URL, with some of its parameters changed."""
    url = account.blobs.url("box", "a", "r")
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {name: value for name, value in changes.items() if value is not None}
    kept = {name: value for name, value in query.items() if not (name in changes and changes[name] is None)}
    from urllib.parse import urlencode

    return parts._replace(query=urlencode(kept)).geturl()


def test_signatures(account: Account) -> None:
    """What is unsigned, changed, expired or not permitted gets 403 and says which it is."""
    account.blobs.write("box", "a", b"x")
    account.blobs.write("box", "b", b"y")
    good = account.blobs.url("box", "a", "r")
    assert account.ask("GET", good).status == 200
    for bad in (
        signed(account, sig=None),
        signed(account, sig="AAAA"),
        signed(account, sp="rw"),
        signed(account, se="2099-01-01T00:00:00Z"),
        signed(account, sr="c"),
        good.replace("/box/a", "/box/b"),
        good.replace("/box/a", "/other/a"),
        account.blobs.url("box", "a", "r", seconds=-1),
    ):
        response = account.ask("GET", bad)
        assert (response.status, code(response)) == (403, "AuthenticationFailed"), bad
    denied = account.ask("PUT", good, b"z", x_ms_blob_type="BlockBlob")
    assert (denied.status, code(denied)) == (403, "AuthorizationPermissionMismatch")
    create = account.blobs.url("box", "a", "c")
    assert account.ask("PUT", create, b"z", x_ms_blob_type="BlockBlob").status == 403  # it is there already
    whole = f"https://{WORKSPACE.blob_host}/box/b?{account.blobs.container_sas('box', 'r')}"
    assert account.ask("GET", whole).body == b"y"
    assert account.ask("DELETE", whole).status == 403


def test_account_key(account: Account) -> None:
    """A request that is signed with the account's key is answered; with another key it isn't."""
    account.blobs.write("box", "a", b"x")

    def ask(key: str) -> Response:
        date = "Fri, 02 Jan 2026 00:00:00 GMT"
        text = "\n".join(["GET", *[""] * 11, f"x-ms-date:{date}", "x-ms-version:2019-12-12", "/acct/box/a"])
        digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
        headers = {"x_ms_date": date, "x_ms_version": "2019-12-12"}
        headers["authorization"] = f"SharedKey acct:{base64.b64encode(digest).decode()}"
        return account.ask("GET", f"https://{WORKSPACE.blob_host}/box/a", **headers)

    assert ask(account.blobs.account_key).body == b"x"
    assert ask(base64.b64encode(b"another").decode()).status == 403


def test_damaged_upload(account: Account) -> None:
    """Content that isn't what its MD5 says is refused."""
    url = account.blobs.url("box", "a", "rw")
    assert code(account.ask("PUT", url, b"x", x_ms_blob_type="BlockBlob", content_md5="AAAA")) == "Md5Mismatch"


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "..", "a\\b", "a\0b", "", "x" * 2000])
def test_hostile_names(account: Account, tmp_path: Path, name: str) -> None:
    """A name that might lead out of its container is refused, and nothing is written."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Refusal):
        account.blobs.write("box", name, b"x")
    with pytest.raises(Refusal):
        account.blobs.write(name, "a", b"x")
    assert sorted(tmp_path.rglob("*")) == before


def test_long_and_nested_names(account: Account) -> None:
    """Names may be longer than a file's, and one may be the folder of another."""
    names = ["a", "a/b", "a/" + "x" * 400]
    for name in names:
        account.blobs.write("box", name, name.encode())
    assert account.blobs.names("box") == sorted(names)
    assert [account.blobs.read("box", name).decode() for name in names] == names


def test_restart(tmp_path: Path) -> None:
    """Blobs and the account's key outlive the emulator; signatures made before still hold."""
    first = Account(tmp_path)
    first.blobs.write("box", "a", b"x")
    url = first.blobs.url("box", "a")
    first.store.close()
    second = Account(tmp_path)
    assert second.ask("GET", url).body == b"x"
    second.blobs.delete("box", "a")
    assert second.ask("GET", url).status == 404
    second.store.close()


def test_unsupported(account: Account) -> None:
    """What isn't emulated is refused, not ignored."""
    url = account.blobs.url("box", "a", "rw")
    assert account.ask("PUT", url, b"x", "comp=lease").status == 400
    assert account.ask("PUT", url, b"x", x_ms_blob_type="PageBlob").status == 400
    assert account.ask("PUT", url, x_ms_copy_source="https://x").status == 400
