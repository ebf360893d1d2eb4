"""The addresses of the admin, browsers to open them, and an agent that says what it should not."""

from django.test import Client
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals.models import (
    AgentToken,
    Check,
    Evidence,
    Execution,
    Grant,
    IdempotencyKey,
    Proposal,
    Review,
    Revision,
    Run,
)
from tests import factories

MADE_BY_WORK = [Run, Proposal, Revision, Evidence, Check, Review, Execution, IdempotencyKey]
READ_ONLY = [*MADE_BY_WORK, AgentToken, Grant]
HIDDEN = "\u202e"
SAID = "zebra"
TOLD = f"{SAID}{HIDDEN}txt.exe <script>alert(1)</script>"


def signed_in(username, groups, **fields):
    browser = Client()
    browser.person = factories.make_person(username, groups=groups, is_staff=True, **fields)
    browser.force_login(browser.person)
    return browser


def hostile_proposal(**fields):
    """A committed write in which every text of the agent holds an override; hence high tier."""
    proposal = factories.make_checked(
        key=f"{factories.new_key()}-{TOLD}",
        run=TOLD,
        params=factories.painting(TOLD[:40], tier="medium", note={TOLD: [TOLD]}),
        rationale=TOLD,
        context={"prompt": TOLD},
        evidence=[{"kind": "message", "title": TOLD, "uri": TOLD, "content": {TOLD: TOLD}}],
        **fields,
    )
    for name in ("saul", "sara"):
        senior = factories.make_person(name, groups=["senior-reviewers"])
        factories.approve(proposal, reviewer=senior, fact="bear")
    factories.work()
    return factories.fresh(proposal)


def address(model, page, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def pages(model):
    """Every page of the newest row of a model."""
    pk = model.objects.order_by("-pk").values_list("pk", flat=True).first()
    assert pk is not None, model
    found = [address(model, "changelist"), address(model, "change", pk)]
    found.append(address(model, "history", pk))
    if hasattr(model, "history"):
        version = model.history.latest().pk
        found.append(address(model, "simple_history", pk, version))
    return found


def text_of(response):
    assert response.status_code == 200, response
    return response.content.decode()


def ledger_pages():
    entries = LedgerEntry.objects.order_by("-pk")[:40]
    return [address(LedgerEntry, "changelist")] + [
        address(LedgerEntry, "change", entry.pk) for entry in entries
    ]


def kinds(**facts):
    entries = LedgerEntry.objects.filter(**facts).order_by("id")
    return [entry.kind for entry in entries]
