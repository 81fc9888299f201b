"""Every error that mnistkit raises on purpose.

::

    MnistkitError
    ├── UsageError (ValueError)            an argument, option or name that can't be right
    │   ├── UnknownNameError (LookupError) no dataset, backend or option of that name; lists the valid ones
    │   ├── InvalidNameError               a model, alias or file name that breaks the naming rule
    │   ├── ConfigError                    mnistkit.toml or an environment variable can't be understood
    │   └── SpecError (TypeError)          an estimator that can't be trained here or can't travel as JSON
    ├── MissingExtraError (ImportError)    an optional dependency isn't installed; names the extra
    ├── NotFoundError (LookupError)        a file, run or model that isn't there
    │   ├── RunNotFoundError
    │   └── ModelNotFoundError
    ├── ConflictError                      what a decision was based on has changed meanwhile: look again
    ├── StorageError (OSError)             a folder that can't be written or read; names the variable that moves it
    ├── DataError                          data that can't be had or can't be trusted
    │   ├── DataFormatError (ValueError)   the bytes aren't what the format says
    │   ├── ChecksumError                  the bytes aren't the pinned ones
    │   └── DownloadError                  no mirror delivered; lists each one and why it failed
    ├── RunError                           a run that can't do what was asked of it
    │   ├── RunFailedError                 it ended as Failed or Canceled
    │   ├── RunStateError                  it isn't in the state that this needs
    │   └── RunTimeoutError (TimeoutError) it did not end in time
    ├── ServiceError                       a remote service that refused, or didn't answer
    │   ├── AuthenticationError (PermissionError) it doesn't know or doesn't allow who asks; names the ways to log in
    │   ├── QuotaError                     the subscription has no room for that
    │   ├── ThrottledError                 it asked to be called less often, also after retries
    │   ├── ServiceTimeoutError (TimeoutError) no answer within the deadline
    │   └── DeploymentError                a deployed model that didn't come up, or answers differently
    └── ModelError                         a registered model that can't be used
        ├── IntegrityError                 its files aren't the ones that were registered
        │   └── SignatureError             nobody with the key has signed it
        ├── UnsafeModelError               loading it could run code that nobody agreed to
        └── VersionMismatchError           other releases of the libraries made it; names both

Each message says what happened, to what, and what to do next.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "ChecksumError",
    "ConfigError",
    "ConflictError",
    "DataError",
    "DataFormatError",
    "DeploymentError",
    "DownloadError",
    "IntegrityError",
    "InvalidNameError",
    "MissingExtraError",
    "MnistkitError",
    "ModelError",
    "ModelNotFoundError",
    "NotFoundError",
    "QuotaError",
    "RunError",
    "RunFailedError",
    "RunNotFoundError",
    "RunStateError",
    "RunTimeoutError",
    "ServiceError",
    "ServiceTimeoutError",
    "SignatureError",
    "SpecError",
    "StorageError",
    "ThrottledError",
    "UnknownNameError",
    "UnsafeModelError",
    "UsageError",
    "VersionMismatchError",
]


class MnistkitError(Exception):
    """The parent of every error that mnistkit raises on purpose."""

    def __str__(self) -> str:
        """The message as written: ``KeyError``-like parents would quote it."""
        return str(self.args[0]) if self.args else ""


class UsageError(MnistkitError, ValueError):
    """An argument, option or name that can't be right."""


class UnknownNameError(UsageError, LookupError):
    """No dataset, backend or option has that name; the message lists the valid ones."""


class InvalidNameError(UsageError):
    """A model, alias or file name that breaks the naming rule; the message states the rule."""


class ConfigError(UsageError):
    """A configuration file or environment variable that can't be understood."""


class SpecError(UsageError, TypeError):
    """An estimator that can't be trained here, or can't be written as JSON; names the parameter."""


class MissingExtraError(MnistkitError, ImportError):
    """An optional dependency isn't installed; the message names the extra."""


class NotFoundError(MnistkitError, LookupError):
    """A file, run or model that isn't there."""


class RunNotFoundError(NotFoundError):
    """No run has that id."""


class ModelNotFoundError(NotFoundError):
    """No registered model, version or alias has that name."""


class ConflictError(MnistkitError):
    """The state that a decision was based on has changed meanwhile. Nothing was done: read it and decide again."""


class StorageError(MnistkitError, OSError):
    """A folder that can't be written or read; names the variable that moves it."""


class DataError(MnistkitError):
    """Data that can't be had or can't be trusted."""


class DataFormatError(DataError, ValueError):
    """The bytes aren't what the format says; names file, field, expected and got."""


class ChecksumError(DataError):
    """The bytes aren't the pinned ones."""


class DownloadError(DataError):
    """No mirror delivered; the message lists each one and why it failed."""


class RunError(MnistkitError):
    """A run that can't do what was asked of it."""


class RunFailedError(RunError):
    """The run ended as Failed or Canceled; the message holds its error."""


class RunStateError(RunError):
    """The run isn't in the state that this needs."""


class RunTimeoutError(RunError, TimeoutError):
    """The run didn't finish in time; it keeps running."""


class ServiceError(MnistkitError):
    """A remote service refused, failed or couldn't be reached; the message holds its answer."""


class AuthenticationError(ServiceError, PermissionError):
    """A remote service doesn't know or doesn't allow who asks; the message names the ways to log in."""


class QuotaError(ServiceError):
    """The subscription has no room for what was asked: fewer or smaller machines, or a request to the vendor."""


class ThrottledError(ServiceError):
    """A remote service asked to be called less often, and still did after retries."""


class ServiceTimeoutError(ServiceError, TimeoutError):
    """A remote service gave no answer within the deadline; what was asked of it may still have been done."""


class DeploymentError(ServiceError):
    """A deployed model that didn't come up, or answers differently from what was recorded."""


class ModelError(MnistkitError):
    """A registered model that can't be used."""


class IntegrityError(ModelError):
    """The files of a model version aren't the ones that were registered."""


class UnsafeModelError(ModelError):
    """Loading the model could run code that nobody agreed to."""


class SignatureError(IntegrityError):
    """A model version has no signature of the key that it was to be checked with."""


class VersionMismatchError(ModelError):
    """A model was made by other releases of the libraries, and wasn't loaded or answers differently; names both."""
