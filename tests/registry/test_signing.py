"""Digests and signatures: what was noted or vouched for is loaded, and nothing else."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from sklearn.linear_model import LogisticRegression

from mnistkit.errors import (
    IntegrityError,
    MissingExtraError,
    ModelNotFoundError,
    NotFoundError,
    SignatureError,
    StorageError,
    UsageError,
)
from mnistkit.local.registry.registry import FolderRegistry
from mnistkit.models.persistence import save_model
from mnistkit.registry.loading import load_model
from mnistkit.registry.signing import KeepsSignatures, Signature, check_signature, make_keys, sign
from mnistkit.registry.version import ModelVersion
from mnistkit.trainer import Trainer
from support.naive import NaiveRegistry

pytest.importorskip("cryptography")


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    """A registry with version 1 of ``digits``, C=1, and version 2, C=2."""
    registry = FolderRegistry(tmp_path / "home")
    for C in (1, 2):
        X = np.arange(20.0).reshape(10, 2)
        save_model(LogisticRegression(C=C).fit(X, [0, 1] * 5), tmp_path / str(C), probe=X)
        registry.register("digits", tmp_path / str(C), format="skops")
    return registry


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    return make_keys(tmp_path / "models.key")


def _signature_file(registry: FolderRegistry, version: ModelVersion) -> Path:
    folder = Path(version.location).parents[1] / "signatures" / str(version.version)
    [file] = folder.iterdir()
    return file


# --- digests ---------------------------------------------------------------------------------------------------------


def test_only_the_noted_digest_is_loaded(registry: FolderRegistry) -> None:
    """With ``expect_digest`` the version with that digest loads, in either case; another is an integrity error."""
    one, two = registry.get("digits", 1), registry.get("digits", 2)
    for digest in (one.digest, one.digest.upper()):
        assert load_model(registry, "digits:1", expect_digest=digest).C == 1
    trainer = Trainer.local(home=Path(one.location).parents[3])
    assert trainer.load("digits:1", expect_digest=one.digest).C == 1
    for load in (trainer.load, lambda ref, **options: load_model(registry, ref, **options)):
        with pytest.raises(IntegrityError, match=f"digits:1 has digest {one.digest}, expected {two.digest}"):
            load("digits:1", expect_digest=two.digest)
    for bad in ("", one.digest[:12], 7):
        with pytest.raises(UsageError, match="all 64 digits"):
            load_model(registry, "digits:1", expect_digest=bad)  # type: ignore[arg-type]  # that is the point


def test_digest_pins_what_no_checksum_can(registry: FolderRegistry) -> None:
    """Who changes model and manifest together isn't noticed by their checksums, but by the digest noted before."""
    one, two = registry.get("digits", 1), registry.get("digits", 2)
    for file in Path(two.location).iterdir():
        (Path(one.location) / file.name).write_bytes(file.read_bytes())
    assert load_model(registry, "digits:1").C == 2
    with pytest.raises(IntegrityError, match="digest"):
        load_model(registry, "digits:1", expect_digest=one.digest)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_keys_are_files_of_their_own(tmp_path: Path) -> None:
    """The private key is its owner's alone, both are PEM; no file is replaced, and no half of a pair is left."""
    private, public = make_keys(tmp_path / "k")
    assert (private, public) == (tmp_path / "k", tmp_path / "k.pub")
    if os.name != "nt":
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert public.read_text().startswith("-----BEGIN PUBLIC KEY-----")
    before = private.read_bytes()
    with pytest.raises(UsageError, match="never replaced"):
        make_keys(private)
    private.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"k\.pub is there"):
        make_keys(private)
    assert not private.exists()
    assert (tmp_path / "moved").read_bytes() == before
    with pytest.raises(StorageError):
        make_keys(tmp_path / "nowhere" / "k")


def test_bad_keys(registry: FolderRegistry, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A key that isn't there, isn't one, is of another kind, or that others can read, is refused by name."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    private, public = keys
    version = registry.get("digits", 1)
    other = generate_private_key(SECP256R1())
    pem = serialization.Encoding.PEM
    curve, curve_public = tmp_path / "curve", tmp_path / "curve.pub"
    curve.write_bytes(other.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    curve_public.write_bytes(other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    curve.chmod(0o600)
    with pytest.raises(NotFoundError, match="nowhere"):
        sign(registry, version, tmp_path / "nowhere")
    for bad in (public, curve, tmp_path / "1" / "model.skops"):
        with pytest.raises(UsageError, match=bad.name):
            sign(registry, version, bad)
    for bad in (private, curve_public, tmp_path / "1" / "model.skops"):
        with pytest.raises(UsageError, match=bad.name):
            check_signature(registry, version, [bad])
    if os.name != "nt":
        private.chmod(0o640)
        with pytest.raises(UsageError, match="chmod 600"):
            sign(registry, version, private)
    assert registry.signatures(version) == ()


# --- signatures ------------------------------------------------------------------------------------------------------


def test_signed_is_loaded_and_unsigned_is_not(
    registry: FolderRegistry, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a key, by argument or by ``MNISTKIT_VERIFY_KEY``, what it has signed loads, and nothing else does."""
    private, public = keys
    assert isinstance(registry, KeepsSignatures)
    signature = sign(registry, registry.get("digits", 1), private)
    assert sign(registry, registry.get("digits", 1), private).signature == signature.signature
    assert [each.key for each in registry.signatures(registry.get("digits", 1))] == [signature.key]
    assert load_model(registry, "digits:1", verify_key=public).C == 1
    assert load_model(registry, "digits:2").C == 2
    with pytest.raises(SignatureError, match="digits:2 isn't signed by"):
        load_model(registry, "digits:2", verify_key=public)
    _, stranger = make_keys(tmp_path / "stranger")
    with pytest.raises(SignatureError, match=f"signed by {signature.key}"):
        load_model(registry, "digits:1", verify_key=stranger)
    monkeypatch.setenv("MNISTKIT_VERIFY_KEY", f"{stranger}{os.pathsep}{public}")
    assert load_model(registry, "digits:1").C == 1
    trainer = Trainer.local(home=tmp_path / "home")
    with pytest.raises(SignatureError):
        trainer.load("digits:2")
    assert trainer.load("digits:1", verify_key=public).C == 1
    monkeypatch.setenv("MNISTKIT_VERIFY_KEY", str(tmp_path / "nowhere"))
    with pytest.raises(NotFoundError):
        load_model(registry, "digits:1")


def test_signature_is_of_one_version(registry: FolderRegistry, keys: tuple[Path, Path]) -> None:
    """A signature fits no other version, no other name, no changed manifest, and not with a bit flipped."""
    private, public = keys
    one, two = registry.get("digits", 1), registry.get("digits", 2)
    signature = sign(registry, one, private)
    registry.attach_signature(two, signature)
    with pytest.raises(SignatureError, match="isn't one of this version"):
        load_model(registry, "digits:2", verify_key=public)
    for changed in (evolve(one, version=3), evolve(one, name="other"), evolve(one, digest=two.digest)):
        with pytest.raises(SignatureError):
            check_signature(_Keeps(signature), changed, [public])
    assert check_signature(_Keeps(signature), one, [public]) == signature.key
    for place in range(0, 80, 7):
        text = signature.signature
        bad = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(SignatureError):
            check_signature(_Keeps(evolve(signature, signature=bad)), one, [public])
    for bad in ("", "x", "é", "====", text[:-4]):
        with pytest.raises(SignatureError):
            check_signature(_Keeps(evolve(signature, signature=bad)), one, [public])


def test_old_version_under_a_new_number_is_refused(registry: FolderRegistry, keys: tuple[Path, Path]) -> None:
    """Signed version 1, put in the place of signed version 2 with its signature, isn't version 2."""
    private, public = keys
    one, two = registry.get("digits", 1), registry.get("digits", 2)
    for version in (one, two):
        sign(registry, version, private)
    for file in Path(one.location).iterdir():
        (Path(two.location) / file.name).write_bytes(file.read_bytes())
    _signature_file(registry, two).write_bytes(_signature_file(registry, one).read_bytes())
    assert load_model(registry, "digits:2").C == 1  # the checksums fit
    with pytest.raises(SignatureError):
        load_model(registry, "digits:2", verify_key=public)


def test_changed_files_are_refused_after_the_signature(registry: FolderRegistry, keys: tuple[Path, Path]) -> None:
    """A signature covers the files: a changed one is an integrity error, a changed manifest a signature error."""
    private, public = keys
    version = registry.get("digits", 1)
    sign(registry, version, private)
    path = Path(version.location) / "model.skops"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\x01")
    with pytest.raises(IntegrityError):
        load_model(registry, "digits:1", verify_key=public)
    path.write_bytes(content)
    manifest = Path(version.location) / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "description": "better"}))
    with pytest.raises(SignatureError):
        load_model(registry, "digits:1", verify_key=public)


def test_damaged_signature_is_as_none(registry: FolderRegistry, keys: tuple[Path, Path]) -> None:
    """A signature file that was cut, renamed or replaced by a link counts as none; signing again says what to do."""
    private, public = keys
    version = registry.get("digits", 1)
    sign(registry, version, private)
    file = _signature_file(registry, version)
    content = file.read_bytes()
    for bad in (b"", content[:20], b"[]", b"\xff"):
        file.write_bytes(bad)
        with pytest.raises(SignatureError):
            load_model(registry, "digits:1", verify_key=public)
        with pytest.raises(SignatureError):
            sign(registry, version, private)
    file.write_bytes(content)
    file.rename(file.with_name("0123456789abcdef.json"))
    with pytest.raises(SignatureError):
        load_model(registry, "digits:1", verify_key=public)
    if sys.platform != "win32":
        file.symlink_to(file.with_name("0123456789abcdef.json"))
        with pytest.raises(IntegrityError):
            load_model(registry, "digits:1", verify_key=public)


def test_registries_that_keep_none(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A registry that keeps no signatures can't be signed in, and with a key nothing loads from it."""
    private, public = keys
    X = np.arange(20.0).reshape(10, 2)
    save_model(LogisticRegression().fit(X, [0, 1] * 5), tmp_path / "outputs")
    registry = NaiveRegistry(tmp_path / "naive")
    version = registry.register("digits", tmp_path / "outputs", format="skops")
    with pytest.raises(UsageError, match="keeps no signatures"):
        sign(registry, version, private)
    with pytest.raises(SignatureError):
        load_model(registry, version, verify_key=public)


def test_nothing_there_can_be_signed(registry: FolderRegistry, keys: tuple[Path, Path]) -> None:
    """A version that isn't there can't be signed, and nothing is created."""
    version = evolve(registry.get("digits", 1), version=9)
    with pytest.raises(ModelNotFoundError):
        sign(registry, version, keys[0])
    assert not (Path(version.location).parents[1] / "signatures").exists()


def test_the_extra_is_named(
    registry: FolderRegistry, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without cryptography, making keys, signing and loading with a key say which extra is missing."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for call in (
        lambda: make_keys(tmp_path / "other"),
        lambda: sign(registry, registry.get("digits"), keys[0]),
        lambda: load_model(registry, "digits", verify_key=keys[1]),
    ):
        with pytest.raises(MissingExtraError, match=r"mnistkit\[sign\]"):
            call()
    assert load_model(registry, "digits").C == 2


class _Keeps:
    """Keeps one signature, whatever it is asked about."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def attach_signature(self, model: ModelVersion, signature: Signature) -> None:
        raise AssertionError("this must not be reached")

    def signatures(self, model: ModelVersion) -> tuple[Signature, ...]:
        return (self.signature,)
