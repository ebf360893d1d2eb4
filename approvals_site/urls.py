"""Every address of the site: the agents' door, the people's door, the auditors' door."""

from django.contrib import admin
from django.urls import include, path, re_path

from approvals_site import health
from approvals_site.metrics import metrics
from proposals.api import problems
from proposals.api.mcp import Mcp

urlpatterns = [
    path("api/v1/", include("proposals.api.urls")),
    path("api/operator/v1/", include("proposals.api.operators")),
    path("api/", problems.not_found),
    path("api/<path:rest>", problems.not_found),
    re_path(r"^mcp/?$", Mcp.as_view()),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
    path("", include("proposals.console.urls")),
]

handler400 = "proposals.console.errors.bad_request"
handler403 = "proposals.console.errors.permission_denied"
handler404 = "proposals.console.errors.not_found"
handler429 = "proposals.console.errors.too_many_requests"
handler500 = "proposals.console.errors.server_error"
