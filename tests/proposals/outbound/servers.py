"""Real servers that misbehave to order, a resolver that says what it is told, and certificates."""

import datetime
import ipaddress
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.post import serving

Behaviour = Callable[["Session"], None]


class Session(socketserver.BaseRequestHandler):
    """One connection: reads the request, then does what the server was told to do."""

    server: "Server"

    def handle(self) -> None:
        with suppress(OSError):
            if self.server.listens:
                self.server.heard.append(self.hear())
            self.server.behave(self)

    def hear(self) -> bytes:
        heard = b""
        while b"\r\n\r\n" not in heard:
            more = self.request.recv(65536)
            if not more:
                return heard
            heard += more
        head, _, body = heard.partition(b"\r\n\r\n")
        length = int((head.lower().partition(b"content-length: ")[2].split() or [b"0"])[0])
        while len(body) < length:
            body += self.request.recv(65536)
        return head + b"\r\n\r\n" + body

    def say(self, *parts: bytes) -> None:
        self.request.sendall(b"".join(parts))

    def drip(self, text: bytes) -> None:
        """One byte at a time, for ever: each well within any time-out of its own."""
        for byte in text:
            self.say(bytes([byte]))
            if self.wait(0.05):
                return

    def flood(self, text: bytes) -> None:
        while not self.server.released.is_set():
            self.say(text)

    def reset(self) -> None:
        """End the connection as a crash does, and not as a farewell."""
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.request.close()

    def wait(self, seconds: float = 20) -> bool:
        return self.server.released.wait(seconds)


class Server(socketserver.ThreadingTCPServer):
    """Counts who connected, keeps what was heard, and then behaves as it was told."""

    allow_reuse_address = daemon_threads = True

    def __init__(
        self, behave: Behaviour = lambda session: None, at: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in at[0] else socket.AF_INET
        super().__init__(at, Session)
        self.behave, self.listens = behave, True
        self.reached, self.heard = 0, list[bytes]()
        self.released = threading.Event()

    def verify_request(self, *arguments: Any) -> bool:
        self.reached += 1
        return True

    def handle_error(self, *arguments: Any) -> None:
        """Whoever hangs up in the middle is expected here."""

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def speak_tls(self, certificate: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )


@contextmanager
def server(*behave: Behaviour, at: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Server]:
    with serving(Server(*behave, at=at)) as running:
        yield running


def plain(text: bytes) -> Behaviour:
    """Say this, and hang up."""
    return lambda session: session.say(text)


class Names:
    """A resolver: each name's answers in turn, the last one for ever; numbers as they are read."""

    def __init__(self, monkeypatch: Any, **answers: list[list[str]]) -> None:
        self.asked: list[str] = []
        self.answers = {name.replace("__", "."): list(said) for name, said in answers.items()}
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, *arguments: Any, **named: Any) -> list[Any]:
        self.asked.append(host)
        said = self.answers.get(host)
        if said is None:
            named["flags"] = socket.AI_NUMERICHOST
            return self.real(host, port, *arguments, **named)
        found = said.pop(0) if len(said) > 1 else said[0]
        return [info(address, port) for address in found]


def info(address: str, port: int) -> tuple[Any, ...]:
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


def self_signed(folder: Any, name: str) -> Any:
    """A file with a key and a certificate for one name, which nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path
