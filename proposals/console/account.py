"""Your account: how you sign in. Each page of allauth's, for whoever is signed in, and whole."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from proposals.console.adapters import passkeys_work

View = Callable[..., HttpResponse]


def signed_in_only(view: View) -> View:
    """For whoever is signed in, in whatever groups they are."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, **named: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        return view(request, **named)

    return guarded


def own(view: View) -> View:
    """A page on one's own account; what it changes and the ledger's entry are stored together."""
    return signed_in_only(transaction.atomic(view))


@require_GET
@signed_in_only
def account(request: HttpRequest) -> HttpResponse:
    """How do I sign in, and what would make that safer?"""
    held: dict[str, Any] = {"webauthn": []}
    for factor in Authenticator.objects.filter(user_id=request.user.pk).order_by("pk"):
        if factor.type == Authenticator.Type.WEBAUTHN:
            held["webauthn"].append(factor)
        else:
            held[factor.type] = factor
    codes = held.get("recovery_codes")
    context = {
        "place": "account",
        "factors": held,
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else 0,
        "passkeys_work": passkeys_work(request),
        "groups": request.user.groups.order_by("name"),
    }
    return render(request, "account/account.html", context)
