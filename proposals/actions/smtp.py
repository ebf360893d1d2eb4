"""One mail over one connection to the mail server, and exactly how far it got.

Whatever fails before the final dot begins to leave means that nothing was taken: without it a
server may deliver nothing (RFC 5321, 4.1.1.4). From then on only the server's own answer tells. It
is driven step by step, because `sendmail` hides at which of them it failed.
"""

import contextlib
import re
import select
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.mail.utils import DNS_NAME

from proposals import redaction, text
from proposals.exceptions import OutcomeUnknown, TargetRefused, TargetUnavailable

DEADLINE_SECONDS = 20.0
MOST_REPLY_BYTES = 64 * 1024
BACKEND = "django.core.mail.backends.smtp.EmailBackend"
OFF = "No mail is sent from here: EMAIL_URL names no mail server (docs/mail.md)."
SMUGGLED = rb"\r(?!\n)|(?<!\r)\n|\x00"
QUEUE_ID = re.compile(r"(?:queued as|\bid=)\s*([A-Za-z0-9][A-Za-z0-9._@-]{3,98})", re.IGNORECASE)


@dataclass(frozen=True)
class Server:
    """The mail server that the settings name."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = ""  # "", "starttls" or "tls"

    @property
    def place(self) -> str:
        return place(self.host, self.port)


@dataclass(frozen=True)
class Taken:
    """The server's answer to the whole mail: that it took it."""

    reply: str
    queue_id: str


def place(host: str, port: int) -> str:
    return f"smtp://{host}:{port}"


def server() -> Server:
    """The server that mail goes to. Raises TargetUnavailable where there is none."""
    if not settings.MAIL_IS_ON or settings.EMAIL_BACKEND != BACKEND or not settings.EMAIL_HOST:
        raise TargetUnavailable(OFF)
    security = "tls" if settings.EMAIL_USE_SSL else "starttls" if settings.EMAIL_USE_TLS else ""
    redaction.remember(settings.EMAIL_HOST_PASSWORD or "")
    return Server(
        host=settings.EMAIL_HOST,
        port=int(settings.EMAIL_PORT),
        user=settings.EMAIL_HOST_USER or "",
        password=settings.EMAIL_HOST_PASSWORD or "",
        security=security,
    )


def hand_over(to_server: Server, *, sender: str, to: str, message: bytes) -> Taken:
    """Offer one mail to one recipient, once, within the deadline.

    Raises TargetUnavailable or TargetRefused where it was definitely not taken, OutcomeUnknown
    where the server may have it.
    """
    require_smuggles_nothing(message)
    with Deadline(DEADLINE_SECONDS) as deadline:
        connection = Connection(to_server, deadline)
        try:
            with definite(connection):
                greet(connection, to_server)
                connection.ask("MAIL", f"FROM:<{sender}>", 250)
                connection.ask("RCPT", f"TO:<{to}>", 250, 251)
                connection.ask("DATA", "", 354)
                connection.step = "the text"
                connection.send(stuffed(message))
                connection.require_silence()
            return finish(connection)
        finally:
            connection.close()


def finish(connection: "Connection") -> Taken:
    """Send the final dot and hear the answer: only here can a mail be lost sight of."""
    connection.step = "the end of the text"
    try:
        connection.send(b".\r\n")
        code, said = connection.getreply()
    except Exception as error:  # whatever it is, the server may have the mail
        told = f"the connection ended without an answer ({type(error).__name__})"
        if connection.deadline.is_over:
            told = f"it did not answer within {DEADLINE_SECONDS:g} seconds"
        raise OutcomeUnknown(f"The whole mail was sent, and {told}.") from error
    reply = shown(code, said)
    if code == 250:
        found = QUEUE_ID.search(reply)
        connection.take_leave()
        return Taken(reply=reply, queue_id=found[1] if found else "")
    refuse(code, reply, connection.step)
    raise OutcomeUnknown(
        f"The whole mail was sent, and the answer tells nothing: {reply}", evidence={"reply": reply}
    )


def refuse(code: int, reply: str, step: str) -> None:
    """Raise what an answer of the server's means, if it is a refusal."""
    told = f"The mail server refused {step}: {reply}"
    if 500 <= code <= 599:
        raise TargetRefused(told)
    if 400 <= code <= 499:
        raise TargetUnavailable(told)


@contextlib.contextmanager
def definite(connection: "Connection") -> Iterator[None]:
    """What fails in here fails before the mail could have been taken."""
    try:
        yield
    except (TargetRefused, TargetUnavailable):
        raise
    except smtplib.SMTPResponseException as error:
        reply = shown(error.smtp_code, error.smtp_error)
        refuse(error.smtp_code, reply, connection.step)
        raise TargetUnavailable(f"The mail server answered {connection.step} by {reply}") from error
    except Exception as error:  # whatever it is, the final dot has not left
        told = f"{connection.step} failed ({type(error).__name__})"
        if connection.deadline.is_over:
            told = f"{connection.step} took longer than {DEADLINE_SECONDS:g} seconds"
        elif isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLError):
            told += f": {clean(str(error))}"
        raise TargetUnavailable(f"Nothing was sent: {told}.") from error


def greet(connection: "Connection", to_server: Server) -> None:
    """Connect, encrypt, say who we are, and sign in, as the settings have it."""
    connection.open()
    connection.greet()
    if to_server.security == "starttls":
        connection.step = "encryption"
        if not connection.has_extn("starttls"):
            raise smtplib.SMTPNotSupportedError("the server offers none")
        connection.ask("STARTTLS", "", 220)
        connection.step = "encryption"
        connection.encrypt()
        connection.greet()
    if to_server.user:
        connection.step = "the sign-in"
        connection.login(to_server.user, to_server.password)


class Connection(smtplib.SMTP):
    """smtplib's client, without what it does by itself, and with an end to its patience."""

    sock: Any

    def __init__(self, to_server: Server, deadline: "Deadline") -> None:
        super().__init__(local_hostname=DNS_NAME.get_fqdn())
        self.server, self.deadline, self.step = to_server, deadline, "the connection"

    def open(self) -> None:
        code, said = self.connect(self.server.host, self.server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)

    def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
        """Connected, and encrypted if it is to be from the beginning."""
        self.sock = self.reach(host, port)
        self.deadline.watch(self.sock)
        if self.server.security == "tls":
            self.encrypt()
        return self.sock

    def reach(self, host: str, port: int) -> socket.socket:
        """The first address that answers, within what is left for all of them."""
        failed: OSError = TimeoutError()
        for family, kind, protocol, _, place in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        ):
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(min(self.deadline.left(), patience()))
                opened.connect(place)
                return opened
            except OSError as error:
                opened.close()
                failed = error
        raise failed

    def encrypt(self) -> None:
        """TLS from here on; what was said before it counts for nothing."""
        self.sock = context().wrap_socket(
            self.sock, server_hostname=self.server.host, do_handshake_on_connect=False
        )
        self.deadline.watch(self.sock)
        self.sock.do_handshake()
        self.file: Any = None
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False

    def greet(self) -> None:
        self.step = "the greeting"
        code, said = self.ehlo()
        if code != 250:
            raise smtplib.SMTPHeloError(code, said)

    def ask(self, verb: str, rest: str, *wanted: int) -> None:
        """One command; any answer but the wanted ones is an SMTPResponseException."""
        self.step = f"{verb} {rest}".strip()
        code, said = self.docmd(verb, rest)
        if code not in wanted:
            raise smtplib.SMTPResponseException(code, said)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:
            self.file = Replies(self.sock)
        return super().getreply()

    def require_silence(self) -> None:
        """Refuse to end the text while something was said out of turn, or the line is dead.

        The answer that is read after the final dot must be the answer to it.
        """
        if self.file.waiting or readable(self.sock):
            raise smtplib.SMTPServerDisconnected("It spoke out of turn, or hung up.")

    def take_leave(self) -> None:
        """Say good-bye to a server that took the mail; its answer changes nothing."""
        with contextlib.suppress(OSError):
            self.putcmd("quit")


class Replies:
    """The server's side of the talk: line by line, and no more of it than anybody needs."""

    def __init__(self, sock: Any) -> None:
        self.sock, self.waiting, self.left = sock, b"", MOST_REPLY_BYTES

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self.waiting and len(self.waiting) < limit:
            more = self.sock.recv(4096)
            self.left -= len(more)
            if not more and not self.waiting:
                return b""
            if not more or self.left < 0:
                raise OSError("it hung up in the middle of a line, or says too much")
            self.waiting += more
        end = min(self.waiting.find(b"\n") + 1 or limit, limit)
        line, self.waiting = self.waiting[:end], self.waiting[end:]
        return line

    def close(self) -> None:
        """The socket is closed by whoever opened it."""


def readable(sock: Any) -> bool:
    """Whether there is something to read, which the end of the connection is too."""
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return True
    return bool(select.select([sock], [], [], 0)[0])


class Deadline:
    """Ends a connection from outside when its time is over, whatever it is waiting for.

    A time-out of the socket alone would begin anew with every byte that drips in.
    """

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.lock = threading.Lock()
        self.socket: socket.socket | None = None
        self.timer = threading.Timer(seconds, self.end)
        self.timer.daemon = True

    def __enter__(self) -> "Deadline":
        self.timer.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.timer.cancel()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    def left(self) -> float:
        """Seconds, more than none. Raises TimeoutError when it is over."""
        if self.is_over:
            raise TimeoutError
        return self.ends_at - time.monotonic()

    def watch(self, opened: socket.socket) -> None:
        """From now on this is the socket to end."""
        with self.lock:
            self.socket = opened
            opened.settimeout(self.left())

    def end(self) -> None:
        with self.lock:
            if self.socket is not None:
                # The plain socket's: that of TLS would take it apart under the thread that reads.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


def patience() -> float:
    """For how long to wait for one address of the server."""
    return float(settings.EMAIL_TIMEOUT or DEADLINE_SECONDS)


def context() -> ssl.SSLContext:
    """As Django's own connection has it: the server's certificate is checked."""
    made = ssl.create_default_context()
    if settings.EMAIL_SSL_CERTFILE:
        made.load_cert_chain(settings.EMAIL_SSL_CERTFILE, settings.EMAIL_SSL_KEYFILE)
    return made


def stuffed(message: bytes) -> bytes:
    """The text as DATA has it: no line is the final dot, and the last one ends."""
    ended = message if message.endswith(b"\r\n") else message + b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", ended)


def require_smuggles_nothing(message: bytes) -> None:
    """Refuse line ends that one server takes for an end of the text, and another does not."""
    if re.search(SMUGGLED, message) or not message.isascii():
        raise TargetRefused("The mail holds a line end that servers understand in different ways.")


def shown(code: int, said: Any) -> str:
    """An answer of the server's in one line, for evidence and for people."""
    words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return clean(f"{code} {' '.join(words.split())}".strip())


def clean(words: str) -> str:
    return redaction.redact(text.plain(words, 300))
