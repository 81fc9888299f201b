"""``mnistkit serve``: a registered model behind HTTP."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import AllowMismatchOption, AllowPickleOption, JsonOption, TrustedOption, examples

__all__ = ["EXAMPLES", "PACKAGE_EXAMPLES", "ended_by_signals", "package", "serve"]

EXAMPLES = examples(
    "mnistkit serve",
    "mnistkit serve sklearn_mnist@champion --port 8080",
    "mnistkit serve sklearn_mnist:3 --host 0.0.0.0 --token SECRET",
)

PACKAGE_EXAMPLES = examples("mnistkit models package sklearn_mnist@champion --out served")

_WAIT_SECONDS = 1.0

TokenOption = Annotated[
    str,
    typer.Option(
        metavar="TOKEN", envvar="MNISTKIT_SERVE_TOKEN", show_envvar=False,
        help="Clients send 'Authorization: Bearer TOKEN'; needed if others can reach the host. Also as "
        "MNISTKIT_SERVE_TOKEN, which other users of this machine can't see.",
    ),
]  # fmt: skip
VerifyKeyOption = Annotated[
    Path | None, typer.Option("--verify-key", metavar="FILE", help="Serve only versions that this key's holder signed.")
]


def serve(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME, NAME:3 or NAME@ALIAS.  [default: that of the data]")
    ] = None,
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address of this machine to listen on.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0 for a free one.")] = 8000,
    token: TokenOption = "",
    poll_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="How often an alias is looked at; its new version takes over.")
    ] = 3.0,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Requests computed at a time.")] = 2,
    max_queue: Annotated[int, typer.Option(metavar="N", min=0, help="Requests that may wait; more get a 503.")] = 32,
    max_body: Annotated[int, typer.Option(metavar="BYTES", min=1, help="The largest request.")] = 8 << 20,
    max_rows: Annotated[int, typer.Option(metavar="N", min=1, help="The most rows of a request.")] = 10_000,
    max_pixels: Annotated[int, typer.Option(metavar="N", min=1, help="The largest image file.")] = 25_000_000,
    request_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="A request that takes longer to arrive is dropped.")
    ] = 15.0,
    queue_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="A request that waits longer for its turn gets a 503.")
    ] = 10.0,
    drain_seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, help="What is being answered may finish within this at the end.")
    ] = 10.0,
    verify_key: VerifyKeyOption = None,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
    allow_version_mismatch: AllowMismatchOption = False,
    as_json: JsonOption = False,
) -> None:
    """Serve a registered model over HTTP, with a page to draw a digit on, until Ctrl-C or SIGTERM.

    NAME and NAME@ALIAS are followed: a new version takes over when it is loaded, verified and predicts what was
    recorded with it. Every answer names the version that gave it.
    """
    from mnistkit.serving.limits import ServerLimits
    from mnistkit.serving.server import ModelServer
    from mnistkit.trainer.trainer import Trainer

    limits = ServerLimits(
        workers=workers, max_queue=max_queue, max_body_bytes=max_body, max_rows=max_rows, max_pixels=max_pixels,
        request_seconds=request_seconds, queue_seconds=queue_seconds, drain_seconds=drain_seconds,
    )  # fmt: skip
    trainer = Trainer.from_config()
    server = ModelServer(
        trainer.models, trainer.default_model() if model is None else model, host=host, port=port,
        token=token, limits=limits, poll_seconds=poll_seconds, allow_pickle=allow_pickle, trusted=trusted or (),
        verify_key=verify_key, allow_version_mismatch=allow_version_mismatch,
    )  # fmt: skip
    stopped = threading.Event()
    with ended_by_signals(stopped), server.start():
        if as_json:
            output.print_json({"url": server.url, "model": server.version.id, "digest": server.version.digest})
        else:
            output.say(server.url)
        sys.stdout.flush()
        output.note(f"{server.version.id} is served there. Ctrl-C ends it.")
        while not stopped.wait(_WAIT_SECONDS):  # in turns: a wait without an end can't be interrupted everywhere
            pass
    output.note("Stopped: what was being answered has been answered.")


def package(
    ref: Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME:3 or NAME@ALIAS.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder.")],
    verify_key: VerifyKeyOption = None,
    allow_pickle: AllowPickleOption = False,
    trusted: TrustedOption = None,
) -> None:
    """Write a version as a folder that serves it without mnistkit: scripts, requirements, Dockerfile."""
    from mnistkit.serving.packaging import package_model
    from mnistkit.trainer.trainer import Trainer

    models = Trainer.from_config().models
    folder = package_model(models, ref, out, allow_pickle=allow_pickle, trusted=trusted or (), verify_key=verify_key)
    output.say(str(folder))


@contextlib.contextmanager
def ended_by_signals(stopped: threading.Event) -> Iterator[None]:
    """Have SIGINT and SIGTERM set an event, until the block is left."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
