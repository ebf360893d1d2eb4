"""Pages on the mails that agents may ask for. What may be done is the services' to say."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ledger.canonical import digest
from proposals import rights, services
from proposals.actions import addresses, email, mailing, smtp
from proposals.console.admission import Request, people_only
from proposals.console.databases import CHANGES_SHOWN, NO_RIGHT, switched
from proposals.console.mail_forms import DomainsForm, TemplateForm, initial_of
from proposals.exceptions import (
    InvalidRequest,
    NotFound,
    ProposalError,
    TargetRefused,
    TargetUnavailable,
)
from proposals.models import MailPolicy, MailTemplate
from proposals.registry import Rendering, registry
from proposals.targets import wiring

NO_DOMAIN = "person@a-listed-domain.example"


def may_configure(user: Any) -> bool:
    return rights.has(user, rights.CONFIGURE_ACTIONS)


def find(name: str) -> MailTemplate:
    try:
        return MailTemplate.objects.get(name=name)
    except MailTemplate.DoesNotExist:
        raise Http404 from None


@require_GET
@people_only
def mail(request: Request) -> HttpResponse:
    """Which mails may agents ask for, and to whom may they go?"""
    wiring.refresh()
    now = mailing.current()
    rows = [(row, now.closed.get(row.name, "")) for row in MailTemplate.objects.all()]
    policy = MailPolicy.objects.first()
    context = {
        "place": "mail",
        "rows": rows,
        "domains": [(one, read_as(one)) for one in (policy.domains if policy else [])],
        "sender": settings.OUTGOING_FROM_EMAIL or settings.DEFAULT_FROM_EMAIL,
        "trouble": trouble(),
        "may_configure": may_configure(request.user),
        "may_stop": may_configure(request.user) or rights.has(request.user, rights.FREEZE),
        "changes": policy.history.select_related("history_user")[:CHANGES_SHOWN] if policy else [],
    }
    return render(request, "console/mail.html", context)


def trouble() -> str:
    """Why no mail could be sent now, whatever its template; empty if nothing speaks against it."""
    try:
        smtp.server()
        email.sender()
    except (TargetRefused, TargetUnavailable) as error:
        return str(error)
    return ""


def read_as(domain: str) -> str:
    """A domain of another script as a browser would show it; empty where it is the same."""
    shown = addresses.in_unicode(domain) or ""
    return "" if shown == domain else shown


@require_http_methods(["GET", "POST"])
@people_only
def add(request: Request) -> HttpResponse:
    """Write a new mail."""
    return TemplatePage(request, None).answer()


@require_http_methods(["GET", "POST"])
@people_only
def template(request: Request, name: str) -> HttpResponse:
    """What does this mail say? By POST first an example of it, and then it is kept."""
    return TemplatePage(request, find(name)).answer()


class TemplatePage:
    """The form of one mail, the example that it leads to, and keeping what was seen."""

    def __init__(self, request: Request, row: MailTemplate | None) -> None:
        self.request, self.row = request, row
        self.may_configure = may_configure(request.user)
        if not self.may_configure and (row is None or request.method == "POST"):
            raise PermissionDenied(NO_RIGHT)
        initial = initial_of(row) if row else {}
        self.form = TemplateForm(request.POST or None, is_new=row is None, initial=initial)
        self.context: dict[str, Any] = {"refusal": ""}

    def answer(self) -> HttpResponse:
        wiring.refresh()
        if self.request.method != "POST":
            if self.row is not None:
                self.show_example(self.row.name, self.row.definition())
            return self.show(200)
        if not self.form.is_valid():
            return self.show(422)
        name = self.row.name if self.row else self.form.cleaned_data["name"]
        definition = services.mail_templates.sound(self.form.definition())
        try:
            mailing.described_by(name, definition)
            if self.request.POST.get("seen") == digest(definition):
                return self.keep(name, definition)
        except InvalidRequest as error:
            self.form.refuse(error)
            return self.show(422)
        except ValidationError as error:
            for field, faults in error.message_dict.items():
                self.form.add_error(field if field in self.form.fields else None, faults)
            return self.show(422)
        except ProposalError as error:
            self.context["refusal"] = str(error)
            return self.show(422)
        self.show_example(name, definition)
        self.context["seen"] = digest(definition)
        return self.show(200)

    def keep(self, name: str, definition: dict[str, Any]) -> HttpResponse:
        if self.row is None and MailTemplate.objects.filter(name=name).exists():
            self.form.add_error("name", "There is a template of this name already.")
            return self.show(422)
        services.save_mail_template(name=name, definition=definition, person=self.request.user)
        messages.success(self.request, f"Agents may ask for {name}, from the next proposal on.")
        return redirect("mail")

    def show_example(self, name: str, definition: dict[str, Any]) -> None:
        try:
            self.context["letter"] = example_of(mailing.described_by(name, definition))
        except (InvalidRequest, ValueError) as error:
            self.context["refusal"] = str(error)

    def show(self, status: int) -> HttpResponse:
        row = self.row
        context = {
            "place": "mail",
            "row": row,
            "form": self.form,
            "may_configure": self.may_configure,
            "changes": row.history.select_related("history_user")[:CHANGES_SHOWN] if row else [],
            **self.context,
        }
        return render(self.request, "console/mail_template.html", context, status=status)


def example_of(described: mailing.Template) -> Rendering | None:
    """The mail with something in each gap, as its recipient would read it."""
    domains = mailing.current().domains
    to = f"ana@{domains[0]}" if domains else NO_DOMAIN
    told = settings.OUTGOING_FROM_EMAIL or settings.DEFAULT_FROM_EMAIL
    params = {"to": to, "fields": email.samples(described)}
    made = email.made(described, params, sender=told)
    return registry.get(email.SendMail.name).rendering({to: made.as_json()})


@require_http_methods(["GET", "POST"])
@people_only
def domains(request: Request) -> HttpResponse:
    """To which domains may mails go?"""
    if not may_configure(request.user):
        raise PermissionDenied(NO_RIGHT)
    policy = MailPolicy.objects.first()
    initial = {"domains": "\n".join(policy.domains if policy else [])}
    form = DomainsForm(request.POST or None, initial=initial)
    is_sent = request.method == "POST"
    if is_sent and form.is_valid():
        try:
            services.list_mail_domains(domains=form.listed(), person=request.user)
        except InvalidRequest as error:
            form.refuse(error)
        else:
            messages.success(request, "Kept. What waits for people is checked again.")
            return redirect("mail")
    context = {"place": "mail", "form": form}
    return render(request, "console/mail_domains.html", context, status=422 if is_sent else 200)


@require_POST
@people_only
def switch(request: Request, name: str) -> HttpResponse:
    """Let agents use a template, or stop them."""
    is_enabled = request.POST.get("to") == "on"
    try:
        services.switch_mail_template(name=name, is_enabled=is_enabled, person=request.user)
    except NotFound as error:
        raise Http404 from error
    except ProposalError as error:
        messages.error(request, f"Nothing was changed: {error}")
    else:
        messages.success(request, switched(name, is_enabled))
    return redirect("mail")
