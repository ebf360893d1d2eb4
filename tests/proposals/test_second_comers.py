"""Two at once: the second waits for the first, and looks at what that one left.

On SQLite there is one writer at a time, and nothing to see.
"""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from ledger import clock, entries
from ledger.models import LedgerEntry
from proposals import breakers, defaults, services
from proposals.exceptions import IllegalTransition, InvalidRequest, NotEligible, NotFound
from proposals.models import Breaker, Review, ReviewClaim, Rule
from proposals.services import capping, people
from tests.factories import PASSWORD, approve, fresh, make_checked, make_person, painting
from tests.meanwhile import Meanwhile
from tests.proposals.test_gate_order import cap

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time."),
]
TARGET = "https://depot.example"


@pytest.mark.usefixtures("toybox")
def test_whoever_approves_what_is_being_withdrawn_is_told_so():
    proposal, rita = make_checked(params=painting(tier="medium")), make_person()
    with transaction.atomic():
        services.withdraw(agent=proposal.agent, proposal_id=proposal.pk)
        other = Meanwhile(lambda: approve(proposal, reviewer=rita))
    assert isinstance(other.came_to(), IllegalTransition)
    assert fresh(proposal).status == "withdrawn"
    assert not Review.objects.exists()


@pytest.mark.usefixtures("toybox")
def test_whoever_claims_two_reviews_at_once_keeps_the_later_one():
    rita = make_person()
    first = make_checked(params=painting(tier="medium"))
    second = make_checked(params=painting("red", toy="duck", tier="medium"))
    with transaction.atomic():
        services.claim_review(proposal_id=first.pk, person=rita)
        other = Meanwhile(lambda: services.claim_review(proposal_id=second.pk, person=rita))
    assert other.came_to().proposal == second
    assert ReviewClaim.objects.get().proposal == second


def record(number: int) -> LedgerEntry:
    with transaction.atomic():
        return entries.record("policy", kind="rule.changed", actor="user:1", body={"n": number})


def test_whoever_appends_to_a_stream_of_the_ledger_comes_after_the_one_under_way():
    record(1)
    with transaction.atomic():
        record(2)
        other = Meanwhile(lambda: record(3).number)
    assert other.came_to() == 3


def test_an_open_breaker_admits_one_call_when_two_come_at_once():
    now = clock.now()
    before = now - timedelta(seconds=60)
    Breaker.objects.create(target=TARGET, opened_at=before, retry_at=before, reason="It is down.")

    def admitted() -> breakers.Closed | None:
        with transaction.atomic():
            return breakers.admit(TARGET, now, is_new=True)

    with transaction.atomic():
        assert admitted() is None
        other = Meanwhile(admitted)
    assert "One call is being tried." in other.came_to().reason


def test_two_calls_that_fail_at_once_are_two():
    now = clock.now()

    def fail() -> None:
        with transaction.atomic():
            breakers.heard(TARGET, "unclear", now)

    fail()
    with transaction.atomic():
        fail()
        other = Meanwhile(fail)
    assert other.came_to() is None
    assert Breaker.objects.get().unclear_in_a_row == 3


def test_two_who_change_a_rule_at_once_make_two_versions_of_it():
    make_person()
    rule = Rule(name="Paint", action="toys.*", effect="allow")
    services.save_rule(rule=rule, person=None, is_new=True)
    rules = Rule.objects.filter(pk=rule.pk)

    def change() -> int:
        return services.save_rule(rule=rules.get(), person=None, is_new=False).version

    with transaction.atomic():
        assert change() == 2
        other = Meanwhile(change)
    assert other.came_to() == 3


def test_whoever_chooses_a_name_that_is_being_given_is_told_that_it_is_taken():
    make_person()

    def add() -> None:
        rule = Rule(name="Paint", action="toys.*", effect="allow")
        services.save_rule(rule=rule, person=None, is_new=True)

    with transaction.atomic():
        add()
        other = Meanwhile(add)
    assert "already a rule of this name" in str(other.came_to())
    assert Rule.objects.filter(name="Paint").count() == 1


def test_an_invitation_lets_one_in_when_two_open_it_at_once():
    paula = make_person("paula", groups=["policy-administrators"])
    _, secret = services.invite(email="nina@example.com", groups=[], person=paula)

    def join(name: str) -> str:
        return services.join(secret=secret, username=name, password=PASSWORD).username

    with transaction.atomic():
        assert join("nina") == "nina"
        other = Meanwhile(lambda: join("nobody"))
    assert isinstance(other.came_to(), NotFound)


def test_of_two_who_set_up_at_once_one_is_the_first_administrator():
    defaults.ensure()  # what is made for both of them would keep the second waiting as well
    defaults.ensure_budgets()

    def set_up(name: str) -> str:
        return people.make_first_administrator(username=name, password=PASSWORD).username

    with transaction.atomic():
        assert set_up("ada") == "ada"
        other = Meanwhile(lambda: set_up("eve"))
    assert isinstance(other.came_to(), NotEligible)


def test_a_budget_is_not_edited_over_one_that_is_being_lowered():
    olga = make_person("olga", groups=["operators"])
    budget = cap(limit=5)
    seen = capping.version_of(budget.pk)

    def hold() -> None:
        with transaction.atomic():
            capping.hold_version(budget_id=budget.pk, seen=seen)

    with transaction.atomic():
        services.lower_budget(budget_id=budget.pk, limit=1, reason="It loops.", person=olga)
        other = Meanwhile(hold)
    assert isinstance(other.came_to(), InvalidRequest)
