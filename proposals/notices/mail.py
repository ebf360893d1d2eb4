"""Letters to people, as plain text over SMTP or whatever EMAIL_URL names."""

import logging
from email.utils import formataddr, parseaddr
from smtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPHeloError,
    SMTPServerDisconnected,
)
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from proposals.models import Letter
from proposals.notices import sending, words
from proposals.outage import Outage

logger = logging.getLogger(__name__)
of_mail = Outage()
# What is the server's fault and not that of one letter.
OUTAGES = (SMTPServerDisconnected, SMTPConnectError, SMTPHeloError, SMTPAuthenticationError)


def deliver() -> int:
    """Send the letters to people that are due. Returns how many were worked on.

    A server that cannot be reached costs one letter an attempt, and ends the pass.
    """
    if not settings.MAIL_IS_ON:
        return 0
    post = Post()
    done = 0
    try:
        for letter_id in sending.due("person"):
            if of_mail.spares():
                break
            letter = sending.claim(letter_id)
            if letter is not None:
                done += 1
                post.carry(letter)
    finally:
        post.close()
    return done


class Post:
    """One connection to the mail server, opened for the first letter and kept for the others."""

    def __init__(self) -> None:
        self.connection: Any = get_connection()
        self.is_open = False

    def carry(self, letter: Letter) -> None:
        """Send one claimed letter and settle it, whatever happens."""
        try:
            said = words.mail(letter)
            if said is None:
                sending.dropped(letter)
                return
            # What is left out now may be news again later.
            letter.notices.remove(*said.omitted)
            self.send(compose(letter, said.subject, said.body))
        except OSError as error:  # which every SMTPException is, too
            if isinstance(error, OUTAGES) or not isinstance(error, SMTPException):
                of_mail.began()
            logger.warning("A letter could not be sent: %s", type(error).__name__)
            self.close()
            sending.failed(letter, error)
        except Exception as error:  # one letter that cannot be written must not stop the others
            logger.exception("Letter %s could not be written", letter.pk)
            sending.failed(letter, error)
        else:
            of_mail.ended()
            sending.sent(letter)

    def send(self, message: EmailMessage) -> None:
        if not self.is_open:
            self.connection.open()
            self.is_open = True
        self.connection.send_messages([message])

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            try:
                self.connection.close()
            except OSError:
                logger.debug("The connection was gone already", exc_info=True)


def compose(letter: Letter, subject: str, body: str) -> EmailMessage:
    """The message. Its id is the letter's, so that a repeat is folded into the first."""
    person: Any = letter.person
    return EmailMessage(
        subject=subject,
        body=body,
        to=[person.email],
        headers={
            "Message-ID": message_id(str(letter.pk)),
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )


def message_id(name: str) -> str:
    """The same for the same letter, for ever and from every machine."""
    _, sender = parseaddr(settings.DEFAULT_FROM_EMAIL)
    host = urlsplit(settings.COUNTERSIGN_URL).hostname or ""
    return f"<{name}@{sender.rpartition('@')[2] or host}>"


def send_test(address: str) -> None:
    """Send one mail at once. Raises OSError, or ValueError for no address."""
    name, plain = parseaddr(address)
    if not plain or "@" not in plain or plain != address.strip():
        raise ValueError(f"{address!r} is not an e-mail address.")
    message = EmailMessage(
        subject=words.subject("A test"),
        body="This is a test: mail from Countersign arrives here. "
        f"Links in it will begin with {settings.COUNTERSIGN_URL}\n",
        to=[formataddr((name, plain)) if name else plain],
        headers={"Auto-Submitted": "auto-generated"},
    )
    message.send()
