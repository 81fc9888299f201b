"""A command job on its node: its folder and inputs are copied there, its outputs back, and are registered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mnistkit.emulator.jobs.job import Job, JobSteps
from mnistkit.emulator.routing import Refusal
from mnistkit.emulator.services.blobs import Blobs
from mnistkit.emulator.v2.commands import CommandJob, Input, Output, expand
from mnistkit.emulator.v2.places import Places

__all__ = ["CommandSteps"]


class CommandSteps(JobSteps):
    """The steps of one command job.

    Args:
        command: The job.
        places: Finds its files.
        blobs: Where its outputs are kept.
        register: Called with each output that becomes an asset.
    """

    def __init__(self, command: CommandJob, places: Places, blobs: Blobs, register: Callable[[Output], None]) -> None:
        self._command, self._places, self._blobs, self._register = command, places, blobs, register
        self._values: dict[str, str] = {}
        self._made: dict[str, Path] = {}

    def prepare(self, job: Job, own: Path) -> None:
        """Copy the job's folder and inputs to its node."""
        if self._command.code:
            self._places.copy(self._command.code, job.folder)
        for each in self._command.inputs:
            self._values[f"inputs.{each.name}"] = self._input(each, own / "inputs" / each.name)
        for output in self._command.outputs:
            self._values[f"outputs.{output.name}"] = self._output(output, own / "outputs" / output.name)

    def command(self) -> str:
        """Return the command line."""
        return expand(self._command.command, self._values)

    def variables(self) -> Mapping[str, str]:
        """Return the job's own environment variables, and those with the places of its files."""
        own = {name: expand(text, self._values) for name, text in self._command.variables.items()}
        for name, value in self._values.items():
            kind, _, short = name.partition(".")
            own[f"AZURE_ML_{kind.removesuffix('s').upper()}_{short}"] = value
        return own

    def collect(self, job: Job) -> None:
        """Copy the outputs to storage, and register those that have a name."""
        for output in self._command.outputs:
            made = self._made.get(output.name)
            if made is None:
                continue
            place = self._places.place(output.uri)
            if place is None:
                raise Refusal(400, f"The output {output.name!r} can't go to {output.uri!r}: use a datastore.")
            files = [made] if made.is_file() else [path for path in sorted(made.rglob("*")) if path.is_file()]
            for file in files:
                path = "" if file == made else f"/{file.relative_to(made).as_posix()}"
                self._blobs.add_file(place.container, f"{place.path}{path}", file)
            if output.asset and files:
                self._register(output)

    def _input(self, each: Input, folder: Path) -> str:
        if each.is_literal or each.is_direct:
            return each.value
        return str(self._places.copy(each.value, folder))

    def _output(self, output: Output, place: Path) -> str:
        if output.is_direct:
            return output.uri
        (place.parent if output.is_file else place).mkdir(parents=True, exist_ok=True)
        self._made[output.name] = place
        return str(place)
