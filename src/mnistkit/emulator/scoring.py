"""The process of a web service: it runs a scoring script's ``init()`` once and its ``run(data)`` for each request.

Run by path, in the service's folder; it imports nothing of mnistkit, so that the script sees what it would see alone.
Needs in its environment: ``EMULATOR_ENTRY`` the script, ``EMULATOR_READY`` the file that it writes its port to when it
can be asked, and ``EMULATOR_SECRET`` which each request carries, so that nobody gets around the service's keys.
"""

from __future__ import annotations

import hmac
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

_FAILURE_MESSAGE = "An unexpected error occurred in scoring script. Check the logs for more info."


def main() -> None:
    """Serve until the process is ended; an exception of the script's import or ``init()`` ends it."""
    entry, ready = Path(os.environ.pop("EMULATOR_ENTRY")), Path(os.environ.pop("EMULATOR_READY"))
    secret = os.environ.pop("EMULATOR_SECRET")
    sys.path[0:1] = [str(entry.parent), str(Path.cwd())]
    spec = importlib.util.spec_from_file_location("entry_module", entry)
    if spec is None or spec.loader is None:
        raise ImportError(f"{entry.name} isn't a Python script.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.init()
    server = HTTPServer(("127.0.0.1", 0), _handler(module.run, secret))
    scratch = ready.with_suffix(".new")
    scratch.write_text(str(server.server_port), encoding="utf-8")
    scratch.replace(ready)
    server.serve_forever()


def _handler(run: Callable[[str], Any], secret: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not hmac.compare_digest(self.headers.get("X-Emulator-Secret", "").encode(), secret.encode()):
                return self._answer(403, "Ask the emulator, not its scoring process.")
            try:
                return self._answer(200, run(body.decode("utf-8")))
            except BaseException:  # noqa: BLE001 - sys.exit() in a script doesn't end the service either
                traceback.print_exc()
                return self._answer(502, _FAILURE_MESSAGE)

        def _answer(self, status: int, value: Any) -> None:
            content = json.dumps(value).encode("utf-8")  # a text too, as Azure's server does
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


if __name__ == "__main__":
    main()
