"""How I am told, what I was told, and where the installation posts to."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from proposals import rights, services
from proposals.console.admission import Request, people_only
from proposals.console.forms import Refusable
from proposals.exceptions import InvalidRequest, NotEligible, NotFound
from proposals.models import Letter, Notice, NoticePreference, Webhook
from proposals.notices import audience
from proposals.registry import Tier

MOST_LETTERS = 20
NO_RIGHT = "Webhooks take a right that you do not have; a policy administrator has it."
HINTS = {
    "high": "Dear writes, unknown outcomes, and whatever is frozen or suspended.",
    "medium": "Writes worth a look, failures, and budgets that refused.",
    "low": "Small writes that a rule sends to people all the same.",
}
TAGS = {
    Letter.State.SENT: "tag-added",
    Letter.State.GIVEN_UP: "tag-removed",
    Letter.State.WAITING: "",
    Letter.State.DROPPED: "",
}


class PreferenceForm(Refusable):
    """How often, for each tier."""

    high = forms.ChoiceField(choices=NoticePreference.Choice.choices, label="High tier")
    medium = forms.ChoiceField(choices=NoticePreference.Choice.choices, label="Medium tier")
    low = forms.ChoiceField(choices=NoticePreference.Choice.choices, label="Low tier")


class WebhookForm(Refusable):
    """Where to post, what, and signed with which secret."""

    name = forms.CharField(max_length=80)
    url = forms.CharField(max_length=500, label="Address")
    secret = forms.CharField(
        max_length=200, required=False, widget=forms.PasswordInput(render_value=False)
    )
    kinds = forms.MultipleChoiceField(
        choices=Notice.Kind.choices, error_messages={"required": "Choose what to tell of."}
    )
    tiers = forms.MultipleChoiceField(
        choices=[(tier.value, tier.value.capitalize()) for tier in Tier],
        error_messages={"required": "Choose at least one tier."},
    )
    is_chat = forms.BooleanField(required=False)


class LetterRow:
    """One letter in a list, in the system's words."""

    def __init__(self, letter: Letter) -> None:
        self.letter = letter
        kinds = [Notice.Kind(notice.kind).label for notice in letter.notices.all()[:1]]
        self.what = f"{letter.tier.capitalize()} tier, by the hour" if letter.is_digest else ""
        self.what = self.what or (kinds[0] if kinds else "No longer kept")
        self.state = Letter.State(letter.state).label
        self.tag = TAGS[Letter.State(letter.state)]
        self.recipient = letter.webhook.name if letter.webhook else ""
        if letter.person:
            self.recipient = letter.person.get_full_name() or letter.person.get_username()


class NotificationsPage:
    """How this person is told, and what was sent to them."""

    def __init__(self, user: Any) -> None:
        self.email = user.email
        self.mail_is_on = settings.MAIL_IS_ON
        self.must_hear = audience.must_hear(user, Tier.HIGH)
        self.may_configure = may_configure(user)
        self.letters = rows(Letter.objects.filter(person=user))
        self.sees_failures = self.may_configure or rights.has(user, rights.RETRY)
        self.given_up = (
            rows(Letter.objects.filter(state=Letter.State.GIVEN_UP)) if self.sees_failures else []
        )


def rows(letters: Any) -> list[LetterRow]:
    """The latest letters: three statements, however many there are."""
    found = letters.select_related("person", "webhook").prefetch_related("notices")
    return [LetterRow(letter) for letter in found.order_by("-created_at")[:MOST_LETTERS]]


def may_configure(user: Any) -> bool:
    return rights.has(user, rights.CHANGE_RULES)


@require_http_methods(["GET", "POST"])
@people_only
def notifications(request: Request) -> HttpResponse:
    """How am I told, and what was I told? By POST: tell me like this."""
    chosen = audience.preference(request.user)
    form = PreferenceForm({tier: getattr(chosen, tier) for tier in HINTS})
    if request.method == "POST":
        form = PreferenceForm(request.POST)
        if form.is_valid():
            try:
                services.save_notice_preference(person=request.user, **form.cleaned_data)
            except InvalidRequest as error:
                form.refuse(error)
            else:
                messages.success(request, "Saved. What is written from now on follows this.")
                return redirect("notifications")
    context = {
        "place": "notifications",
        "page": NotificationsPage(request.user),
        "form": form,
        "fields": [(form[tier], hint) for tier, hint in HINTS.items()],
    }
    return render(
        request, "console/notifications.html", context, status=422 if form.errors else 200
    )


@require_GET
@people_only
def webhooks(request: Request) -> HttpResponse:
    """Where does this installation post to, and does it arrive?"""
    require_right(request)
    found = list(Webhook.objects.all())
    return render(request, "console/webhooks.html", {"place": "notifications", "webhooks": found})


def require_right(request: Request) -> None:
    if not may_configure(request.user):
        raise PermissionDenied(NO_RIGHT)


@require_http_methods(["GET", "POST"])
@people_only
def webhook(request: Request, webhook_id: int | None = None) -> HttpResponse:
    """One webhook, new or old. A secret that was made now is shown in the answer, and never again.

    That answer is no redirect: the secret would have to be kept somewhere in between.
    """
    require_right(request)
    found = get_object_or_404(Webhook, pk=webhook_id) if webhook_id else None
    form = WebhookForm(initial=initial(found))
    if request.method == "POST":
        form = WebhookForm(request.POST)
        if form.is_valid():
            try:
                saved = services.save_webhook(
                    person=request.user, webhook_id=webhook_id, **form.cleaned_data
                )
            except InvalidRequest as error:
                form.refuse(error)
            else:
                if saved.new_secret:
                    context = {"place": "notifications", "saved": saved}
                    return render(request, "console/webhook_secret.html", context)
                messages.success(request, "Saved.")
                return redirect("webhooks")
    context = {
        "place": "notifications",
        "webhook": found,
        "form": form,
        "action": reverse("webhook", args=[found.pk]) if found else reverse("new-webhook"),
        "groups": [
            choices(form, "kinds", "Tell of", Notice.Kind.choices),
            choices(form, "tiers", "At tier", [(t.value, t.value.capitalize()) for t in Tier]),
        ],
        "chosen_chat": form["is_chat"].value(),
    }
    return render(request, "console/webhook.html", context, status=422 if form.errors else 200)


def initial(found: Webhook | None) -> dict[str, Any]:
    if found is None:
        return {"kinds": Notice.Kind.values, "tiers": [Tier.MEDIUM.value, Tier.HIGH.value]}
    return {
        "name": found.name,
        "url": found.url,
        "kinds": found.kind_names,
        "tiers": found.tier_names,
        "is_chat": found.is_chat,
    }


def choices(form: WebhookForm, name: str, legend: str, known: Any) -> dict[str, Any]:
    """A group of boxes, with those ticked that are chosen."""
    chosen = form[name].value() or []
    boxes = [(value, label, value in chosen) for value, label in known]
    return {"name": name, "legend": legend, "boxes": boxes, "errors": form.errors.get(name)}


@require_POST
@people_only
def switch(request: Request, webhook_id: int) -> HttpResponse:
    """Switch a webhook on or off."""
    is_active = request.POST.get("active") == "1"
    try:
        services.set_webhook_active(person=request.user, webhook_id=webhook_id, is_active=is_active)
    except NotFound as error:
        raise Http404 from error
    except NotEligible as error:
        raise PermissionDenied(str(error)) from error
    words = "on; it is told of what happens from now on" if is_active else "off"
    messages.success(request, f"The webhook is {words}.")
    return redirect("webhooks")


@require_POST
@people_only
def try_out(request: Request, webhook_id: int) -> HttpResponse:
    """Post a test, and say at once whether it arrived."""
    try:
        failure = services.test_webhook(person=request.user, webhook_id=webhook_id)
    except NotFound as error:
        raise Http404 from error
    except NotEligible as error:
        raise PermissionDenied(str(error)) from error
    if failure:
        messages.error(request, f"The test did not arrive. {failure}")
    else:
        messages.success(request, "The test arrived.")
    return redirect("webhooks")
