"""``mnistkit ui``: runs, sweeps, models and data as pages in a browser on this machine."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import attrs
import typer

from mnistkit.cli import output
from mnistkit.cli.command import JsonOption, examples
from mnistkit.cli.serve import ended_by_signals

__all__ = ["EXAMPLES", "ui"]

EXAMPLES = examples("mnistkit ui", "mnistkit ui --port 0 --home ~/digits/.mnistkit", "mnistkit ui --allow-changes")

_WAIT_SECONDS = 1.0


def ui(
    *,
    port: Annotated[
        int, typer.Option(metavar="P", min=0, max=65535, help="Of 127.0.0.1 to listen on; 0 for a free one.")
    ] = 8765,
    home: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of runs and models.  [default: the configured one]")
    ] = None,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let the pages promote and roll back models.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show runs, sweeps, models and data as live pages in a browser on this machine, until Ctrl-C or SIGTERM.

    Open the address that is printed: its token lets your browser in, and nobody else's. The pages read what is there
    while somebody looks; ending them ends no run. Data that isn't on this machine yet isn't fetched.
    """
    from mnistkit.config import find_config
    from mnistkit.trainer.trainer import Trainer
    from mnistkit.ui.server import UiServer

    os.environ["MNISTKIT_OFFLINE"] = "1"  # of this program alone: a click downloads nothing
    config = find_config()
    config = config if home is None else attrs.evolve(config, home=str(home))
    stopped = threading.Event()
    server = UiServer(Trainer.from_config(config), port=port, allow_changes=allow_changes)
    with ended_by_signals(stopped), server:
        if as_json:
            output.print_json({"url": server.url})
        else:
            output.say(server.url)
        sys.stdout.flush()
        output.note("The pages are there, for this machine alone. Ctrl-C ends them, and no run.")
        while not stopped.wait(_WAIT_SECONDS):  # in turns: a wait without an end can't be interrupted everywhere
            pass
