"""One exchange for an action: its secret is put in last, and taken out of whatever comes back.

Between a request that is made and an answer that is understood, every end has one meaning: nothing
was sent (TargetUnavailable), nobody knows (OutcomeUnknown), or an answer to be classed.
"""

import base64
import hashlib
import html
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

from django.conf import settings

from proposals import redaction, vault
from proposals.exceptions import OutcomeUnknown, TargetUnavailable
from proposals.http_actions import classing, requests
from proposals.http_actions.classing import Read
from proposals.http_actions.definition import Authentication, Definition
from proposals.http_actions.parameters import SAFE_INTEGER
from proposals.http_actions.requests import Made
from proposals.models import NamedSecret
from proposals.outbound import client
from proposals.outbound.client import Answer, NoAnswer, NotSent

EXCERPT, LONGEST_VALUE, LONGEST_WAIT = 4096, 2000, 3600
ECHOED = re.compile(
    r"((?:proxy-)?authorization|x-api-key|api-key|idempotency-key)(\"?'?\s*[:=]\s*\"?'?)[^\"'\r\n]+",
    re.IGNORECASE,
)


def exchange(definition: Definition, made: Made) -> Answer:
    """Ask once, as whoever the definition says. Raises TargetUnavailable, or NoAnswer."""
    how = definition.authentication
    sent = requests.signed(made, how, reveal(how, definition.origin) if how else "")
    request = client.Request(sent.method, sent.url, sent.headers, sent.body)
    try:
        return client.exchange(request, listed=settings.HTTP_HOSTS)
    except NotSent as error:
        detail = f"Nothing was sent to {definition.origin}: {redaction.redact(str(error))}"
        raise TargetUnavailable(detail) from None


def write(definition: Definition, made: Made) -> Answer:
    """Ask for a write. Raises TargetUnavailable, or OutcomeUnknown where no answer came."""
    try:
        return exchange(definition, made)
    except NoAnswer as error:
        told = redaction.redact(str(error))
        detail = f"{definition.origin} was asked, and gave no whole answer. {told}"
        raise OutcomeUnknown(detail, evidence={"answer": "none", "why": told}) from None


def read(definition: Definition, made: Made) -> Answer:
    """Ask for something that writes nothing. Whatever goes wrong, later may be better."""
    try:
        return exchange(definition, made)
    except NoAnswer as error:
        detail = f"{definition.origin} could not be read. {redaction.redact(str(error))}"
        raise TargetUnavailable(detail) from None


def reveal(how: Authentication, origin: str) -> str:
    """The secret, if it is kept for this very place. Raises TargetUnavailable, which names it."""
    row = NamedSecret.objects.filter(name=how.secret).first()
    if row is None or not row.is_kept:
        raise TargetUnavailable(f"Nothing was sent: the secret {how.secret} is not kept.")
    if row.origin != origin:
        raise TargetUnavailable(
            f"Nothing was sent: the secret {how.secret} is kept for {row.origin}, not for {origin}."
        )
    value = vault.reveal(row.secret_name)
    if value is None:
        raise TargetUnavailable(
            f"Nothing was sent: the secret {how.secret} cannot be read any more. Enter it again."
        )
    remember(value, how)
    return value


def remember(value: str, how: Authentication | None = None) -> None:
    """Hide a secret in every way in which an answer may repeat it."""
    spellings = {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
    spellings |= {html.escape(value), base64.b64encode(value.encode()).decode()}
    if how is not None and how.scheme == "basic":
        spellings.add(requests.credentials(how, value)[1].removeprefix("Basic "))
    for spelling in spellings:
        redaction.remember(spelling)


# What comes back


def understood(answer: Answer) -> Read:
    return classing.parsed(answer.status, answer.body, is_cut=answer.is_cut)


def evidence(answer: Answer, reference: str = "") -> dict[str, Any]:
    """How it is known what became of a request: what the provider said, without secrets."""
    found: dict[str, Any] = {
        "status": answer.status,
        "body": f"sha256:{hashlib.sha256(answer.body).hexdigest()}",
        "excerpt": excerpt(answer.body),
    }
    if reference:
        found["reference"] = reference
    if answer.is_cut:
        found["is_cut"] = True
    return found


def excerpt(body: bytes) -> str:
    """The beginning of an answer, for people; secrets are hidden before anything is cut."""
    told = ECHOED.sub(rf"\1\2{redaction.HIDDEN}", clean(body.decode(errors="replace")))
    return told.encode()[:EXCERPT].decode(errors="ignore")


def clean(text: str) -> str:
    """Text as it may be stored and shown: without secrets, NUL and broken characters."""
    return redaction.redact(text.encode(errors="replace").decode()).replace("\0", "\ufffd")


def held(value: Any) -> Any:
    """One value of an answer as it is kept; classing.NOTHING for what is no single value."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        is_safe = isinstance(value, int) and abs(value) <= SAFE_INTEGER
        return value if is_safe else repr(value)
    return clean(value) if isinstance(value, str) else classing.NOTHING


def results(pointers: dict[str, str], value: Any) -> dict[str, Any]:
    """What a definition keeps of an answer; what is not there, or no single value, is left out."""
    found = {name: held(classing.at(value, pointer)) for name, pointer in pointers.items()}
    return {
        name: one[:LONGEST_VALUE] if isinstance(one, str) else one
        for name, one in found.items()
        if one is not classing.NOTHING
    }


def message(pointer: str, answer: Read) -> str:
    """What the provider says, quoted: another system's words, and short."""
    found = answer.at(pointer) if pointer else None
    if not isinstance(found, str) or not found.strip():
        return ""
    return f" It says: “{' '.join(clean(found).split())[:200]}”"


def retry_after(answer: Answer) -> float | None:
    """For how many seconds the provider asks to be left alone."""
    told = answer.headers.get("retry-after", "")
    return min(float(told), LONGEST_WAIT) if told.isascii() and told.isdigit() else None
