"""Run the benchmarks and print a Markdown table: ``python benchmarks/run.py [--quick] [--json FILE] [NAME ...]``.

Each comparison measures two ways in turn on this machine. Ratios travel between machines better than times do.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

import attrs
import idx_reader
import import_time
import registration
import run_overhead
import training
from harness import Result, table

from mnistkit.jobs import library_versions

BENCHMARKS = {
    "import": import_time.results,
    "idx": idx_reader.results,
    "run": run_overhead.results,
    "registry": registration.results,
    "training": training.results,
}


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="Compare mnistkit with the bare way of doing the same.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)}; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="few repetitions: to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results there")
    args = parser.parse_args()
    if unknown := set(args.names) - BENCHMARKS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")

    results: list[Result] = []
    for name in args.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr)
        results += BENCHMARKS[name](quick=args.quick)
    print(table(results))
    if args.json:
        args.json.write_text(json.dumps(_report(results), indent=2) + "\n", encoding="utf-8")


def _report(results: list[Result]) -> dict[str, object]:
    return {
        "machine": f"{platform.machine()} {platform.system()}",
        "versions": library_versions(),
        "results": [{**attrs.asdict(result), "ratio": result.ratio} for result in results],
    }


if __name__ == "__main__":
    main()
