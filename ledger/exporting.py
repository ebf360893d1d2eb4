"""The door to exports: a page that says what would be taken away, and the download."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from ledger import access, clock, export
from ledger.export import ExportRefused
from ledger.finding import BadFilter, Filters
from ledger.models import Checkpoint
from ledger.readonly_admin import CappedPaginator
from ledger.visible import visible


class ExportView:
    """Exactly the filters of the list, confirmed with a reason."""

    def __init__(self, model_admin: Any) -> None:
        self.model_admin = model_admin

    def open(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Shown and done only for who may see the ledger and holds the right to export it."""
        may_view = self.model_admin.has_view_permission(request)
        if not (may_view and access.may_export(request.user)):
            raise PermissionDenied("Exporting the ledger takes a right of its own.")
        try:
            filters = Filters.parse(request.GET.dict(), clock.now())
            if request.method == "POST":
                return self.send(request, filters)
            return self.ask(request, filters)
        except BadFilter as wrong:
            messages.error(request, str(wrong))
            return HttpResponseRedirect(reverse("admin:ledger_ledgerentry_changelist"))
        except ExportRefused as refusal:
            return self.ask(request, filters, str(refusal))

    def ask(self, request: HttpRequest, filters: Filters, error: str = "") -> HttpResponse:
        sealed = Checkpoint.objects.order_by("size").last()
        back = reverse("admin:ledger_ledgerentry_changelist")
        context = {
            **self.model_admin.admin_site.each_context(request),
            "title": "Export ledger entries",
            "words": [visible(words) for words in filters.words().values()],
            "count": str(CappedPaginator(export.chosen(filters), 100).count),
            "sealed": sealed,
            "error": error,
            "reason": request.POST.get("reason", ""),
            "longest": export.LONGEST_REASON,
            "list_url": f"{back}?{request.GET.urlencode()}",
        }
        status = 422 if error else 200
        return TemplateResponse(request, "ledger/admin/export.html", context, status=status)

    def send(self, request: HttpRequest, filters: Filters) -> StreamingHttpResponse:
        user: Any = request.user
        name = user.get_full_name() or user.get_username()
        reason = request.POST.get("reason", "")
        started = export.start(
            filters=filters, actor=f"user:{user.pk}", actor_name=name, reason=reason
        )
        access.note(user, "export", "; ".join(filters.words().values()))
        response = StreamingHttpResponse(export.archive(started), content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="{started.file_name}"'
        return response
