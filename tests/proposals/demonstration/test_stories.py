"""What the demonstration's agent asks of outside systems: waits for people, arrives, comes back."""

import time

import pytest

from proposals import defaults, services
from proposals.demonstration import agent, menu, outside, payments, people, provider
from proposals.demonstration.charges import SETTLES_SECONDS, Charges
from proposals.demonstration.ports import Ports
from proposals.exceptions import NothingToUndo
from proposals.models import HttpAction, MailTemplate, NamedSecret
from proposals.targets import wiring
from tests import factories
from tests.proposals.http_actions.steps import approved, look_again, take_back

pytestmark = pytest.mark.django_db


class Clock:
    ahead = 0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def charges(shop, settings, tmp_path, clock):
    """The provider, listening, with a charge for each paid order of the shop."""
    settings.DATA_DIR = tmp_path
    made = Charges(tmp_path / "demonstration-payments.sqlite3", now=clock)
    payments.ensure()
    server = provider.Provider(0, made, provider.secret_key(tmp_path))
    with outside.serving(server):
        settings.DEMO_PORTS = Ports(server.server_port, 1, 2)
        settings.HTTP_HOSTS = frozenset({settings.DEMO_PORTS.provider_host})
        yield made
    wiring.forget()


@pytest.fixture
def assistant(db, charges, mails):
    """The demonstration's agent, with its rules and what it may ask for."""
    defaults.ensure()
    defaults.ensure_budgets()
    defaults.add_rules(people.RULES)
    menu.ensure()
    return factories.make_agent(people.AGENT, grants=people.GRANTS)


@pytest.fixture
def told(assistant):
    """Each story as the agent told it and a worker checked it, by its key."""
    return {
        story.key: factories.make_checked(
            agent=assistant,
            action=story.action,
            params=story.params,
            run=story.run,
            rationale=story.rationale,
            evidence=story.evidence,
        )
        for story in agent.outside_stories()
    }


def given_back(charges):
    with charges.reading() as db:
        return [tuple(row) for row in db.execute("SELECT charge, canceled IS NULL FROM refunds")]


class TestARefund:
    def test_waits_for_people_and_the_dear_one_for_two(self, told, charges):
        facts = {
            key: (proposal.status, proposal.tier, proposal.current_check.approvals)
            for key, proposal in told.items()
        }
        assert facts == {
            "demo-payment-usual": ("pending", "medium", 1),
            "demo-payment-dear": ("pending", "high", 2),
            "demo-payment-too-much": ("pending", "medium", 1),
            "demo-mail-1": ("pending", "medium", 1),
        }
        assert given_back(charges) == []

    def test_arrives_at_the_provider_and_can_be_taken_back(self, told, charges):
        done = approved(told["demo-payment-usual"])
        assert done.status == "committed", done.error
        charge = done.revision().params["charge"]
        assert given_back(charges) == [(charge, 1)]
        assert take_back(done).status == "committed"
        assert given_back(charges) == [(charge, 0)]

    def test_that_was_settled_says_why_it_cannot_be_taken_back(self, told, charges, clock):
        done = approved(told["demo-payment-usual"])
        clock.ahead = SETTLES_SECONDS
        undo = take_back(done)
        assert undo.status == "pending"
        assert "status is succeeded, and it must be pending" in undo.current_check.error
        assert [is_live for _, is_live in given_back(charges)] == [1]

    def test_whose_answer_is_lost_is_made_once(self, told, charges):
        charges.lose_next_answer()
        dear = approved(told["demo-payment-dear"])
        assert dear.status == "unknown"
        assert look_again(dear).status == "committed"
        assert len(given_back(charges)) == 1

    def test_of_more_than_was_paid_fails_with_the_providers_words(self, told, charges):
        failed = approved(told["demo-payment-too-much"])
        assert failed.status == "failed"
        assert "is greater than what is left" in str(failed.error)
        assert given_back(charges) == []


class TestAMail:
    def test_says_that_it_cannot_be_undone_and_arrives_when_it_is_approved(self, told, mails):
        mail = told["demo-mail-1"]
        assert mail.current_check.compensation is None
        assert mails.mails == []
        assert approved(mail).status == "committed"
        assert [str(one["To"]) for one in mails.mails] == [mail.revision().params["to"]]
        with pytest.raises(NothingToUndo):
            services.undo(
                proposal_id=mail.pk,
                person=factories.make_person("olga", groups=["operators"]),
                reason="A mistake.",
            )


class TestTheMenu:
    def test_made_again_changes_nothing(self, assistant):
        before = HttpAction.objects.get().definition, NamedSecret.objects.get().version
        token = wiring.Wiring.objects.get().token
        menu.ensure()
        assert (HttpAction.objects.get().definition, NamedSecret.objects.get().version) == before
        assert wiring.Wiring.objects.get().token == token

    def test_follows_the_provider_to_another_port(self, assistant, settings):
        kept = HttpAction.objects.get()
        services.save_http_action(definition={**kept.definition, "tier": "high"}, person=None)
        settings.DEMO_PORTS = Ports(20_001, 20_002, 20_003)
        menu.ensure()
        now = HttpAction.objects.get().definition
        assert (now["origin"], now["tier"]) == ("http://127.0.0.1:20001", "high")
        assert NamedSecret.objects.get().origin == now["origin"]

    def test_leaves_what_people_changed_as_it_is(self, assistant, settings):
        kept = HttpAction.objects.get().definition
        theirs = {**kept, "origin": "https://pay.example", "authentication": {"secret": "real"}}
        services.save_http_action(definition=theirs, person=None)
        polly = factories.make_person("polly", groups=["policy-administrators"])
        services.switch_mail_template(name=menu.TEMPLATE, is_enabled=False, person=polly)
        menu.ensure()
        assert HttpAction.objects.get().definition["origin"] == "https://pay.example"
        assert not MailTemplate.objects.get().is_enabled
