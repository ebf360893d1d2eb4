"""Who signed in and how, who tried, who signed out, and what they sign in with: the stream `auth`.

Signals are avoided everywhere else; here they are the only hook that Django and allauth offer for
every door. Entries about second factors are written in the transaction that stores them.
"""

import hashlib
from datetime import datetime
from typing import Any

from allauth.account import signals as account
from allauth.account.authentication import get_authentication_records
from allauth.mfa import signals as factors
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest

from ledger import clock, entries
from proposals import text

NAME_LIMIT = 100
LOCKED_OUT_SECONDS = 300
AUTHENTICATED_AT = "authenticated_at"
FACTORS = {"totp": "totp", "webauthn": "passkey", "recovery_codes": "recovery code"}


def connect() -> None:
    """Listen; called once when the product starts."""
    for signal, handler in (
        (user_logged_in, signed_in),
        (user_login_failed, sign_in_failed),
        (user_logged_out, signed_out),
        (account.authentication_step_completed, proved_again),
        (account.password_changed, password_changed),
        (account.password_set, password_changed),
        (account.password_reset, password_reset),
        (factors.authentication_failed, factor_failed),
    ):
        signal.connect(handler, dispatch_uid=f"countersign.{handler.__name__}.{id(signal)}")
    post_save.connect(factor_saved, sender=Authenticator, dispatch_uid="countersign.factor_saved")
    post_delete.connect(
        factor_removed, sender=Authenticator, dispatch_uid="countersign.factor_removed"
    )


def last_proof(request: HttpRequest) -> datetime | None:
    """When whoever holds this session last proved who they are: signed in, or did so again."""
    kept = request.session.get(AUTHENTICATED_AT)
    return datetime.fromisoformat(kept) if kept else None


def signed_in(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    request.session[AUTHENTICATED_AT] = clock.now().isoformat()
    record("user.signed_in", user, body={"how": how(request, user)})


def how(request: HttpRequest, user: Any) -> str:
    """With what somebody signed in, in words: password+totp, passkey, or who let them in."""
    told = getattr(request, "countersign_how", "")
    records = get_authentication_records(request, user)
    if told or not records:
        return told or "session"
    last = records[-1]
    if last["method"] != "mfa":
        return str(last["method"])
    name = FACTORS.get(last["type"], last["type"])
    return name if last.get("passwordless") else f"password+{name}"


def signed_out(sender: Any, user: Any, **kwargs: Any) -> None:
    if user is not None:
        record("user.signed_out", user)


def proved_again(sender: Any, request: HttpRequest, user: Any, method: str, **facts: Any) -> None:
    """Signed in again, within a session. A first step alone proves nothing yet."""
    if facts.get("reauthenticated"):
        request.session[AUTHENTICATED_AT] = clock.now().isoformat()
        with_what = FACTORS.get(facts.get("type", ""), method)
        record("user.signed_in_again", user, body={"how": with_what})


def sign_in_failed(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    record_attempt("user.sign_in_failed", str(credentials.get(get_user_model().USERNAME_FIELD, "")))


def factor_failed(sender: Any, user: Any, authenticator: Any, **kwargs: Any) -> None:
    record_attempt("user.sign_in_failed", user.get_username(), how=FACTORS[authenticator.type])


@transaction.atomic
def record_attempt(kind: str, tried: str, **more: str) -> None:
    """The name that was tried can be anything that anybody typed: cut, and made visible."""
    entries.record(
        "auth",
        kind=kind,
        actor="system:sign-in",
        body={"username": text.plain(tried, NAME_LIMIT), **more},
    )


def password_changed(sender: Any, user: Any, **kwargs: Any) -> None:
    record("user.password_changed", user)


def password_reset(sender: Any, user: Any, **kwargs: Any) -> None:
    record("user.password_reset", user)


def factor_saved(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
    if created:
        record("factor.added", instance.user, body={"factor": FACTORS[instance.type]})


def factor_removed(sender: Any, instance: Any, **kwargs: Any) -> None:
    """By the person, unless whoever deletes it says otherwise on the row."""
    by = getattr(instance, "removed_by", instance.user)
    record("factor.removed", by, body={"factor": FACTORS[instance.type], "user": instance.user_id})


@transaction.atomic
def record(kind: str, user: Any, body: dict[str, Any] | None = None) -> None:
    entries.record(
        "auth",
        kind=kind,
        actor=f"user:{user.pk}",
        actor_name=user.get_full_name() or user.get_username(),
        body=body,
    )


def locked_out(request: HttpRequest) -> None:
    """A limit on attempts was reached. Told once while it lasts, or the ledger would be flooded."""
    stage = getattr(request, "_login_stage", None)
    known = request.user if request.user.is_authenticated else stage and stage.login.user
    tried = known.get_username() if known else request.POST.get("username", "")
    digest = hashlib.sha256(tried.casefold().encode()).hexdigest()
    if cache.add(f"locked-out:{digest}", True, LOCKED_OUT_SECONDS):
        record_attempt("user.locked_out", tried)
