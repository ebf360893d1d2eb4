"""What an agent wrote, at every door: nothing hidden stays raw, and no row is named by it."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.apps import apps
from django.db import models
from django.test import Client
from django.urls import reverse

from ledger import clock
from ledger.models import Mention
from proposals import text
from proposals.lifecycle import Status
from proposals.models import (
    Check,
    Evidence,
    Execution,
    IdempotencyKey,
    Letter,
    Proposal,
    Revision,
    Run,
)
from tests.factories import make_checked, make_person, painting
from tests.post import deliver
from tests.proposals.admin import pages as admin
from tests.proposals.test_notices import eager

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

LISTED = {chr(code) for low, high in text.INVISIBLE for code in range(low, high + 1)}
SENT = sorted(character for character in LISTED if text.is_storable(character))
# The ends of every range, and what Python's own test for printable text would let pass.
TELLING = sorted(
    {chr(end) for each in text.INVISIBLE for end in each if text.is_storable(chr(end))}
    | {character for character in SENT if character.isprintable()}
)
TOKEN = re.compile(r"\[U\+([0-9A-F]{4,6}) ")
OURS = ("ledger", "budgets", "proposals")


def in_pieces(characters: list[str], size: int) -> list[str]:
    joined = "".join(characters)
    return [joined[start : start + size] for start in range(0, len(joined), size)]


def tokens(page: str) -> set[str]:
    return {chr(int(code, 16)) for code in TOKEN.findall(page)}


def raw(page: str) -> set[str]:
    return set(page.replace("\r\n", "\n")) & LISTED


def browser_of(person: Any) -> Client:
    browser = Client()
    browser.force_login(person)
    return browser


class TestEveryHiddenCharacter:
    @pytest.fixture
    def proposal(self) -> Proposal:
        """One proposal in whose texts the whole table stands, as far as a database takes it."""
        pieces = in_pieces(SENT, 15_000)
        return make_checked(
            params=painting("".join(TELLING[:40]), tier="medium", note=TELLING),
            run="".join(TELLING[:128]),
            rationale="".join(TELLING),
            context={f"{number} {piece[:20]}": piece for number, piece in enumerate(pieces)},
            evidence=[{"kind": "message", "title": piece[:200]} for piece in pieces],
        )

    def test_is_a_token_on_the_review_page_or_where_that_shows_the_whole(self, proposal):
        browser = browser_of(make_person("saul", groups=["reviewers", "senior-reviewers"]))
        page = admin.text_of(browser.get(reverse("proposal", args=[proposal.pk])))
        assert raw(page) == set()
        found = tokens(page)
        assert found >= set(TELLING)
        for link in re.findall(r'class="whole" href="([^"]+)"', page):
            whole = browser.get(unescape(link)).content.decode()
            assert raw(whole) == set(), link
            found |= tokens(whole)
        assert found == set(SENT)

    def test_is_a_token_on_every_page_of_the_admin(self, proposal):
        browser = admin.signed_in("amir", ["auditors"])
        found: set[str] = set()
        for model in (Run, Proposal, Revision, Evidence, Check, IdempotencyKey):
            for address in admin.pages(model):
                page = admin.text_of(browser.get(address))
                assert raw(page) == set(), address
                found |= tokens(page)
        assert found >= set(TELLING)

    def test_is_a_token_in_the_queue_and_in_mail(self, mails):
        saul = eager("saul", groups=["reviewers", "senior-reviewers"])
        for piece in in_pieces(TELLING, 40):
            make_checked(params=painting(piece, tier="medium"), run=piece)
            deliver()
            Letter.objects.update(created_at=clock.now() - timedelta(hours=2))  # one mail for each
        page = admin.text_of(browser_of(saul).get(reverse("queue") + "?tab=open"))
        assert raw(page) == set()
        assert tokens(page) == set(TELLING)
        sources = "".join(mail.as_string() for mail in mails.mails)
        bodies = "".join(mail.get_content() for mail in mails.mails)
        assert raw(sources + bodies) == set()
        assert tokens(bodies) == set(TELLING)


class TestTheNameOfARow:
    """`str` of a row stands in titles, breadcrumbs and messages of the admin."""

    # What people name or the product does, and no agent: the text of these rows is their name.
    NAMED_BY_PEOPLE = {
        *("Agent", "AgentToken", "Budget", "Database", "DescribedTable", "Grant", "HttpAction"),
        *("MailTemplate", "NamedSecret", "OperatorToken", "Rule", "Secret"),
    }
    NAMED_BY_THE_PRODUCT = {
        *("DayCount", "Heartbeat", "LedgerEntry", "Mention", "StoredList", "Stream", "Walk"),
        "Wiring",
    }

    def test_is_made_of_no_text_of_the_row_unless_people_or_the_product_chose_it(self):
        named = {
            model.__name__.removeprefix("Historical")
            for model in our_models()
            if admin.SAID in str(model(**said_everywhere(model)))
        }
        assert named == self.NAMED_BY_PEOPLE | self.NAMED_BY_THE_PRODUCT

    def test_holds_nothing_of_what_an_agent_supplied_in_any_table(self):
        assert admin.hostile_proposal().status == Status.COMMITTED
        holding = set()
        for model in our_models():
            for row in model._base_manager.all():
                assert admin.SAID not in str(row), model
                if admin.SAID in str(vars(row)):
                    holding.add(model)
        assert holding >= {Run, Revision, Evidence, Check, Execution, IdempotencyKey, Mention}


def our_models() -> list[type[models.Model]]:
    return [model for app in OURS for model in apps.get_app_config(app).get_models()]


def said_everywhere(model: type[models.Model]) -> dict[str, str]:
    """A value with the sentinel for every column of text."""
    return {
        field.name: admin.SAID
        for field in model._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
    }
