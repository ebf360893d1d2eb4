"""One HTTP exchange, and what is known of it afterwards.

Three ends, never mixed up: an `Answer`, complete and readable; `NotSent`, when nothing of the
request can have left; `NoAnswer`, from the first byte that may have left until the last one that
had to come. The request is written out before anything is connected to, so that no fault of its own
is found half-way. Nothing is repeated, no redirection is followed, no proxy is asked.

The standard library reads the answer, because it repeats nothing by itself; what it lets pass (an
answer that was cut off, a length that is none, other answers before the final one) is seen here.
"""

import http.client
import io
import math
import os
import re
import socket
import ssl
import time
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from proposals.outbound import addresses
from proposals.outbound.addresses import Destination, Endpoint, NotSent, Refused

__all__ = ["Answer", "NoAnswer", "NotSent", "Refused", "Request", "exchange"]

SECONDS, CONNECT_SECONDS = 20.0, 5.0
LONGEST_BODY, LONGEST_HEAD = 1 << 20, 1 << 16
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
OURS = {"host", "connection", "keep-alive", "content-length", "transfer-encoding"} | {
    *("te", "trailer", "upgrade", "expect", "proxy-authorization", "proxy-connection"),
}
LENGTH = re.compile(r"\s*[0-9]{1,18}\s*")
SWITCHING = 101


class NoAnswer(Exception):
    """Something may have been sent, and no complete, readable answer came back."""


@dataclass(frozen=True)
class Request:
    """What is asked. Only the method is shown: the rest may hold secrets."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Answer:
    """What came back: header names in lower case, the body up to what may be read of it."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    is_cut: bool = False


def exchange(
    request: Request,
    *,
    listed: Collection[str],
    seconds: float = SECONDS,
    most: int = LONGEST_BODY,
    any_port: bool = False,
) -> Answer:
    """Ask once, within so many seconds altogether. Raises NotSent (or its Refused), or NoAnswer.

    A redirection is an answer. A body longer than `most` bytes is cut, and the answer says so.
    """
    deadline = Deadline(seconds)
    try:
        destination = addresses.examine(request.url, listed=listed, any_port=any_port)
        message = written(request, destination)
        endpoint = addresses.resolve(destination, seconds=deadline.left)
        sock = connected(destination, endpoint, deadline)
    except NotSent:
        raise
    except Exception as error:
        raise NotSent(f"No connection: {reason(error)}.") from None
    try:
        send(sock, message, deadline)
        return answer(Wire(sock, deadline), request.method, most)
    except Exception as error:  # whatever it is: from here on, something may have been sent
        raise NoAnswer(f"No complete answer: {reason(error)}.") from None
    finally:
        sock.close()


class Deadline:
    """So many seconds for all of it, however little is said at a time."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self.at - time.monotonic()

    def bound(self, sock: socket.socket, most: float = math.inf) -> None:
        """Let the next step on a socket take what is left. Raises TimeoutError if nothing is."""
        left = self.left
        if left <= 0:
            raise TimeoutError
        sock.settimeout(min(left, most))


# Before anything is sent


def written(request: Request, destination: Destination) -> bytes:
    """The request as it goes over the wire, whole. Raises Refused."""
    if request.method not in METHODS:
        raise Refused(f"A method is one of {', '.join(sorted(METHODS))}.")
    fields = {"Host": destination.authority, "Connection": "close"}
    if request.body or request.method in WITH_BODY:
        fields["Content-Length"] = str(len(request.body))
    usual = {"Accept-Encoding": "identity", "User-Agent": "Countersign"}
    given = [name.lower() for name in request.headers]
    for name, value in request.headers.items():
        require_plain(name, value)
    if len(given) != len(set(given)):
        raise Refused("A header is given twice.")
    fields |= {name: value for name, value in usual.items() if name.lower() not in given}
    lines = [f"{name}: {value}" for name, value in (fields | dict(request.headers)).items()]
    head = "\r\n".join([f"{request.method} {destination.path} HTTP/1.1", *lines, "", ""])
    return head.encode("ascii") + request.body


def require_plain(name: str, value: str) -> None:
    if not HEADER_NAME.fullmatch(name) or name.lower() in OURS:
        raise Refused("A header has a plain name, and is none of those that the connection needs.")
    if not HEADER_VALUE.fullmatch(value):
        raise Refused(f"The header {name} has a line break or a character that is not plain.")


def connected(destination: Destination, endpoint: Endpoint, deadline: Deadline) -> socket.socket:
    """A connection to the very address that was examined; over TLS, to the name's owner there."""
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        deadline.bound(sock, CONNECT_SECONDS)
        sock.connect(endpoint.at)
        if not destination.is_https:
            return sock
        trust = trusted()
        deadline.bound(sock)
        return trust.wrap_socket(sock, server_hostname=destination.host)
    except BaseException:
        sock.close()
        raise


def trusted() -> ssl.SSLContext:
    """Who vouches for names, as this machine has it. Reading it takes long, so it is kept."""
    file = ssl.get_default_verify_paths().cafile
    return read_trust(file, os.stat(file).st_mtime_ns if file else 0)


@lru_cache(maxsize=2)
def read_trust(file: str | None, changed: int) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


# From the first byte on


def send(sock: socket.socket, message: bytes, deadline: Deadline) -> None:
    rest = memoryview(message)
    while rest:
        deadline.bound(sock)
        rest = rest[sock.send(rest) :]


class Unreadable(Exception):
    """What came back is no answer that can be believed."""


class Wire(io.RawIOBase):
    """What the library reads an answer from: a socket with a deadline, and only so much of it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self.sock, self.deadline = sock, deadline
        self.allowed, self.is_over = LONGEST_HEAD, False

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.allowed <= 0:
            raise Unreadable("it says more than it may")
        self.deadline.bound(self.sock)
        got = self.sock.recv_into(memoryview(buffer)[: self.allowed])
        self.allowed -= got
        self.is_over = not got
        return got


class Response(http.client.HTTPResponse):
    """The library's, which takes the first answer but 100 for the final one."""

    def begin(self) -> None:
        super().begin()
        while 100 <= self.status < 200 and self.status != SWITCHING:
            self.headers = None  # type: ignore[assignment]  # or nothing more is read
            super().begin()


def answer(wire: Wire, method: str, most: int) -> Answer:
    """The final answer, whole or cut at `most`. Raises anything when there is none."""
    with closing(Response(wire, method=method)) as response:  # type: ignore[arg-type]
        response.begin()
        require_whole_head(response, wire)
        wire.allowed += 8 * most + LONGEST_HEAD  # small chunks come with more around them
        body = b"" if response.length == 0 else response.read(most + 1)
        is_cut = len(body) > most
        if not is_cut and (response.length or (response.chunked and wire.is_over)):
            raise Unreadable("it was cut off")
        return Answer(response.status, headers_of(response), body[:most], is_cut)


def require_whole_head(response: Response, wire: Wire) -> None:
    """The library takes the end of a connection for the end of a head, and guesses at lengths."""
    headers = response.headers
    if wire.is_over:
        raise Unreadable("it was cut off")
    if response.status == SWITCHING or headers.defects:
        raise Unreadable("it is not HTTP as was asked for")
    encodings = headers.get_all("transfer-encoding", [])
    lengths = headers.get_all("content-length", [])
    if encodings and [one.strip().lower() for one in encodings] != ["chunked"]:
        raise Unreadable("it is not HTTP as was asked for")
    if len(set(lengths)) > 1 or not all(LENGTH.fullmatch(one) for one in lengths):
        raise Unreadable("its length is not clear")


def headers_of(response: Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in response.headers.items():
        name, value = name.lower(), " ".join(value.split())
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def reason(error: Exception) -> str:
    """Why, in words that hold nothing of the request or of what came back."""
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted ({error.verify_message.rstrip('.')})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason})"
    for kind, words in REASONS.items():
        if isinstance(error, kind):
            return words
    return type(error).__name__


REASONS: dict[type[Exception], str] = {
    TimeoutError: "it took too long",
    ConnectionRefusedError: "it was refused",
    ConnectionError: "the connection was closed",
    http.client.IncompleteRead: "it was cut off",
    http.client.HTTPException: "it is not HTTP as was asked for",
}
