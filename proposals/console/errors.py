"""Pages for what cannot be answered."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from proposals.api import problems

UNREADABLE = "The request was refused before it was read: its host, its size or its form is wrong."


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Also what is refused before any view, such as a host that is not listed."""
    if is_of_programs(request.path):
        return problems.respond("invalid-request", 400, UNREADABLE)
    return render(request, "400.html", status=400)


def is_of_programs(path: str) -> bool:
    """Whether this is an address of the doors for programs, which are answered in JSON."""
    return path.startswith("/api/") or path.rstrip("/") == "/mcp"


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Says which right is missing, where the refusal says so."""
    return render(request, "403.html", {"reason": str(exception or "")}, status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Without context processors: whatever broke may break them too."""
    return HttpResponse(loader.get_template("500.html").render(), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "403_csrf.html", status=403)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    return render(request, "429.html", status=429)
