"""``mnistkit emulator``: an Azure ML workspace on this machine, for a shell or for one command."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnistkit.cli import output
from mnistkit.cli.command import Command, Group, JsonOption, examples
from mnistkit.errors import ConfigError

if TYPE_CHECKING:  # needs the extra 'emulator'
    from mnistkit.emulator import AzureMLEmulator

__all__ = ["app"]

app = typer.Typer(
    cls=Group, help="Run Azure ML code (SDK v1) against a workspace on this machine.", no_args_is_help=True
)

_CONFIGS = ("config.json", ".azureml/config.json", "aml_config/config.json")  # where the SDK looks, here and above
_GRACE_SECONDS = 10.0
_CANT_RUN, _NOT_FOUND, _KILLED = 126, 127, 128  # as shells say it
_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

StateOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Keep workspace, runs and models here; without it all goes at the end."),
]
PortOption = Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="Listen there on loopback; 0 for any.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Stand in for this config.json's workspace; the one that the SDK would find."),
]
DataFolderOption = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Serve MNIST's files from here as the Open Dataset; else synthetic digits."
    ),
]
BlobOption = Annotated[
    list[str] | None,
    typer.Option(
        "--blob", metavar="ACCOUNT/CONTAINER=DIR", help="Serve a folder as a container of that account; repeatable."
    ),
]
WebOption = Annotated[
    list[str] | None,
    typer.Option("--web", metavar="HOST/PATH=DIR", help="Serve a folder in place of that web address; repeatable."),
]
FaultOption = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="FAULT", help="What goes wrong, such as throttle:match=/snapshotrun; repeatable."),
]
PhaseOption = Annotated[
    float, typer.Option(metavar="S", min=0, help="Seconds that a job is Queued, Preparing and Finalizing, each.")
]
WriteConfigOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write the config.json there that Workspace.from_config() looks for.")
]
CheckOption = Annotated[
    bool, typer.Option("--check-environment", help="Fail a job whose requirements this interpreter doesn't meet.")
]


@app.command(
    cls=Command,
    epilog=examples("mnistkit emulator run", "mnistkit emulator run --port 8123 --state ~/azure --data ~/mnist"),
)
def run(
    *,
    port: PortOption = 0,
    state: StateOption = None,
    config: ConfigOption = None,
    write_config: WriteConfigOption = None,
    data: DataFolderOption = None,
    blob: BlobOption = None,
    web: WebOption = None,
    fault: FaultOption = None,
    phase_seconds: PhaseOption = 0.0,
    check_environment: CheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run the emulator until Ctrl-C; print the environment that another shell needs.

    Scripts, notebooks and the SDK itself then take it for Azure; nothing leaves this machine.
    """
    stopped = threading.Event()
    with _ended_by([signal.SIGINT, *_ENDING], stopped.set):
        emulator = _emulator(
            port=port,
            state=state,
            config=config or _find_config(Path.cwd()),
            data=data,
            blobs=blob,
            web=web,
            faults=fault,
            phase_seconds=phase_seconds,
            check_environment=check_environment,
        )
        with emulator:
            file = emulator.write_config(write_config).absolute()
            if as_json:
                output.print_json({"config": str(file), "environment": emulator.environment()})
            else:
                for name, value in emulator.environment().items():
                    output.say(_assignment(name, value))
            sys.stdout.flush()
            output.note(f"config.json is {file}; the certificates to trust are {emulator.bundle}.")
            output.note(f"The workspace listens on {emulator.workspace.url}. Ctrl-C ends it, and its jobs with it.")
            while not stopped.wait(1.0):  # in turns: a wait without an end can't be interrupted everywhere
                pass


@app.command(
    "exec",
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples(
        "mnistkit emulator exec -- python train_on_azure.py",
        "mnistkit emulator exec --write-config . --data ~/mnist -- jupyter lab",
        "mnistkit emulator exec --fault throttle:times=3,seconds=1 -- python train_on_azure.py",
    ),
)
def execute(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run, after --.")],
    *,
    port: PortOption = 0,
    state: StateOption = None,
    config: ConfigOption = None,
    write_config: WriteConfigOption = None,
    data: DataFolderOption = None,
    blob: BlobOption = None,
    web: WebOption = None,
    fault: FaultOption = None,
    phase_seconds: PhaseOption = 0.0,
    check_environment: CheckOption = False,
    keep_home: Annotated[
        bool, typer.Option("--keep-home", help="Leave HOME: the SDK then keeps its caches in yours.")
    ] = False,
) -> None:
    """Run one command against an emulator of its own; the exit code is the command's."""
    config = config or _find_config(Path.cwd())
    emulator = _emulator(
        port=port,
        state=state,
        config=config,
        data=data,
        blobs=blob,
        web=web,
        faults=fault,
        phase_seconds=phase_seconds,
        check_environment=check_environment,
    )
    with emulator:
        if write_config:
            emulator.write_config(write_config)
        added = emulator.environment()
        if keep_home:
            added = {name: value for name, value in added.items() if name not in {"HOME", "USERPROFILE"}}
        code = _run(command, {**os.environ, **added})
        unknown = sorted(set(emulator.unknown_requests))
    if code and not (config or write_config):
        output.note("There is no config.json here: if the command needs one, --write-config . makes it.")
    if unknown:
        output.note("The command requested what isn't emulated:")
        for each in unknown:
            output.note(f"  {each}")
    raise typer.Exit(code)


def _emulator(
    *,
    port: int,
    state: Path | None,
    config: Path | None,
    data: Path | None,
    blobs: list[str] | None,
    web: list[str] | None,
    faults: list[str] | None,
    phase_seconds: float,
    check_environment: bool,
) -> AzureMLEmulator:
    from mnistkit.emulator import AzureMLEmulator, Fault, Settings
    from mnistkit.emulator.settings import parse_places

    settings = Settings(
        data=data,
        blobs=parse_places(blobs or (), "--blob"),
        web=parse_places(web or (), "--web"),
        phase_seconds=phase_seconds,
        check_environment=check_environment,
    )
    return AzureMLEmulator(
        state,
        port=port,
        config=config,
        faults=[Fault.parse(text) for text in faults or ()],
        settings=settings,
    )


def _find_config(folder: Path) -> Path | None:
    """The config.json that the SDK would find from a folder on."""
    from mnistkit.emulator.state import read_config

    for file in (above / name for above in (folder, *folder.parents) for name in _CONFIGS):
        with contextlib.suppress(ConfigError):
            names = read_config(file)
            output.note(f"Standing in for the workspace {names['workspace_name']!r} of {file}.")
            return file
    return None


def _run(command: list[str], environment: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - it is the user's own command
    except OSError as error:
        output.complain(f"{command[0]} can't be run: {error.strerror}.")
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _CANT_RUN

    def end() -> None:
        process.terminate()
        last = threading.Timer(_GRACE_SECONDS, process.kill)
        last.daemon = True
        last.start()

    def pass_on() -> None:
        if not sys.stdin.isatty():  # a terminal has told the command as well
            process.send_signal(signal.SIGINT)

    with _ended_by(_ENDING, end), _ended_by([signal.SIGINT], pass_on):
        code = process.wait()
    return code if code >= 0 else _KILLED - code


@contextlib.contextmanager
def _ended_by(signals: Iterable[signal.Signals], action: Callable[[], object]) -> Iterator[None]:
    """Have signals do something, until the block is left."""
    before = {number: signal.signal(number, lambda *_: action()) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _assignment(name: str, value: str) -> str:
    """A line that sets a variable in the usual shell."""
    if sys.platform == "win32":
        escaped = value.replace("'", "''")
        return f"$env:{name} = '{escaped}'"
    return f"export {name}={shlex.quote(value)}"
