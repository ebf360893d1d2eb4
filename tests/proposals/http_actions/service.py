"""Somebody else's service over HTTP: items with prices, charges that can be refunded, on a socket.

As honest as a good one: it honours idempotency keys and counts its effects. What goes wrong next is
put into `trouble`: an answer instead of the effect, or no answer after it.
"""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HANG_UP = "hang up"


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass
class Service:
    """What the service holds, what it was asked, and what goes wrong next."""

    origin: str = ""
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    keys: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    trouble: list[Any] = field(default_factory=list)
    before_write: Callable[[], None] = lambda: None
    lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.items = {"lamp": {"id": "lamp", "price": "10.00", "stock": 3}}
        self.charges = {
            "ch_abcd": {"id": "ch_abcd", "amount": 5000, "currency": "eur"}
            | {"amount_refunded": 0, "refunded": False}
        }

    @property
    def writes(self) -> list[Asked]:
        return [one for one in self.asked if one.method != "GET"]

    def answer_next(self, status: int, body: Any = None, **headers: str) -> None:
        """Answer the next write so, and do nothing."""
        self.trouble.append((status, body, headers))

    def hang_up_next(self) -> None:
        """Do what the next write asks, and end the connection without an answer."""
        self.trouble.append(HANG_UP)

    def handle(self, asked: Asked) -> Any:
        with self.lock:
            self.asked.append(asked)
            if asked.method == "GET":
                return self.read(asked)
            self.before_write()
            trouble = self.trouble.pop(0) if self.trouble else None
            if isinstance(trouble, tuple):
                return trouble
            key = asked.headers.get("idempotency-key", "")
            if key not in self.keys:
                found = copy.deepcopy(self.write(asked))
                self.keys[key or f"none-{len(self.keys)}"] = found
            else:
                found = self.keys[key]
            return HANG_UP if trouble else found

    def read(self, asked: Asked) -> Any:
        match urlsplit(asked.target).path.split("/")[1:]:
            case ["items", key] if key in self.items:
                return 200, self.items[key]
            case ["v1", "charges", key] if key in self.charges:
                return 200, self.charges[key]
            case ["v1", "refunds"]:
                return 200, {"data": list(reversed(self.refunds)), "has_more": False}
        return 404, {"error": {"message": "No such thing."}}

    def write(self, asked: Asked) -> Any:
        match urlsplit(asked.target).path.split("/")[1:]:
            case ["items", key] if asked.method == "PATCH" and key in self.items:
                self.items[key] |= json.loads(asked.body)
                self.effects.append(f"price of {key}")
                return 200, self.items[key]
            case ["v1", "refunds"]:
                return self.refund(asked.form)
            case ["v1", "refunds", key, "cancel"]:
                return self.cancel(key)
        return 404, {"error": {"message": "No such thing."}}

    def refund(self, form: dict[str, str]) -> Any:
        charge = self.charges.get(form.get("charge", ""))
        if charge is None or int(form["amount"]) > charge["amount"] - charge["amount_refunded"]:
            return 400, {"error": {"message": "Refund amount is greater than what is left."}}
        charge["amount_refunded"] += int(form["amount"])
        made = {"id": f"re_{len(self.refunds) + 1}", "charge": charge["id"], "status": "succeeded"}
        made |= {"amount": int(form["amount"])}
        made |= {"metadata": {"countersign": form.get("metadata[countersign]", "")}}
        self.refunds.append(made)
        self.effects.append(f"refund {made['id']}")
        return 200, made

    def cancel(self, key: str) -> Any:
        found = next((one for one in self.refunds if one["id"] == key), None)
        if found is None or found["status"] == "canceled":
            return 404, {"error": {"message": "No such refund."}}
        found["status"] = "canceled"
        self.charges[found["charge"]]["amount_refunded"] -= found["amount"]
        self.effects.append(f"cancel {key}")
        return 200, found


@contextmanager
def running() -> Iterator[Service]:
    """The service at an address of this machine, until the block ends."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found = service.handle(Asked(self.command, self.path, headers, body))
            if found == HANG_UP:
                self.close_connection = True
                return
            status, content, *more = found
            told = content if isinstance(content, bytes) else json.dumps(content).encode()
            told = b"" if content is None else told
            self.send_response(status)
            for name, value in (more[0] if more else {}).items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    service.origin = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
