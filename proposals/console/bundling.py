"""The page that asks why the evidence on a proposal is taken away, and the download."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from ledger import access, export
from ledger.export import ExportRefused
from proposals import bundle, rights
from proposals.console.admission import Request, people_only
from proposals.exceptions import NotFound
from proposals.models import Proposal

NO_RIGHT = "Exporting from the ledger takes a right of its own, which auditors have."


@require_http_methods(["GET", "POST"])
@people_only
def evidence(request: Request, proposal_id: UUID) -> HttpResponse:
    """One archive of all evidence, for who may see the ledger and holds the right to export it."""
    if not has_both(request.user):
        raise PermissionDenied(NO_RIGHT)
    if request.method != "POST":
        return ask(request, proposal_id)
    reason = request.POST.get("reason", "")
    try:
        started = bundle.start(proposal_id=proposal_id, person=request.user, reason=reason)
    except NotFound:
        raise Http404 from None
    except ExportRefused as refusal:
        return ask(request, proposal_id, str(refusal))
    access.note(request.user, "export", f"Evidence on proposal {proposal_id}")
    response = HttpResponse(b"".join(export.archive(started)), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{started.file_name}"'
    return response


def has_both(person: Any) -> bool:
    return all(rights.has(person, one) for one in (rights.VIEW_LEDGER, rights.EXPORT_LEDGER))


def ask(request: Request, proposal_id: UUID, error: str = "") -> HttpResponse:
    if not Proposal.objects.filter(pk=proposal_id).exists():
        raise Http404
    context = {
        "proposal_id": proposal_id,
        "error": error,
        "reason": request.POST.get("reason", ""),
        "longest": export.LONGEST_REASON,
    }
    return render(request, "console/bundle.html", context, status=422 if error else 200)
