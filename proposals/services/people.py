"""Letting people in and out, and choosing what they may do. Every change has its ledger entry.

Rights come by groups alone, and nobody gives themselves one: whoever manages people cannot change
their own groups, invite their own address, or touch the account of an administrator that they
are not themselves.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.db import transaction

from ledger import clock, pruning
from proposals import defaults, people, rights
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Invitation
from proposals.services.configuration import record_change
from proposals.services.decisions import invalid
from proposals.services.turns import save_named

NOT_OPEN = "This invitation was used, revoked, or is too old. Ask for a new one."


@transaction.atomic
def make_first_administrator(
    *, username: str, password: str, email: str = "", first_name: str = "", last_name: str = ""
) -> Any:
    """Make the one account that needs nobody else. Raises NotEligible once there is one."""
    defaults.ensure()
    defaults.ensure_budgets()
    # A lock that two set-ups at once both need, so that the second sees the first.
    group = Group.objects.select_for_update().get(name="policy-administrators")
    if people.has_administrator():
        raise NotEligible("There is an administrator already; ask them for an account.")
    administrator = new_person(username, password, email, first_name, last_name)
    administrator.is_staff = administrator.is_superuser = True
    administrator.save()
    administrator.groups.set([group])
    record("user.joined", administrator, administrator, groups=[group.name], first=True)
    return administrator


def new_person(username: str, password: str, email: str, first_name: str, last_name: str) -> Any:
    """An account that is not yet stored. Raises InvalidRequest naming the field."""
    person = get_user_model()(
        username=username.strip(), email=email, first_name=first_name, last_name=last_name
    )
    if get_user_model().objects.filter(username__iexact=person.username).exists():
        raise name_taken()
    try:
        person.full_clean(exclude=["password"])
    except ValidationError as error:
        raise refused(error.message_dict) from error
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise refused({"password": error.messages}) from error
    person.set_password(password)
    return person


def name_taken() -> InvalidRequest:
    return invalid("username", "taken", "Somebody has this name already. Choose another.")


def refused(faults: dict[str, list[str]]) -> InvalidRequest:
    errors = [
        {"pointer": f"/{name}", "code": "invalid", "detail": detail}
        for name, details in faults.items()
        for detail in details
    ]
    return InvalidRequest(" ".join(error["detail"] for error in errors), errors=errors)


@transaction.atomic
def invite(*, email: str, groups: Iterable[Group], person: Any) -> tuple[Invitation, str]:
    """Let somebody in: the invitation, and the secret of its link, which is not kept.

    An open invitation to the same address is revoked. Raises NotEligible, InvalidRequest.
    """
    require_manager(person)
    address = email.strip()
    if address.casefold() == person.email.strip().casefold():
        raise invalid("email", "own-address", "This is your own address, and one person is one.")
    if other := people.active().filter(email__iexact=address).first():
        raise invalid("email", "taken", f"{other.get_username()} has this address already.")
    now = clock.now()
    for former in Invitation.objects.open(now).filter(email__iexact=address):
        revoke_invitation(invitation_id=former.pk, person=person)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation(
        email=address,
        digest=hashed(secret),
        invited_by=person,
        created_at=now,
        expires_at=now + timedelta(days=settings.INVITATION_DAYS),
    )
    try:
        invitation.full_clean(exclude=["revoked_at", "joined_at", "joined_as"])
    except ValidationError as error:
        raise refused(error.message_dict) from error
    invitation.save()
    chosen = sorted(groups, key=lambda group: group.name)
    invitation.groups.set(chosen)
    record_change(
        stream="auth",
        kind="user.invited",
        person=person,
        body={"invitation": invitation.pk, "groups": [group.name for group in chosen]},
    )
    return invitation, secret


@transaction.atomic
def revoke_invitation(*, invitation_id: int, person: Any) -> Invitation:
    """Make the link useless. Twice is the same as once; one that was used stays used."""
    require_manager(person)
    found = Invitation.objects.select_for_update(of=("self",)).filter(pk=invitation_id).first()
    if found is None:
        raise NotFound
    if found.joined_at is None and found.revoked_at is None:
        found.revoked_at = clock.now()
        found.save(update_fields=["revoked_at"])
        record_change(
            stream="auth",
            kind="invitation.revoked",
            person=person,
            body={"invitation": found.pk},
        )
    return found


def find_invitation(secret: str) -> Invitation | None:
    """The open invitation of this link, or None: whatever is wrong with it looks the same."""
    return Invitation.objects.open(clock.now()).filter(digest=hashed(secret)).first()


@transaction.atomic
def join(
    *, secret: str, username: str, password: str, first_name: str = "", last_name: str = ""
) -> Any:
    """Make the account that an invitation promised, once.

    Raises NotFound for a link that lets nobody in, or InvalidRequest naming the field.
    """
    rows = Invitation.objects.select_for_update(of=("self",))
    found = rows.filter(digest=hashed(secret)).first()
    now = clock.now()
    if found is None or not found.is_open(now):
        raise NotFound(NOT_OPEN)
    person = new_person(username, password, found.email, first_name, last_name)
    save_named(person, name_taken())
    groups = list(found.groups.order_by("name"))
    person.groups.set(groups)
    found.joined_at, found.joined_as = now, person
    found.save(update_fields=["joined_at", "joined_as"])
    names = [group.name for group in groups]
    record("user.joined", person, person, invitation=found.pk, groups=names)
    return person


@transaction.atomic
def set_groups(*, user_id: int, groups: Iterable[Group], person: Any) -> Any:
    """Choose what somebody else may do. What they have already is no change."""
    found = lock_person(user_id, person)
    was = sorted(found.groups.values_list("name", flat=True))
    chosen = list(groups)
    becomes = sorted(group.name for group in chosen)
    if was != becomes:
        found.groups.set(chosen)
        change = {"groups": {"was": was, "becomes": becomes}}
        record("user.changed", found, person, changes=change, also=[])
    return found


@transaction.atomic
def deactivate(*, user_id: int, person: Any) -> Any:
    """Shut somebody out at once, and everywhere. Their account and their history stay."""
    found = lock_person(user_id, person)
    if found.is_active:
        found.is_active = False
        found.save(update_fields=["is_active"])
        end_sessions(found)
        record("user.deactivated", found, person)
    return found


@transaction.atomic
def reactivate(*, user_id: int, person: Any) -> Any:
    """Let somebody in again, with the password and the groups they had."""
    found = lock_person(user_id, person)
    if not found.is_active:
        found.is_active = True
        found.save(update_fields=["is_active"])
        record("user.reactivated", found, person)
    return found


@transaction.atomic
def offer_new_password(*, user_id: int, person: Any) -> tuple[Any, str]:
    """The person, and the secret of a link by which they choose a new password, once, in a day."""
    found = lock_person(user_id, person)
    if not found.is_active:
        raise NotEligible("Whoever is deactivated cannot sign in. Reactivate them first.")
    record("user.password_offered", found, person)
    return found, default_token_generator.make_token(found)


@transaction.atomic
def remove_factors(*, user_id: int, person: Any) -> int:
    """Take away the second factors and passkeys of somebody who lost them; how many there were.

    Their sessions end, so that only the password, which they know, lets them in again.
    """
    found = lock_person(user_id, person)
    held = list(Authenticator.objects.filter(user=found))
    for factor in held:
        factor.removed_by = person  # type: ignore[attr-defined]
        factor.delete()
    if held:
        end_sessions(found)
    return len(held)


def end_sessions(user: Any) -> None:
    """End every session of this person: coming back later must not bring them back."""
    for session in Session.objects.filter(expire_date__gt=clock.now()).iterator():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            session.delete()


def prune_sessions(*, now: datetime) -> None:
    """Remove sessions that have ended: what piled up in batches, the rest as their engine does.

    By itself the engine removes all in one statement, however many they are.
    """
    ended = Session.objects.filter(expire_date__lt=now).order_by("expire_date")
    if pruning.prune(ended) < pruning.BATCH * pruning.BATCHES:
        import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()


def require_manager(person: Any) -> None:
    if not rights.has(person, rights.MANAGE_PEOPLE):
        raise NotEligible("Managing people takes a right that you do not have.")


def lock_person(user_id: int, person: Any) -> Any:
    """The account under its lock, if this person may manage it. Raises NotFound, NotEligible."""
    require_manager(person)
    rows = get_user_model().objects.select_for_update(no_key=True, of=("self",))
    found = rows.filter(pk=user_id, agent=None).first()
    if found is None:
        raise NotFound
    if found.pk == person.pk:
        raise NotEligible("Somebody else has to do this: nobody manages their own account.")
    if found.is_superuser and not person.is_superuser:
        raise NotEligible("Only an administrator manages the account of an administrator.")
    return found


def record(kind: str, found: Any, person: Any, **facts: Any) -> None:
    body = {"user": found.pk, "name": found.get_username(), **facts}
    record_change(stream="auth", kind=kind, person=person, body=body)


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
