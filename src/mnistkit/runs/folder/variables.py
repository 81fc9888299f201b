"""The environment variables that jobs get.

Imports nothing but the standard library: it is imported before anything else is.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["job_environment"]

_PASSED_VARIABLES = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TEMP",
        "TMP",
        "PYTHONPATH",
        "PYTHONHASHSEED",
        "PYTHONSAFEPATH",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "XDG_CACHE_HOME",
        "MPLBACKEND",
        "SYSTEMROOT",
        "USERPROFILE",
        "APPDATA",
        "LOCALAPPDATA",
        "PATHEXT",
    ]
)
_PASSED_PREFIXES = ("LC_", "OMP_", "OPENBLAS_", "MKL_", "VECLIB_", "NUMEXPR_", "LOKY_", "MNISTKIT_")


def job_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this process's environment that a job gets: no credentials by accident."""
    return {
        k: v for k, v in environ.items() if k.upper() in _PASSED_VARIABLES or k.upper().startswith(_PASSED_PREFIXES)
    }
