"""A throw-away certificate authority, trusted by those processes alone that are given its bundle.

It can't do harm beyond that: its certificates hold for Azure's domains alone and for a day, its key stays in
memory, and it is never installed in a system.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
import ssl
import threading
from collections.abc import Iterable
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["DOMAINS", "Authority", "is_azure"]

_HOST_PATTERN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")

DOMAINS = (
    "azure.com",
    "azureedge.net",
    "azurefd.net",
    "azureml.ms",
    "azureml.net",
    "core.windows.net",
    "graph.windows.net",
    "microsoftonline.com",
    "services.visualstudio.com",
    "vault.azure.net",
)
_CERTIFICATE_LIFETIME = dt.timedelta(hours=24)
_CLOCK_SKEW = dt.timedelta(minutes=10)


def is_azure(host: str) -> bool:
    """Return True if a host belongs to one of Azure's domains that the emulator stands in for."""
    is_host = _HOST_PATTERN.fullmatch(host) is not None
    return is_host and (host.endswith(tuple(f".{domain}" for domain in DOMAINS)) or host in DOMAINS)


class Authority:
    """Signs certificates of Azure's hosts, and of those that it is given.

    Attributes:
        bundle: The file that clients trust: its own certificate and the public roots that Python packages ship with.
    """

    def __init__(self, folder: Path, hosts: Iterable[str] = ()) -> None:
        """Make a new key and a new certificate.

        Args:
            folder: Made private; holds the bundle and what the hosts' certificates need.
            hosts: Others than Azure's that it may sign for.
        """
        self._hosts = frozenset(hosts)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._lock = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._host_key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign_itself()
        self.bundle = folder / "bundle.pem"
        roots = Path(certifi.where()).read_bytes()
        _write_private(self.bundle, self._certificate.public_bytes(serialization.Encoding.PEM) + roots)

    def covers(self, host: str) -> bool:
        """Return True if it signs for a host."""
        return is_azure(host) or host in self._hosts

    def context(self, host: str) -> ssl.SSLContext:
        """Return the TLS context of a server for that host.

        Raises:
            ValueError: It isn't one that it signs for.
        """
        if not self.covers(host):
            raise ValueError(f"{host!r} isn't one of the hosts that the emulator stands in for")
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._new_context(host)
            return self._contexts[host]

    def _new_context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        file = self._folder / "host.pem"
        key = self._host_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_private(file, key + self._sign_host(host).public_bytes(serialization.Encoding.PEM))
        try:
            context.load_cert_chain(file)  # takes files only
        finally:
            file.unlink()
        return context

    def _sign_itself(self) -> x509.Certificate:
        name = _name("mnistkit emulator, for this machine alone")
        allowed = [x509.DNSName(domain) for domain in (*DOMAINS, *sorted(self._hosts))]
        no_addresses = [
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ]
        return (
            _builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.NameConstraints(allowed, no_addresses), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _sign_host(self, host: str) -> x509.Certificate:
        own_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(_name("emulated Azure host"), self._certificate.subject, self._host_key.public_key())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(own_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _CERTIFICATE_LIFETIME)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, atomically."""
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    part.replace(file)
