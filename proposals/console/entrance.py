"""Ways in that need no account yet: the first set-up, an invitation, the page to sign in."""

from typing import Any

from allauth.account import views as accounts
from allauth.core.internal import ratelimit
from django.conf import settings
from django.contrib import auth, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from proposals import people, services, setup_code
from proposals.console.errors import too_many_requests
from proposals.console.people_forms import NewPerson, SetUp
from proposals.exceptions import InvalidRequest, NotEligible, NotFound

RATES = {"setup": "10/m/ip", "join": "20/m/ip"}
WRONG_CODE = "This is not the code. It is printed anew at every start, and the last one counts."


def is_too_much(request: HttpRequest, action: str) -> bool:
    return not ratelimit.consume(request, app="proposals", action=action, config=RATES)


def enter(request: HttpRequest, person: Any, how: str) -> None:
    """Sign somebody in who has just proved who they are in another way than by a password."""
    request.countersign_how = how  # type: ignore[attr-defined]
    auth.login(request, person, backend=settings.AUTHENTICATION_BACKENDS[0])


@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    """The one page to sign in; before there is anybody to sign in as, the first set-up."""
    if not request.user.is_authenticated and not people.anybody_can_sign_in():
        return redirect("setup")
    return accounts.login(request)


@never_cache
@sensitive_post_parameters("password", "again", "code")
@require_http_methods(["GET", "POST"])
def setup(request: HttpRequest) -> HttpResponse:
    """Make the first administrator with the code from the terminal. Gone once there is one."""
    if people.has_administrator():
        raise Http404
    form = SetUp(request.POST or None)
    if request.method == "POST":
        if is_too_much(request, "setup"):
            return too_many_requests(request)
        if form.is_valid() and (made := first_administrator(form)):
            enter(request, made, "setup code")
            messages.success(request, "You are the administrator. Next: invite others.")
            return redirect("people")
    context = {"form": form, "has_code": setup_code.exists()}
    return render(request, "entrance/setup.html", context, status=422 if form.errors else 200)


def first_administrator(form: SetUp) -> Any:
    """The administrator, or None with the reason in the form."""
    if not setup_code.matches(form.cleaned_data["code"]):
        form.add_error("code", WRONG_CODE)
        return None
    try:
        made = services.make_first_administrator(**form.account())
    except InvalidRequest as refusal:
        form.refuse(refusal)
        return None
    except NotEligible:
        raise Http404 from None
    setup_code.forget()
    return made


@never_cache
@sensitive_post_parameters("password", "again")
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """Accept an invitation: choose a name and a password, once."""
    if is_too_much(request, "join"):
        return too_many_requests(request)
    if (found := services.find_invitation(secret)) is None:
        return render(request, "entrance/no_invitation.html", status=404)
    form = NewPerson(request.POST or None)
    if form.is_valid():
        try:
            person = services.join(secret=secret, **form.account())
        except InvalidRequest as refusal:
            form.refuse(refusal)
        except NotFound:
            return render(request, "entrance/no_invitation.html", status=404)
        else:
            auth.logout(request)  # whoever shared this browser is not who joins
            enter(request, person, "invitation")
            messages.success(request, "Welcome. A second factor makes your account safer.")
            return redirect("account")
    context = {"form": form, "invitation": found, "groups": found.groups.order_by("name")}
    return render(request, "entrance/join.html", context, status=422 if form.errors else 200)


@never_cache
def forgotten(request: HttpRequest) -> HttpResponse:
    """Ask for a link by mail; without mail, say whom to ask instead."""
    if not settings.MAIL_IS_ON:
        return render(request, "entrance/no_mail.html")
    return accounts.password_reset(request)


new_password = accounts.PasswordResetFromKeyView.as_view(success_url=reverse_lazy("sign-in"))
