"""Run the benchmarks: ``python benchmarks/run.py [--quick] [--long] [--json FILE] [NAME ...]``.

Each comparison measures two ways in turn on this machine, and prints a Markdown table. Ratios travel between machines
better than times do. ``--markdown FILE`` prints the tables of a file that ``--json`` wrote, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import attrs
import psutil
from harness import Result, table

from mnistkit.jobs.environment import library_versions

BENCHMARKS = {
    "import": "import_time.results",
    "idx": "idx_reader.results",
    "readers": "readers.results",
    "run": "run_overhead.results",
    "command": "command.results",
    "dask": "dask_overhead.results",
    "dask-rows": "dask_rows.results",
    "registry": "registration.results",
    "mlflow": "mlflow_registry.results",
    "training": "training.results",
    "peers": "peers.results",
    "growth": "growth.results",
    "accuracy": "accuracy.results",
    "accurate-rows": "accurate_rows.results",
    "serving": "serving.results",
}
LONG = {
    "peers-long": "peers.long_results",
    "growth-long": "growth.long_results",
    "accurate-rows-long": "accurate_rows.long_results",
    "dask-rows-long": "dask_rows.long_results",
}
_PEERS = ("torch", "scikit-learn-intelex", "isal", "blake3", "mlflow-skinny")


def main() -> None:
    """Measure what was asked for, or print what was measured."""
    args = _arguments()
    if args.markdown:
        sections = json.loads(args.markdown.read_text(encoding="utf-8"))
        print("\n\n".join(_markdown(name, sections[name]) for name in args.names or sections if name in sections))
        return
    every = BENCHMARKS | LONG
    for name in args.names or (every if args.long else BENCHMARKS):
        section: dict[str, Any] = {"machine": _machine(), "versions": _versions(), "results": []}
        module, function = every[name].split(".")
        for result in getattr(import_module(module), function)(quick=args.quick):
            print(f"{name}: {table([result]).splitlines()[-1]}", file=sys.stderr)
            section["results"].append(attrs.asdict(result) | {"ratios": result.ratios})
            if args.json:
                _keep(args.json, name, section)
        print(_markdown(name, section), end="\n\n", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare mnistkit with other ways of doing the same.")
    names = f"which: {', '.join(BENCHMARKS)}; all of these if none is named; or {', '.join(LONG)}"
    parser.add_argument("names", nargs="*", metavar="NAME", help=names)
    parser.add_argument("--quick", action="store_true", help="little data, few repetitions: to see that it works")
    parser.add_argument("--long", action="store_true", help=f"also {', '.join(LONG)}, if none is named")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="keep raw times there; other benchmarks' in the file remain"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="print the tables of such a file; don't measure")
    args = parser.parse_args()
    if unknown := set(args.names) - BENCHMARKS.keys() - LONG.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS | LONG)}")
    return args


def _keep(path: Path, name: str, section: dict[str, Any]) -> None:
    sections = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    sections[name] = section
    path.write_text(json.dumps(sections, indent=2) + "\n", encoding="utf-8")


def _markdown(name: str, section: dict[str, Any]) -> str:
    fields = [field.name for field in attrs.fields(Result)]
    results = [Result(**{field: result[field] for field in fields}) for result in section["results"]]
    machine = ", ".join(f"{key} {value}" for key, value in section["machine"].items())
    versions = ", ".join(f"{key} {value}" for key, value in section["versions"].items())
    return f"### {name}\n\n{table(results)}\n\n{machine}; {versions}"


def _machine() -> dict[str, object]:
    """What the times depend on, and how busy the machine was before."""
    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity() or [])
        if hasattr(psutil.Process, "cpu_affinity")
        else os.cpu_count(),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else "unknown",
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _versions() -> dict[str, str]:
    versions = library_versions()
    for name in _PEERS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


if __name__ == "__main__":
    main()
