"""Addresses of the agents' contract, version 1. A trailing slash is accepted, not required."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.urls import re_path
from drf_spectacular.views import SpectacularJSONAPIView

from proposals.api import problems, views

ID = r"(?P<proposal_id>[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"


class Document(SpectacularJSONAPIView):
    """The contract as OpenAPI. The query is no part of it, and nothing of it comes back."""

    http_method_names = ("get", "head")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.GET = QueryDict()
        return super().dispatch(request, *args, **kwargs)


urlpatterns = [
    re_path(r"^proposals/?$", views.Proposals.as_view()),
    re_path(rf"^proposals/{ID}/?$", views.OneProposal.as_view()),
    re_path(rf"^proposals/{ID}/revisions/?$", views.Revisions.as_view()),
    re_path(rf"^proposals/{ID}/withdraw/?$", views.Withdraw.as_view()),
    re_path(rf"^proposals/{ID}/undo/?$", views.Undo.as_view()),
    re_path(r"^actions/?$", views.Actions.as_view()),
    re_path(r"^actions/(?P<name>[a-z0-9_.]+)/?$", views.OneAction.as_view()),
    re_path(r"^runs/(?P<run>.+)$", views.OneRun.as_view()),
    re_path(r"^budgets/?$", views.Budgets.as_view()),
    re_path(r"^me/?$", views.Me.as_view()),
    re_path(r"^openapi\.json/?$", Document.as_view(), name="openapi"),
    re_path(r"^docs/?$", views.Docs.as_view(), name="api-docs"),
    re_path(r"^(?P<rest>(?s:.*))$", problems.not_found),
]
