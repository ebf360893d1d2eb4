"""Managing people: who there is, who is invited, and what each may do."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.utils import user_pk_to_url_str
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from ledger import clock
from proposals import mail, people, rights, services
from proposals.console.admission import Request, View, people_only
from proposals.console.people_forms import GroupsForm, Invite
from proposals.exceptions import InvalidRequest, NotFound, ProposalError
from proposals.models import Invitation
from proposals.services.decisions import is_recent
from proposals.sign_ins import last_proof

NO_RIGHT = "Managing people takes a right that you do not have."
PEOPLE_PER_PAGE = 100
INVITATIONS_SHOWN = 50


def managers_only(view: View) -> View:
    """For those who manage people; before a change, who has not signed in lately does so again."""

    @people_only
    @wraps(view)
    def guarded(request: Request, **named: Any) -> HttpResponse:
        if not rights.has(request.user, rights.MANAGE_PEOPLE):
            raise PermissionDenied(NO_RIGHT)
        if request.method == "POST" and not is_recent(last_proof(request)):
            raise ReauthenticationRequired  # allauth sends the form again afterwards
        return view(request, **named)

    return guarded


@require_GET
@managers_only
def everybody(request: Request) -> HttpResponse:
    """Who can sign in, and who is invited?"""
    return page(request, Invite())


def page(request: Request, form: Invite, **more: Any) -> HttpResponse:
    status = 422 if form.errors or more.get("refusal") else 200
    found = (
        people.everybody()
        .prefetch_related("groups")
        .annotate(factors=Count("authenticator", filter=~Q(authenticator__type="recovery_codes")))
        .order_by("-is_active", "username")
    )
    invitations = Invitation.objects.select_related("invited_by", "joined_as")
    context = {
        "place": "people",
        "people": Paginator(found, PEOPLE_PER_PAGE).get_page(request.GET.get("page")),
        "invitations": invitations.prefetch_related("groups").order_by("-pk")[:INVITATIONS_SHOWN],
        "now": clock.now(),
        "form": form,
        "days": settings.INVITATION_DAYS,
        "by_mail": settings.MAIL_IS_ON,
        **more,
    }
    return render(request, "people/people.html", context, status=status)


@require_POST
@managers_only
def invite(request: Request) -> HttpResponse:
    """Let somebody in: the link is mailed where mail is configured, and shown this once."""
    form = Invite(request.POST)
    if not form.is_valid():
        return page(request, form)
    try:
        invitation, secret = services.invite(person=request.user, **form.cleaned_data)
    except InvalidRequest as refusal:
        form.refuse(refusal)
        return page(request, form)
    except ProposalError as error:
        return page(request, form, refusal=str(error))
    link = request.build_absolute_uri(reverse("join", args=[secret]))
    was_sent = mail.send(
        "invitation", invitation.email, {"link": link, "invitation": invitation, "by": request.user}
    )
    shown = {"link": link, "email": invitation.email, "was_sent": was_sent}
    return page(request, Invite(), shown=shown)


@require_POST
@managers_only
def revoke(request: Request, invitation_id: int) -> HttpResponse:
    """Make an invitation useless."""
    try:
        found = services.revoke_invitation(invitation_id=invitation_id, person=request.user)
    except NotFound as error:
        raise Http404 from error
    if found.joined_at:
        messages.error(request, "Nothing was changed: that invitation was used already.")
    else:
        messages.success(request, f"The invitation of {found.email} was revoked.")
    return redirect("people")


def somebody(person_id: int) -> Any:
    found = people.everybody().filter(pk=person_id).first()
    if found is None:
        raise Http404
    return found


@require_GET
@managers_only
def person(request: Request, person_id: int) -> HttpResponse:
    """What may this person do, and how do they sign in?"""
    return person_page(request, somebody(person_id))


def person_page(request: Request, found: Any, **more: Any) -> HttpResponse:
    held = found.authenticator_set.values_list("type", flat=True)
    context = {
        "place": "people",
        "person": found,
        "form": GroupsForm(initial={"groups": list(found.groups.all())}),
        "factors": len(held),
        "is_me": found.pk == request.user.pk,
        "is_above": found.is_superuser and not request.user.is_superuser,
        "groups": found.groups.order_by("name"),
        **more,
    }
    return render(request, "people/person.html", context)


def carry_out(request: Request, person_id: int, verb: Callable[[], str]) -> HttpResponse:
    """One verb on one person: what it did, or why not, as a status line."""
    try:
        messages.success(request, verb())
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was changed. {error}")
    return redirect("person", person_id=person_id)


@require_POST
@managers_only
def groups(request: Request, person_id: int) -> HttpResponse:
    """Choose what somebody else may do."""
    form = GroupsForm(request.POST)

    def verb() -> str:
        if not form.is_valid():
            raise InvalidRequest("There is no such group.")
        chosen: list[Group] = list(form.cleaned_data["groups"])
        services.set_groups(user_id=person_id, groups=chosen, person=request.user)
        return "The groups were changed, from this moment on."

    return carry_out(request, person_id, verb)


@require_POST
@managers_only
def deactivate(request: Request, person_id: int) -> HttpResponse:
    """Shut somebody out, everywhere and at once."""

    def verb() -> str:
        services.deactivate(user_id=person_id, person=request.user)
        return "Deactivated: their sessions have ended, and they cannot sign in."

    return carry_out(request, person_id, verb)


@require_POST
@managers_only
def reactivate(request: Request, person_id: int) -> HttpResponse:
    """Let somebody in again."""

    def verb() -> str:
        services.reactivate(user_id=person_id, person=request.user)
        return "Reactivated: they can sign in as before."

    return carry_out(request, person_id, verb)


@require_POST
@managers_only
def remove_factors(request: Request, person_id: int) -> HttpResponse:
    """Help somebody who lost what they sign in with."""

    def verb() -> str:
        held = services.remove_factors(user_id=person_id, person=request.user)
        return f"{held} removed. Their password alone signs them in now." if held else "None held."

    return carry_out(request, person_id, verb)


@require_POST
@managers_only
def new_password(request: Request, person_id: int) -> HttpResponse:
    """A link by which somebody chooses a new password, shown this once."""
    try:
        found, token = services.offer_new_password(user_id=person_id, person=request.user)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was changed. {error}")
        return redirect("person", person_id=person_id)
    parts = [user_pk_to_url_str(found), token]
    link = request.build_absolute_uri(reverse("account_reset_password_from_key", args=parts))
    return person_page(request, found, link=link)
