"""The page that explains one proposal. What it says is `proposals.story`'s."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ledger import access
from proposals import rights, story
from proposals.console.admission import Request, people_only
from proposals.exceptions import NotFound

NO_RIGHT = "Reading the ledger takes a right of its own, which auditors have."


@require_GET
@people_only
def explain(request: Request, proposal_id: UUID) -> HttpResponse:
    """What happened, who decided on which evidence, and the proof, verified on each opening."""
    if not rights.has(request.user, rights.VIEW_LEDGER):
        raise PermissionDenied(NO_RIGHT)
    try:
        told = story.build(proposal_id)
    except NotFound:
        raise Http404 from None
    access.note(request.user, "explain", str(proposal_id))
    context = {
        "story": told,
        "proposal": told.proposal,
        "may_export": rights.has(request.user, rights.EXPORT_LEDGER),
    }
    return render(request, "console/explain.html", context)
