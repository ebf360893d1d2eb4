"""A reason is never asked for twice: it is kept over a refusal, and over signing in again.

Whoever signs in next at the same browser may be somebody else, and Django hands what an anonymous
session holds to anybody. So the form says, under our signature, for whom it was rendered, and what
was typed in it is shown to that person alone. Nothing is kept for a form that we did not render.
"""

from typing import Any
from uuid import UUID

from django.core import signing
from django.http import HttpRequest

REASONS_KEPT = 5
LONGEST = 2000
FORM, TYPED = "countersign.form", "countersign.typed"  # salts: neither passes for the other
FORM_SECONDS, TYPED_SECONDS = 24 * 3600, 3600


def keep(request: HttpRequest, proposal_id: UUID | str, reason: str) -> None:
    found = {**request.session.get("reasons", {}), str(proposal_id): reason}
    request.session["reasons"] = dict(list(found.items())[-REASONS_KEPT:])


def kept(request: HttpRequest, proposal_id: UUID) -> str:
    """What this person typed before about this proposal; empty if nothing."""
    claim(request)
    return str(request.session.get("reasons", {}).get(str(proposal_id), ""))


def forget(request: HttpRequest, proposal_id: UUID) -> None:
    if kept(request, proposal_id):
        keep(request, proposal_id, "")


def ticket(person: Any, proposal_id: UUID) -> str:
    """Says in a form for whom it was rendered."""
    return signing.dumps([person.pk, str(proposal_id)], salt=FORM)


def keep_until_sign_in(request: HttpRequest) -> bool:
    """Keep the reason in a form that came after its session had ended. Returns whether it was."""
    reason = request.POST.get("reason", "").strip()[:LONGEST]
    try:
        rendered = signing.loads(request.POST.get("ticket", ""), salt=FORM, max_age=FORM_SECONDS)
    except signing.BadSignature:
        return False
    if reason:
        request.session[TYPED] = signing.dumps([*rendered, reason], salt=TYPED)
    return bool(reason)


def claim(request: HttpRequest) -> None:
    """Take over what was typed before signing in, or drop it if somebody else typed it."""
    sealed = request.session.pop(TYPED, "")
    if not sealed:
        return
    try:
        person, proposal_id, reason = signing.loads(sealed, salt=TYPED, max_age=TYPED_SECONDS)
    except signing.BadSignature:
        return
    if person == request.user.pk:
        keep(request, proposal_id, reason)
