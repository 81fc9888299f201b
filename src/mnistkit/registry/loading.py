"""Loading registered models by reference."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from mnistkit.config import verify_keys
from mnistkit.models.files import parts
from mnistkit.models.persistence import check_size, loads_files, pickle_refused
from mnistkit.models.probe import PROBE_FILE, Probe
from mnistkit.models.raw import raw_pipeline
from mnistkit.registry.files import check_digest, model_file, read_verified
from mnistkit.registry.promotion import resolve_model
from mnistkit.registry.registry import ModelRegistry
from mnistkit.registry.version import ModelRef, ModelVersion

__all__ = ["load_model", "load_probe"]


def load_model(
    registry: ModelRegistry,
    model: str | ModelRef | ModelVersion,
    *,
    allow_pickle: bool = False,
    trusted: Iterable[str | type] = (),
    expect_digest: str | None = None,
    verify_key: str | os.PathLike[str] | None = None,
    allow_version_mismatch: bool = False,
    raw: bool = False,
) -> Any:
    """Load a registered model: its bytes are read once, compared with the manifest, and loaded.

    Args:
        registry: Where it is.
        model: ``"name"`` for the newest, ``"name:3"``, ``"name@champion"``, or a version at hand.
        allow_pickle: Load joblib files, which can run any code: only for files that you made.
        trusted: Types to allow in skops files besides those that are known to be harmless.
        expect_digest: The version's `ModelVersion.digest` as you noted it: another one is refused.
        verify_key: The file with the public key whose holder must have signed the version; None for
            ``MNISTKIT_VERIFY_KEY``, and if that isn't set no signature is needed.
        allow_version_mismatch: Load a model that another release of scikit-learn made (or, as joblib, of numpy), and
            compare its predictions with the recorded ones.
        raw: Return a Pipeline that takes images or rows of pixels as they are, 0 to 255; without it the model takes
            rows that are scaled to 0 to 1.

    Raises:
        ModelNotFoundError: There is no such model, version or alias.
        IntegrityError: Its files aren't those that were registered, or its digest isn't the expected one.
        SignatureError: The holder of the key hasn't signed it.
        UnsafeModelError: It holds types that aren't trusted, or is a pickle and pickles aren't allowed.
        VersionMismatchError: Another release made it, and that isn't allowed; or it can't be read here or predicts
            differently.
        ModelError: It holds no model that can be loaded: its format is ``files``, or this release can't read it.
    """
    version = model if isinstance(model, ModelVersion) else resolve_model(registry, model)
    check_digest(version, expect_digest)
    keys = verify_keys() if verify_key is None else (verify_key,)
    if keys:
        from mnistkit.registry.signing import check_signature

        check_signature(registry, version, keys)
    file = model_file(version)
    if version.format == "joblib" and allow_pickle is not True:
        raise pickle_refused(version.id)
    if version.format != "joblib":
        check_size(max(info.size for name, info in version.files.items() if name in parts(file)), version.id)
    if PROBE_FILE in version.files:
        check_size(version.files[PROBE_FILE].size, f"{version.id} ({PROBE_FILE})")
    contents = read_verified(registry, version, (*parts(file), PROBE_FILE))
    loaded = loads_files(
        contents,
        file,
        version.versions,
        allow_pickle=allow_pickle,
        trusted=trusted,
        allow_version_mismatch=allow_version_mismatch,
        source=version.id,
    )
    return raw_pipeline(loaded, version.input) if raw else loaded


def load_probe(registry: ModelRegistry, version: ModelVersion) -> Probe | None:
    """Return the probe of a registered model, verified; None if it has none.

    Raises:
        IntegrityError: Its files aren't those that were registered.
        ModelError: It isn't a probe.
    """
    if PROBE_FILE not in version.files:
        return None
    check_size(version.files[PROBE_FILE].size, f"{version.id} ({PROBE_FILE})")
    return Probe.parse(read_verified(registry, version, (PROBE_FILE,))[PROBE_FILE], f"{version.id} ({PROBE_FILE})")
