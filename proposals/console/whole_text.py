"""The whole of one value as plain text, where a page shows its first 2,000 characters.

Everything hidden in it is made visible here as on the pages, line by line; browsers are told to
read it as nothing but text.
"""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_GET

from proposals import live, services, text
from proposals.console.admission import Request, find, owners_too
from proposals.exceptions import NothingToUndo
from proposals.models import Check, Proposal, Revision

Asked = Mapping[str, str]


@require_GET
@owners_too
def whole_text(request: Request, proposal_id: UUID) -> HttpResponse:
    """What is all of it? For whoever may open the page that shows the start."""
    found = find(proposal_id, request.user)
    teller = TELLERS.get(request.GET.get("of", ""))
    value = teller(found, request.GET) if teller else None
    if value is None:
        raise Http404
    answer = HttpResponse(text.whole(value), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = "inline"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def check_of(proposal: Proposal, asked: Asked) -> Check:
    """The check that the page was of; a later one may say something else."""
    found = proposal.checks.filter(pk=number(asked, "check")).select_related("revision").first()
    if found is None:
        raise Http404
    return found


def revision_of(proposal: Proposal, asked: Asked) -> Revision:
    found = proposal.revisions.filter(number=number(asked, "revision")).first()
    if found is None:
        raise Http404
    return found


def number(asked: Asked, name: str) -> int:
    given = asked.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0


def field_of(images: Mapping[str, Any] | None, asked: Asked) -> Any:
    image = (images or {}).get(asked.get("object", "")) or {}
    return image.get(asked.get("field", ""))


def undo_of(proposal: Proposal, side: str) -> Mapping[str, Any] | None:
    """One side of what undoing would do now, as the undo page has it."""
    try:
        found = services.preview_undo(proposal_id=proposal.pk)
    except NothingToUndo:
        raise Http404 from None
    if side == "before" or found.preview is None:
        return found.before_write if side == "before" else None
    return found.preview.before if side == "live" else found.preview.after


def undone(side: str) -> Callable[[Proposal, Asked], Any]:
    return lambda one, asked: field_of(undo_of(one, side), asked)


def evidence_of(proposal: Proposal, asked: Asked) -> Any:
    items = revision_of(proposal, asked).evidence.filter(position=number(asked, "position"))
    return items.values_list("content", flat=True).first()


def call_of(proposal: Proposal, asked: Asked) -> Any:
    return {"action": proposal.action, "params": revision_of(proposal, asked).params}


TELLERS: dict[str, Callable[[Proposal, Asked], Any]] = {
    "before": lambda one, asked: field_of(check_of(one, asked).before, asked),
    "after": lambda one, asked: field_of(check_of(one, asked).after, asked),
    "live": lambda one, asked: field_of(live.now(one, check_of(one, asked)).values, asked),
    "undo-before": undone("before"),
    "undo-live": undone("live"),
    "undo-after": undone("after"),
    "undo": lambda one, asked: check_of(one, asked).compensation,
    "call": call_of,
    "param": lambda one, asked: revision_of(one, asked).params.get(asked.get("field", "")),
    "rationale": lambda one, asked: revision_of(one, asked).rationale,
    "context": lambda one, asked: revision_of(one, asked).context.get(asked.get("name", "")),
    "evidence": evidence_of,
}
