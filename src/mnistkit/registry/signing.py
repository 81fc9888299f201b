"""Signatures of registered models: the holder of a key vouches for a version. Needs the extra ``sign``.

Signed are the model's name, the version's number and its digest, with Ed25519. The digest is the sha256 of the
manifest, and the manifest has the sha256 of each file: one signature covers all of it.
"""

from __future__ import annotations

import base64
import os
from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import field, frozen

from mnistkit.errors import MissingExtraError, NotFoundError, SignatureError, StorageError, UsageError
from mnistkit.registry.version import ModelVersion
from mnistkit.utils.arguments import check_type
from mnistkit.utils.clock import utc_now
from mnistkit.utils.files import sha256_hex
from mnistkit.utils.regular import read_regular
from mnistkit.utils.serialization import to_json

if TYPE_CHECKING:  # an optional dependency
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ["Signature", "SupportsSignatures", "check_signature", "make_keys", "sign"]

_MAX_KEY_BYTES = 10_000


@frozen
class Signature:
    """The statement of a key's holder that a version is the one they saw.

    Attributes:
        key: Which key: the first 16 hexadecimal digits of the sha256 of the raw public key.
        signature: 64 bytes in base64.
        signed_at: When, UTC; information only, it isn't signed.
    """

    key: str
    signature: str
    signed_at: datetime = field(factory=utc_now)


@runtime_checkable
class SupportsSignatures(Protocol):
    """A `ModelRegistry` that keeps signatures beside its versions. It neither makes nor checks them."""

    @abstractmethod
    def attach_signature(self, model: ModelVersion, signature: Signature) -> None:
        """Keep a signature; the first of each key stays.

        Raises:
            ModelNotFoundError: There is no such version.
            StorageError: The registry can't be written.
        """

    @abstractmethod
    def signatures(self, model: ModelVersion) -> tuple[Signature, ...]:
        """Return the signatures of a version that can be read, by key; empty if there are none."""


def make_keys(file: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Make a pair of keys: the private one in ``file``, readable by its owner alone, the public one in ``file.pub``.

    Both are PEM, as openssl reads and writes them. Neither is encrypted.

    Returns:
        The two files.

    Raises:
        MissingExtraError: cryptography isn't installed.
        UsageError: One of the files is there already.
        StorageError: They can't be written.
    """
    _require_extra()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private, public = Path(file), Path(f"{os.fspath(file)}.pub")
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    _create(private, key.private_bytes(pem, pkcs8, serialization.NoEncryption()), 0o600)
    try:
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        _create(public, key.public_key().public_bytes(pem, spki), 0o644)
    except BaseException:
        private.unlink()
        raise
    return private, public


def sign(registry: object, model: ModelVersion, key: str | os.PathLike[str]) -> Signature:
    """Sign a version with a private key, and keep the signature in its registry. Idempotent.

    ``model`` is what is signed, as you read it, even if the registry holds something else by then.

    Args:
        registry: One that keeps signatures.
        model: The version.
        key: The file with the private key.

    Raises:
        MissingExtraError: cryptography isn't installed.
        NotFoundError: There is no such file.
        UsageError: The file holds no Ed25519 private key, or others may read it; or the registry keeps no signatures.
        SignatureError: Another signature has this key's place: it was damaged.
    """
    store = _store(registry)
    private = _private_key(Path(key))
    content = base64.b64encode(private.sign(_message(model))).decode()
    signature = Signature(_key_id(private.public_key()), content)
    store.attach_signature(model, signature)
    check_signature(registry, model, [private.public_key()])
    return signature


def check_signature(
    registry: object, model: ModelVersion, keys: Sequence[str | os.PathLike[str] | Ed25519PublicKey]
) -> str:
    """Return the id of the key that has signed this version, one of ``keys``.

    Args:
        registry: Where the signatures are.
        model: The version.
        keys: Public keys, or the files that hold them.

    Raises:
        SignatureError: None of them has; or the registry keeps no signatures.
        MissingExtraError: cryptography isn't installed.
        NotFoundError: There is no such file.
        UsageError: A file holds no Ed25519 public key.
    """
    _require_extra()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    known = {}
    for each in keys:
        public = _public_key(Path(each)) if isinstance(each, (str, os.PathLike)) else each
        check_type(public, Ed25519PublicKey, "The key", "the path of a .pub file, or an Ed25519PublicKey")
        known[_key_id(public)] = public
    found = registry.signatures(model) if isinstance(registry, SupportsSignatures) else ()
    for signature in found:
        if signature.key in known:
            try:
                known[signature.key].verify(base64.b64decode(signature.signature, validate=True), _message(model))
            except (InvalidSignature, ValueError):
                continue
            return signature.key
    broken = [signature.key for signature in found if signature.key in known]
    others = [signature.key for signature in found if signature.key not in known]
    detail = f"; the signature by {broken[0]} isn't one of this version as it is now" if broken else ""
    detail += f"; signed by {', '.join(others)}" if others else ""
    raise SignatureError(
        f"{model.id} isn't signed by {' or '.join(known)}{detail}. If you trust it: "
        f"mnistkit models sign {model.id} --key FILE. Otherwise use another version."
    )


def _message(model: ModelVersion) -> bytes:
    """Return the signed bytes. They name the version, so that no other version can be given its signature."""
    return b"mnistkit model version\n" + to_json({"name": model.name, "version": model.version, "digest": model.digest})


def _store(registry: object) -> SupportsSignatures:
    _require_extra()
    if not isinstance(registry, SupportsSignatures):
        raise UsageError(f"{type(registry).__name__} keeps no signatures: use the folder registry.")
    return registry


def _key_id(public: Ed25519PublicKey) -> str:
    return sha256_hex(public.public_bytes_raw())[:16]


def _private_key(file: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(file), password=None)
    except (ValueError, TypeError) as error:  # the error may not show what is in the file
        raise UsageError(f"{file} holds no private key in PEM without a password ({type(error).__name__}).") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{file} holds another kind of key than Ed25519: make one with 'mnistkit models keygen'.")
    if os.name != "nt" and file.expanduser().stat().st_mode & 0o077:
        raise UsageError(f"{file} can be read by others, so that others can sign, too. Run: chmod 600 {file}")
    return key


def _public_key(file: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(file))
    except ValueError:
        raise UsageError(f"{file} holds no public key in PEM: name the .pub file of the pair.") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{file} holds another kind of key than Ed25519: make one with 'mnistkit models keygen'.")
    return key


def _read(file: Path) -> bytes:
    try:
        return read_regular(file.expanduser(), _MAX_KEY_BYTES, follow=True)
    except OSError as error:
        raise NotFoundError(f"Can't read the key {file}: {error.strerror or error}. Name its file.") from error


def _create(file: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UsageError(f"{file} exists: a key is never replaced. Use another name.") from error
    except OSError as error:
        raise StorageError(f"Can't write {file}: {error.strerror or error}. Use a folder that is writable.") from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)


def _require_extra() -> None:
    try:
        import cryptography  # noqa: F401 - whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "Signatures need cryptography: python -m pip install 'mnistkit[sign]'. Until then nothing that has to be "
            "signed is loaded."
        ) from error
