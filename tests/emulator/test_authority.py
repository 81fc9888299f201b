"""The throw-away authority: trusted for Azure's hosts by who has its bundle, for nothing else, and not for long."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import stat
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("certifi")

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mnistkit.emulator.authority import DOMAINS, Authority, is_azure


def certificate(authority: Authority) -> x509.Certificate:
    """The authority's own certificate."""
    return x509.load_pem_x509_certificate(authority.bundle.read_bytes())


def greeting(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> str:
    """What a client makes of a server: the protocol's version.

    Raises:
        ssl.SSLError: It doesn't trust it.
    """
    one, other = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(one, server_side=True) as secure:
                secure.recv(1)
        except OSError:
            pass
        finally:
            one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(other, server_hostname=host) as secure:
            return str(secure.version())
    finally:
        other.close()
        thread.join(30)


def trusting(authority: Authority) -> ssl.SSLContext:
    """A client that trusts the bundle."""
    return ssl.create_default_context(cafile=str(authority.bundle))


@pytest.mark.parametrize(
    "host", ["management.azure.com", "account.blob.core.windows.net", "azureopendatastorage.azurefd.net"]
)
def test_who_has_the_bundle_trusts_azures_hosts(tmp_path: Path, host: str) -> None:
    """A client with the bundle takes the emulator for a host of Azure."""
    authority = Authority(tmp_path / "authority")
    assert greeting(authority.context(host), trusting(authority), host).startswith("TLS")


def test_nobody_else_does(tmp_path: Path) -> None:
    """A client with the usual roots, or with another emulator's bundle, doesn't trust it."""
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    for client in (ssl.create_default_context(), trusting(other)):
        with pytest.raises(ssl.SSLCertVerificationError):
            greeting(authority.context("management.azure.com"), client, "management.azure.com")


def test_no_certificate_for_others(tmp_path: Path) -> None:
    """It signs for Azure's hosts alone."""
    authority = Authority(tmp_path / "authority")
    for host in ("example.com", "management.azure.com.example.com", "notazure.com", "127.0.0.1"):
        assert not is_azure(host)
        with pytest.raises(ValueError, match="isn't one of the hosts"):
            authority.context(host)


def test_a_stolen_key_is_worth_nothing_elsewhere(tmp_path: Path) -> None:
    """Even a certificate that its key signs for another host isn't trusted: the authority's name is constrained."""
    authority = Authority(tmp_path / "authority")
    file = tmp_path / "forged.pem"
    key = authority._host_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(key + authority._sign_host("example.com").public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        greeting(server, trusting(authority), "example.com")


def test_it_is_constrained_and_short_lived(tmp_path: Path) -> None:
    """Its certificate names the domains that it may sign for, and holds for about a day."""
    mine = certificate(Authority(tmp_path / "authority"))
    constraints = mine.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert [name.value for name in constraints.value.permitted_subtrees or ()] == list(DOMAINS)
    assert mine.not_valid_after_utc - dt.datetime.now(dt.timezone.utc) <= dt.timedelta(hours=24)


def test_the_key_is_nowhere(tmp_path: Path) -> None:
    """No file has a private key, also after certificates were made."""
    authority = Authority(tmp_path / "authority")
    authority.context("management.azure.com")
    files = list((tmp_path / "authority").iterdir())
    assert files == [authority.bundle]
    assert b"PRIVATE KEY" not in authority.bundle.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_files_are_private(tmp_path: Path) -> None:
    """Only their owner may read its folder and its files."""
    folder = tmp_path / "authority"
    folder.mkdir(mode=0o755)
    authority = Authority(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(authority.bundle.stat().st_mode) == 0o600


def test_public_roots_are_in_the_bundle(tmp_path: Path) -> None:
    """The bundle takes the place of a client's roots, so it has the public ones too."""
    import certifi

    assert authority_roots(Authority(tmp_path / "authority")) == Path(certifi.where()).read_bytes().count(b"BEGIN") + 1


def authority_roots(authority: Authority) -> int:
    """How many certificates the bundle has."""
    return authority.bundle.read_bytes().count(b"BEGIN CERTIFICATE")
