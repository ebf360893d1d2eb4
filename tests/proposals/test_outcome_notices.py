"""Who hears of an unknown outcome, of a second person being wanted, of a target left alone."""

from datetime import timedelta

import pytest
from django.db import transaction

from ledger import clock
from proposals import breakers
from proposals.models import Breaker, Letter, Notice
from proposals.notices import audience, spreading, words
from tests.factories import make_person
from tests.proposals.test_outcome_pages import MUCH, operator, say, unknown

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("the_depot", "mails")]


@pytest.fixture(autouse=True)
def people():
    for name in ("olga", "oskar"):
        operator(name)
    make_person()


def told(kind: str) -> dict[str, words.Mail]:
    """What each person's letter about this kind says now."""
    spreading.spread_all()
    letters = Letter.objects.filter(notices__kind=kind).select_related("person")
    return {each.person.username: words.mail(each) for each in letters}


def heard(kind: str) -> set[str]:
    return {name for name, mail in told(kind).items() if mail is not None}


class TestASecondPerson:
    def test_is_looked_for_among_those_who_can_still_act(self):
        proposal = unknown(amount=MUCH)
        say(proposal)
        assert heard("second") == {"oskar"}

    def test_is_none_who_owns_the_agent_by_whatever_account(self):
        proposal = unknown(amount=MUCH)
        otto = proposal.agent.owner
        otto.groups.set(operator().groups.all())
        make_person("otto2", email=otto.email.upper(), groups=["operators"])
        say(proposal)
        assert heard("second") == {"oskar"}

    def test_is_not_wanted_where_one_was_enough(self):
        say(unknown())
        assert heard("second") == set()

    def test_is_not_wanted_for_what_nobody_can_tell(self):
        say(unknown(amount=MUCH), finding="cannot_tell", evidence="Log is down.")
        assert not Notice.objects.filter(kind="second").exists()

    def test_is_not_wanted_any_more_when_it_is_settled(self):
        proposal = unknown(amount=MUCH)
        say(proposal)
        spreading.spread_all()
        say(proposal, operator("oskar"))
        assert heard("second") == set()

    def test_is_led_to_the_page_of_the_outcome_without_what_anybody_wrote(self):
        proposal = unknown(amount=MUCH)
        say(proposal, evidence="zq-evidence of Olga")
        mail = told("second")["oskar"]
        assert f"/proposals/{proposal.pk}/outcome/" in mail.body
        assert "a second person is wanted" in mail.subject
        assert "zq-evidence" not in mail.body
        assert "track-1" not in mail.body


class TestATargetLeftAlone:
    @pytest.fixture
    def breaker(self):
        now = clock.now()
        found = Breaker.objects.create(
            target="https://depot.example",
            opened_at=now,
            retry_at=now + timedelta(seconds=60),
            reason="5 calls in a row had no clear answer.",
        )
        with transaction.atomic():
            breakers.record(found, "breaker.opened", breakers.ACTOR, {"reason": found.reason})
        return found

    def test_is_told_to_operators_alone(self, breaker):
        assert heard("breaker") == {"olga", "oskar"}
        mail = told("breaker")["olga"]
        assert "A target is left alone" in mail.subject
        assert "5 calls in a row had no clear answer." in mail.body
        assert "/unknown/" in mail.body
        assert "https://depot.example" not in mail.body, "nothing that becomes a link"

    def test_is_not_told_when_it_is_over(self, breaker):
        Breaker.objects.update(opened_at=None)
        assert heard("breaker") == set()

    def test_is_as_urgent_as_what_stops_work(self, breaker):
        assert audience.tier_of(Notice.objects.get(kind="breaker")) == "high"

    def test_opens_by_itself_and_is_told_once(self, the_depot):
        now = clock.now()
        with transaction.atomic():
            for _ in range(7):
                breakers.heard("https://depot.example", "unclear", now)
        assert Notice.objects.filter(kind="breaker").count() == 1
