"""The program around a user's script, in the job's process: Azure's node, by the SDK's own means.

Started by its path, in the job's interpreter, with the script and its arguments. It imports nothing of mnistkit.
"""

from __future__ import annotations

import contextlib
import fnmatch
import importlib.metadata
import importlib.util
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

_UNMET_EXIT_CODE = 3
_POLL_SECONDS = 0.05
_SCRIPT_PATTERN = re.compile(r"python3?\s+[^\s-][^\s|&;<>()$`\\*?\[#~{}!'\"]*\.py(\s[^|&;<>()$`\\*?\[#~{}!'\"\n]*)?")


def main() -> None:
    """Run the job in ``MNISTKIT_JOB``: a shell's command, or else the script in the first argument."""
    job = json.loads(os.environ.pop("MNISTKIT_JOB"))
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).parent)]
    _limit_files(job["bytes"])
    if job["requirements"] and not _meets(job["requirements"]):
        sys.exit(_UNMET_EXIT_CODE)
    if job["note"]:
        sys.stderr.write(f"{job['note']}\n")
    if job.get("is_shell"):
        sys.exit(_run_processes(job) if job["processes"] else _run_shell(job["command"]))
    with contextlib.ExitStack() as stack:
        if importlib.util.find_spec("azureml") and importlib.util.find_spec("azureml.history"):
            _enter(stack, job["datasets"], job["outputs"])
        else:
            sys.stderr.write("azureml-core isn't installed here: metrics and outputs aren't tracked by it.\n")
        files = _single_files(job["files"])
        command = job["command"]
        for folder, file in files.items():
            command = command.replace(folder, file)
        arguments = _script_in(command) if command else [files.get(each, each) for each in sys.argv[1:]]
        if job["processes"]:
            sys.exit(_run_processes(job))
        if arguments:
            _run_script(arguments)
        else:
            sys.exit(_run_shell(command))


def _run_shell(command: str) -> int:
    """Run a shell's command; return its exit code."""
    shell = shutil.which("bash") or "/bin/sh"
    code = subprocess.run([shell, "-c", command], check=False).returncode  # noqa: S603 - the user's own
    return code if code >= 0 else 128 - code


def _single_files(names: Mapping[str, str]) -> dict[str, str]:
    """Return the files of inputs that are mounted and are one file, by their folders; variables lead there too.

    A mount of one file is that file, as Azure has it.
    """
    found = {}
    for folder, name in names.items():
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        if len(files) == 1 and files[0].name == name:
            found[folder] = str(files[0])
    for variable, value in os.environ.items():
        if value in found:
            os.environ[variable] = found[value]
    return found


def _run_processes(job: Mapping[str, Any]) -> int:
    """Run this program once for each process of a distributed job; return the first exit code that isn't 0.

    The others are ended when one fails: they would wait for it. The data was brought here already.
    """
    inner = json.dumps({**job, "processes": [], "datasets": {}, "outputs": {}, "requirements": [], "note": ""})
    command = [sys.executable, __file__, *sys.argv[1:]]
    started = [
        subprocess.Popen(command, env={**os.environ, **variables, "MNISTKIT_JOB": inner})  # noqa: S603 - the user's own
        for variables in job["processes"]
    ]
    code, running = 0, started
    while running and not code:
        time.sleep(_POLL_SECONDS)
        running = [process for process in started if process.poll() is None]
        code = next((process.returncode for process in started if process.returncode), 0)
    for process in started:
        if process.poll() is None:
            process.terminate()
    return code if code >= 0 else 128 - code


def _script_in(command: str) -> list[str]:
    """Return the script and arguments of a command that does nothing but run one; else nothing.

    Run here, it has what it logs flushed, as on Azure; processes that a shell starts have to see to that themselves.
    """
    return shlex.split(command)[1:] if _SCRIPT_PATTERN.fullmatch(command.strip()) else []


def _run_script(arguments: list[str]) -> None:
    script = arguments[0]
    sys.argv = arguments
    folder = Path.cwd()
    if not Path(script).is_file():
        sys.exit(f"The snapshot has no script {script!r}; it has {sorted(path.name for path in folder.iterdir())}.")
    for place in dict.fromkeys([str(folder), str(Path(script).resolve().parent)]):
        sys.path.insert(0, place)
    runpy.run_path(script, run_name="__main__")


def _enter(stack: contextlib.ExitStack, datasets: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    from azureml.history._tracking import get_history_context_manager

    with _without("pyspark"):  # looked for in every job, slow to import, and of no use in one process
        stack.enter_context(get_history_context_manager())
    if datasets:
        from azureml.data.context_managers import DatasetContextManager

        stack.enter_context(DatasetContextManager(datasets))
    if outputs:
        stack.callback(_keep, outputs)


def _keep(outputs: Mapping[str, Any]) -> None:
    """Upload a job's outputs, and register them as datasets.

    The SDK's own upload isn't used: in some of its versions it does nothing.
    """
    from azureml.core import Datastore
    from azureml.data.context_managers import DatasetContextManager

    manager = DatasetContextManager(outputs)
    for name, about in outputs.items():
        options, where = about["AdditionalOptions"], about["OutputLocation"]["DataPath"]
        folder = Path(options["PathOnCompute"])
        patterns = options["UploadOptions"]["SourceGlobs"] or ["*"]
        names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
        chosen = [each for each in names if any(_fits(each, pattern) for pattern in patterns)]
        store = Datastore(manager._workspace, where["DatastoreName"])  # noqa: SLF001 - logged in as the job
        if chosen:
            store.upload_files(
                [str(folder / each) for each in chosen],
                relative_root=str(folder),
                target_path=where["RelativePath"],
                overwrite=options["UploadOptions"]["Overwrite"],
                show_progress=False,
            )
        manager._register_output(name, (store, where["RelativePath"]), about)  # noqa: SLF001 - as the SDK does at the end


def _fits(name: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(f"/{name}", pattern.replace("**/", "*/"))


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Hide a module from imports in the block."""
    sys.modules[module] = cast("ModuleType", None)  # that is how Python marks what can't be imported
    try:
        yield
    finally:
        del sys.modules[module]


def _limit_files(size: int) -> None:
    """Limit the size of every file that the process writes."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _meets(requirements: list[str]) -> bool:
    """Return True if this interpreter meets the requirements; else print the unmet ones."""
    from packaging.requirements import InvalidRequirement, Requirement

    lacks = []
    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            lacks.append(f"{text}: can't be understood: {error}")
            continue
        if requirement.marker and not requirement.marker.evaluate():
            continue
        if requirement.name == "python":
            installed: str | None = ".".join(map(str, sys.version_info[:3]))
        else:
            installed = _version(requirement.name)
        if installed is None:
            lacks.append(f"{text}: isn't installed")
        elif not requirement.specifier.contains(installed, prereleases=True):
            lacks.append(f"{text}: {installed} is installed")
    if lacks:
        told = "".join(f"  {each}\n" for each in lacks)
        sys.stderr.write(f"This interpreter, {sys.executable}, doesn't meet the job's environment:\n{told}")
    return not lacks


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
