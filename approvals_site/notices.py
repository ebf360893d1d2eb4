"""Settings of mail and links, from the environment. What would mislead or leak refuses to start."""

from collections.abc import Collection
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

TIMEOUT_SECONDS = 10
PLAIN, TLS = {"smtp"}, {"smtps", "smtp+tls"}
HERE = {"localhost", "127.0.0.1", "::1"}


def public_url(given: str, *, port: int, outside: Collection[str], https: bool) -> str:
    """The address that links in notices begin with, without a slash at its end."""
    if not given:
        named = [host for host in sorted(outside) if not host.startswith(".")]
        return f"https://{named[0]}" if named and https else f"http://127.0.0.1:{port}"
    parts = urlsplit(given.rstrip("/"))
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise ImproperlyConfigured(
            "COUNTERSIGN_URL must be the address people open, such as https://countersign.example."
        )
    if parts.username is not None or not given.isascii() or not given.isprintable():
        raise ImproperlyConfigured("COUNTERSIGN_URL must hold no user and plain characters only.")
    if parts.scheme == "http" and host not in HERE:
        raise ImproperlyConfigured(
            f"COUNTERSIGN_URL={given} would send people over a network without TLS: use https://."
        )
    served = {name.strip("[]") for name in outside} | HERE
    if host not in served and not any(
        name.startswith(".") and f".{host}".endswith(name) for name in served
    ):
        raise ImproperlyConfigured(f"COUNTERSIGN_URL names {host}, which ALLOWED_HOSTS does not.")
    return given.rstrip("/")


def mail(url: str, sender: str, outgoing: str = "") -> dict[str, Any]:
    """Django's settings of mail. Without EMAIL_URL, mail is off, and the pages say so.

    `sender` writes to our own people, `outgoing` to whom agents write; it may be the same.
    """
    _, address = parseaddr(outgoing)
    if outgoing and ("@" not in address or not outgoing.isprintable()):
        raise ImproperlyConfigured(
            "OUTGOING_FROM_EMAIL must say who sends what agents ask for, such as "
            "Shop <orders@company.example>."
        )
    if not url:
        return {
            "MAIL_IS_ON": False,
            "EMAIL_BACKEND": "django.core.mail.backends.dummy.EmailBackend",
            "DEFAULT_FROM_EMAIL": sender or "countersign@localhost",
            "OUTGOING_FROM_EMAIL": outgoing,
        }
    try:
        config = environ.Env.email_url_config(url)
        parts = urlsplit(url)
        port = parts.port
    except (ImproperlyConfigured, ValueError):
        raise ImproperlyConfigured(
            "EMAIL_URL must be like smtp+tls://user:password@host:587; docs/notifications.md "
            "lists the forms."
        ) from None
    _, address = parseaddr(sender)
    if "@" not in address or not sender.isprintable():
        raise ImproperlyConfigured(
            "EMAIL_URL is set, so DEFAULT_FROM_EMAIL must say who sends, such as "
            "Countersign <countersign@company.example>."
        )
    if parts.scheme.startswith("smtp"):
        if not parts.hostname:
            raise ImproperlyConfigured("EMAIL_URL names no host.")
        if parts.scheme in PLAIN and parts.password and parts.hostname not in HERE:
            raise ImproperlyConfigured(
                "EMAIL_URL would send a password over a network without TLS: use smtp+tls:// or "
                "smtp+ssl://."
            )
        default = 465 if parts.scheme == "smtp+ssl" else 587 if parts.scheme in TLS else 25
        config["EMAIL_PORT"] = port or default
    config = {key: value or "" for key, value in config.items() if key.startswith("EMAIL_")}
    return {
        **config,
        "MAIL_IS_ON": True,
        "EMAIL_TIMEOUT": TIMEOUT_SECONDS,
        "DEFAULT_FROM_EMAIL": sender,
        "OUTGOING_FROM_EMAIL": outgoing,
        "SERVER_EMAIL": address,
    }
