"""What the demonstration's outside systems share: a file each, plain pages, and how they end.

They stand for systems of other people. So they know nothing of Countersign, not even its settings,
and Countersign knows of them what it would know of any: an address and a key.
"""

import argparse
import signal
import socketserver
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ADDRESS = "127.0.0.1"
STYLE = """
:root { color-scheme: light dark; --line: light-dark(#d4d4da, #44444c); --soft: light-dark(#5b5b66, #b4b4be); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1.5rem;
  background: light-dark(#fff, #19191d); color: light-dark(#1c1c22, #ececf1); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
a { color: light-dark(#0b4fc4, #8ab4ff); } p { max-width: 45rem; } .soft { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9375rem; }
th, td { text-align: start; padding: .4rem .9rem .4rem 0; border-block-end: 1px solid var(--line);
  vertical-align: top; } td code, td time { white-space: nowrap; } th { color: var(--soft); font-weight: 600; } td.number { text-align: end; }
code, pre { font: .875rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; border: 1px solid var(--line); border-radius: 6px; padding: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (width < 40rem) { /* one cell below the other */
  thead { position: absolute; inline-size: 1px; overflow: hidden; clip-path: inset(50%); }
  table, thead, tbody, tr, td { display: block; overflow-wrap: anywhere; }
  tr { padding-block: .4rem; border-block-end: 1px solid var(--line); }
  td { padding: 0; border: 0; } td code { white-space: normal; } }
"""  # noqa: E501


def opened(path: Path) -> sqlite3.Connection:
    """A connection that writes for good: a power cut forgets nothing that was answered."""
    database = sqlite3.connect(path, timeout=20, isolation_level=None)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    return database


def make(path: Path, schema: str) -> None:
    """The file, with its tables where they are missing; nobody else may read it."""
    path.touch(mode=0o600)
    with closing(opened(path)) as database:
        database.executescript(schema)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(opened(path)) as database:
        yield database


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction, alone: whoever else writes waits."""
    with closing(opened(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def time_of(seconds: float) -> str:
    """A moment in a table."""
    return f"<time>{moment(seconds)}</time>"


def table(name: str, heads: list[str], rows: list[list[str]], empty: str) -> str:
    """Cells are HTML already: whoever fills them escapes them."""
    if not rows:
        return f"<p class=soft>{escape(empty)}</p>"
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class=wide tabindex=0 role=region aria-label="{escape(name)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


class Server(ThreadingHTTPServer):
    """One request for each connection. A stop waits for what is being answered."""

    daemon_threads = False
    request_queue_size = 128  # with five waiting at most, a busy machine resets the rest

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__((ADDRESS, port), handler)

    def server_bind(self) -> None:
        """As its parent does, but without asking a name server what this machine is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever hangs up in the middle is no news; anything else is."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Session(BaseHTTPRequestHandler):
    """One exchange. Subclasses answer with `page`, `text` or bytes of their own through `send`."""

    server: Any
    timeout = 2  # of a silent connection, which a stop would have to wait for

    def is_addressed_to_us(self) -> bool:
        """Or a page elsewhere has its name lead here, and reads what a browser can reach."""
        port = self.server.server_address[1]
        return self.headers.get("Host") in {f"{ADDRESS}:{port}", f"localhost:{port}"}

    def is_sent_by_our_page(self) -> bool:
        """Whether a form came from a page of this server, and not from a page elsewhere."""
        return self.headers.get("Origin") == f"http://{self.headers.get('Host')}"

    def page(self, title: str, body: str, status: int = 200) -> None:
        text = (
            '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width='
            f'device-width, initial-scale=1"><title>{escape(title)}</title>'
            "<link rel=stylesheet href=/style.css>"
            f"<main><h1>{escape(title)}</h1>{body}</main></html>"
        )
        self.send(status, "text/html; charset=utf-8", text.encode())

    def send(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_common(self, path: str) -> bool:
        """Answer what is the same everywhere. Whether that was it."""
        if not self.is_addressed_to_us():
            self.send(421, "text/plain", b"This is not the server of that name.\n")
        elif path == "/style.css":
            self.send(200, "text/css", STYLE.encode())
        elif path == "/favicon.ico":
            self.send(204, "text/plain", b"")
        else:
            return False
        return True

    def log_message(self, *arguments: Any) -> None:
        """Requests are kept where the pages show them."""


@contextmanager
def serving(server: Server) -> Iterator[None]:
    """Answers in a thread until the block ends, then finishes what is under way."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def wait_for_stop() -> None:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *received: stop.set())
    stop.wait()


def arguments(what: str | None, *ports: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(what or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="where it keeps its file")
    for port in ports:
        parser.add_argument(f"--{port}", type=int, required=True, help="on 127.0.0.1")
    return parser.parse_args()
