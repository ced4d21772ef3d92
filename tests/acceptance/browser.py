"""A real browser: Chromium opens a page, whose script makes calls and tells what it could read of each."""

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from tests.acceptance import child

VISIT_S = 60.0
STEP_S = 0.02

SCRIPT = """<!doctype html><title>A page</title><script>
async function seen([url, options]) {
    try {
        const answer = await fetch(url, options);
        const body = await answer.text();
        return {status: answer.status, headers: Object.fromEntries(answer.headers), body};
    } catch (error) {
        return {status: 0, headers: {}, body: String(error)};
    }
}
(async () => {
    const all = [];
    for (const call of CALLS) all.push(await seen(call));
    await fetch("/seen", {method: "POST", body: JSON.stringify(all)});
})();
</script>"""

OPTIONS = (
    "--headless",
    "--no-sandbox",  # root has none, and the only page is ours
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--enable-logging=stderr",
)
REFUSAL = re.compile(r'blocked by CORS policy: (.*)", source: ')
"""Why, in Chromium's log. The page is told only that it failed."""


class Call(NamedTuple):
    """`options` are those of `fetch`."""

    url: str
    options: dict[str, Any]


class Seen(NamedTuple):
    """What a page could read of an answer."""

    status: int
    headers: dict[str, str]
    body: str


class Pages(ThreadingHTTPServer):
    """One page, at every name below localhost: for Chromium all of them are this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = b""
        self.told: SimpleQueue[list[Seen]] = SimpleQueue()


class _Handler(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        self._answer(self.server.page)

    def do_POST(self) -> None:
        all_seen = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.put([Seen(**each) for each in all_seen])
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: object = "", size: object = "") -> None:
        """Nothing."""


class Browser:
    """A new one for each visit: it remembers no answer to a preflight."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.refusals: list[str] = []
        """Of the last visit: why what the page could not read was kept from it."""

    def origin(self, host: str) -> str:
        return f"http://{host}:{self._pages.server_port}"

    def visit(self, host: str, *calls: Call) -> list[Seen]:
        """What a page there sees of its calls, made one after the other; status 0: refused by Chromium."""
        self._pages.page = SCRIPT.replace("CALLS", json.dumps(calls)).encode()
        with tempfile.TemporaryDirectory(prefix="plat-browser-", ignore_cleanup_errors=True) as folder:
            log = Path(folder) / "log"
            command = ["chromium", *OPTIONS, f"--user-data-dir={folder}/profile", self.origin(host)]
            with log.open("wb") as output:
                process = child.run(command, output, os.environ, new_session=True)
            try:
                return self._until_seen(process, log)
            finally:
                with suppress(ProcessLookupError):  # it has ended by itself
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _until_seen(self, process: "subprocess.Popen[bytes]", log: Path) -> list[Seen]:
        """Also until as many refusals are logged as the page met."""
        seen: list[Seen] | None = None
        deadline = time.monotonic() + VISIT_S
        while time.monotonic() < deadline and process.poll() is None:
            if seen is None:
                with suppress(Empty):
                    seen = self._pages.told.get(timeout=STEP_S)
                continue
            self.refusals = REFUSAL.findall(log.read_text(errors="replace"))
            if len(self.refusals) >= sum(each.status == 0 for each in seen):
                return seen
            time.sleep(STEP_S)
        raise AssertionError(f"the page saw {seen}:\n{log.read_text(errors='replace')[-3000:]}")


@contextmanager
def browser() -> Iterator[Browser]:
    """With a server of its pages."""
    with Pages() as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        try:
            yield Browser(pages)
        finally:
            pages.shutdown()
            thread.join()
