"""The site around the pages: its names, the way back to the console, and one way to sign in."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from proposals.admin import sidebar


@never_cache
def sign_in(request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
    """Send people to the console's sign-in page and back: it is the only one there is."""
    wanted = request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    target = wanted if is_ours else reverse("admin:index")
    if not request.user.is_authenticated:
        return redirect_to_login(target, settings.LOGIN_URL)
    if not admin.site.has_permission(request):
        raise PermissionDenied
    return redirect(target)


def change_password(
    request: HttpRequest, extra_context: dict[str, Any] | None = None
) -> HttpResponse:
    """One's own password is changed on the page of one's account, where it is told."""
    return redirect("account_change_password")


admin.site.site_header = "Countersign"
admin.site.site_title = "Countersign"
admin.site.index_title = "Administration"
admin.site.site_url = reverse_lazy("queue")  # type: ignore[assignment]
admin.site.get_app_list = sidebar.app_list  # type: ignore[method-assign,assignment]
admin.site.login = sign_in  # type: ignore[method-assign,assignment]
admin.site.password_change = change_password  # type: ignore[method-assign,assignment]
