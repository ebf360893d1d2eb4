"""Who signed in, who tried, who signed out: entries of the ledger's stream `auth`.

Signals are avoided everywhere else; here they are the only hook that Django offers for every door.
"""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import transaction

from ledger import entries
from proposals import text

NAME_LIMIT = 100


def connect() -> None:
    """Listen; called once when the product starts."""
    user_logged_in.connect(signed_in, dispatch_uid="countersign.signed_in")
    user_login_failed.connect(sign_in_failed, dispatch_uid="countersign.sign_in_failed")
    user_logged_out.connect(signed_out, dispatch_uid="countersign.signed_out")


def signed_in(sender: Any, user: Any, **kwargs: Any) -> None:
    record("user.signed_in", user)


def signed_out(sender: Any, user: Any, **kwargs: Any) -> None:
    if user is not None:
        record("user.signed_out", user)


@transaction.atomic
def sign_in_failed(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """The name that was tried can be anything that anybody typed: cut, and made visible."""
    tried = str(credentials.get(get_user_model().USERNAME_FIELD, ""))
    entries.record(
        "auth",
        kind="user.sign_in_failed",
        actor="system:sign-in",
        body={"username": text.plain(tried, NAME_LIMIT)},
    )


@transaction.atomic
def record(kind: str, user: Any) -> None:
    entries.record(
        "auth",
        kind=kind,
        actor=f"user:{user.pk}",
        actor_name=user.get_full_name() or user.get_username(),
    )
