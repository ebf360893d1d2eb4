"""Where secrets enter the product, and where the product says something: both are overheard.

Everything is wrapped where the product itself looks it up, so it makes no difference which test
calls it, how, or in which thread. Nothing is changed by being overheard.
"""

import copy
import functools
import logging
import smtplib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from email import message_from_bytes, policy
from email.message import EmailMessage as Parsed
from typing import Any

from tests import leaks

command: ContextVar[str] = ContextVar("command", default="a command")
is_open = False


def open_all() -> None:
    """Listen at every door, once."""
    global is_open
    if not is_open:
        is_open = True
        listen_for_secrets()
        listen_for_words()


def around(owner: Any, name: str, hear: Callable[..., None]) -> None:
    """Let `hear(result, *arguments)` be told of every call that ends well."""
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        result = inner(*args, **kwargs)
        hear(result, *args, **kwargs)
        return result

    setattr(owner, name, outer)


def before(owner: Any, name: str, hear: Callable[..., None]) -> None:
    """Let `hear(*arguments)` be told of every call, whatever comes of it."""
    inner = getattr(owner, name)

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        hear(*args, **kwargs)
        return inner(*args, **kwargs)

    setattr(owner, name, outer)


def learn(kind: str, value: Any) -> None:
    leaks.current.learn(kind, value)


def listen_for_secrets() -> None:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.tokens import PasswordResetTokenGenerator

    from proposals import operator_tokens, redaction, services, setup_code, tokens, vault
    from proposals.console.adapters import Factors

    def part(kind: str) -> Callable[..., None]:
        """The part of a token that is secret; the rest is what it is called by."""
        return lambda token, **_: learn(kind, token.split("_", 2)[2])

    def of_vault(name: str, value: str) -> None:
        learn(f"secret of {name.partition(':')[0]}", value)

    def keys(lines: list[str], **_: Any) -> None:
        for line in lines:
            learn("encryption key", line)

    def code(made: str) -> None:
        learn("set-up code", made)
        learn("set-up code", made.replace("-", ""))

    before(vault, "store", of_vault)
    around(vault, "open_sealed", lambda value, name, sealed: of_vault(name, value))
    before(vault, "_write_new", keys)
    before(redaction, "remember", lambda secret: learn("hidden text", secret))
    around(tokens, "issue", part("agent's token"))
    around(operator_tokens, "issue", part("operator's token"))
    around(setup_code, "issue", code)
    around(services, "invite", lambda made, **_: learn("invitation", made[1]))
    around(
        PasswordResetTokenGenerator,
        "make_token",
        lambda made, *_: learn("new-password link", made.partition("-")[2]),
    )
    before(AbstractBaseUser, "set_password", lambda _, password: learn("password", password))
    before(AbstractBaseUser, "check_password", lambda _, password: learn("password", password))
    before(Factors, "encrypt", lambda _, text: learn("second factor", text))


def listen_for_words() -> None:
    from django.core.handlers.base import BaseHandler
    from django.core.mail import EmailMessage
    from django.core.management.base import BaseCommand, OutputWrapper

    from tests.installations import Installation
    from tests.processes import Process

    def answer(response: Any, handler: Any, request: Any) -> None:
        match = getattr(request, "resolver_match", None)
        # An address may be a secret itself: its pattern is named.
        name = f"page {request.method} {match.route if match else '(no page)'}"
        # Set-Cookie is not among these: the session is its own secret, and its browser's.
        headers = "\n".join(f"{key}: {value}" for key, value in response.items())
        leaks.current.hear(f"{name} (headers)", headers)
        if response.streaming:
            response.streaming_content = overheard(name, response.streaming_content)
        else:
            leaks.current.hear(name, response.content)

    def mail(message: Any, *_: Any, **__: Any) -> None:
        leaks.current.hear("mail", words_of(message.as_bytes()))

    def sent(_: Any, message: Any) -> None:
        raw = message if isinstance(message, bytes) else message.encode(errors="replace")
        leaks.current.hear("mail", words_of(raw))

    def written(_: Any, msg: Any = "", *__: Any, **___: Any) -> None:
        leaks.current.hear(f"output of {command.get()}", str(msg))

    around(BaseHandler, "get_response", answer)
    around(EmailMessage, "message", mail)
    before(smtplib.SMTP, "data", sent)
    before(OutputWrapper, "write", written)
    name_commands(BaseCommand)
    listen_for_log_lines()
    around(Process, "__init__", lambda _, made, *__, **___: leaks.current.files.add(made.log))
    around(Installation, "put_down", lambda _, made: look_through(made))


KEPT = {
    "secret_key": "encryption key",
    "secrets_key": "encryption key",
    "sealing_key": "sealing key",
    "demonstration-agent-token": "demonstration's token",
    "demonstration-provider-key": "secret of the provider",
    "demonstration-sign-ins.txt": "demonstration's password",
}


def look_through(made: Any) -> None:
    """A whole installation that was put down: what it printed, its logs, its databases.

    It learns its secrets in processes of its own, and keeps them in files for those who need them.
    """
    watch = leaks.Watch()
    for name, kind in KEPT.items():
        path = made.folder / name
        for line in path.read_text().splitlines() if path.exists() else ():
            watch.learn(kind, line.split()[1] if name.endswith(".txt") else line[-40:])
    watch.hear("words of an installation", made.words if made.said.exists() else "")
    for pattern in ("logs/*", "*.sqlite3*"):
        for path in made.folder.glob(pattern):
            watch.hear(f"file {path.name} of an installation", path.read_bytes())
    if found := leaks.conclude(watch, lambda: watch.among(watch.heard)):
        leaks.tell(found)


def overheard(name: str, parts: Any) -> Iterator[bytes]:
    for part in parts:
        leaks.current.hear(name, part)
        yield part


def words_of(raw: bytes) -> str:
    """A whole mail with its parts decoded."""
    message: Parsed = message_from_bytes(raw.replace(b"\r\n", b"\n"), policy=policy.default)  # type: ignore[assignment]
    texts = [f"{key}: {value}" for key, value in message.items()]
    for part in message.walk():
        if not part.is_multipart():
            texts.append((part.get_payload(decode=True) or b"").decode(errors="replace"))
    return "\n".join(texts)


def name_commands(base: Any) -> None:
    inner = base.execute

    @functools.wraps(inner)
    def execute(self: Any, *args: Any, **options: Any) -> Any:
        token = command.set(type(self).__module__.rpartition(".")[2])
        try:
            return inner(self, *args, **options)
        finally:
            command.reset(token)

    base.execute = execute


def listen_for_log_lines() -> None:
    """Every record of every logger, as the product's own handler would write it.

    From INFO on, as in production; what the tests themselves print stays as LOG_LEVEL has it.
    """
    from proposals import redaction

    root = logging.getLogger()
    [console] = [one for one in root.handlers if isinstance(one.formatter, redaction.Formatter)]
    formatter: Any = console.formatter
    console.setLevel(root.level)
    root.setLevel(min(root.level, logging.INFO))

    def line(logger: logging.Logger, record: logging.LogRecord) -> None:
        leaks.current.hear(f"log {logger.name}", formatter.format(copy.copy(record)))

    before(logging.Logger, "handle", line)
