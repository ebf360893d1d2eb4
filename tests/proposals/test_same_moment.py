"""A button pressed twice, or one name chosen by two: the second is answered, never an error."""

from functools import partial

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from budgets.models import Budget
from ledger.models import LedgerEntry
from proposals import services
from proposals.exceptions import InvalidRequest
from proposals.models import Agent, Database, Grant, NoticePreference, Preferences, Rule, Webhook
from tests.factories import make_agent, make_person
from tests.proposals.test_idempotency import all_at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toybox")]
ROUNDS = 3
TAKEN = "already"


def twice(verb) -> list[str]:
    """What two threads are told: nothing where it was done, else why not."""

    def told() -> str:
        try:
            verb()
        except InvalidRequest as refusal:
            return " ".join([str(refusal), *(fault["detail"] for fault in refusal.errors or [])])
        except ValidationError as refusal:
            return " ".join(refusal.messages)
        return ""

    return all_at_once([told, told])


def entered(kind: str) -> int:
    return LedgerEntry.objects.filter(kind=kind).count()


class TestPressedTwice:
    def test_a_choice_of_notices_is_kept_and_entered_once(self):
        chosen = {"high": "at_once", "medium": "hourly", "low": "off"}
        for number in range(1, ROUNDS + 1):
            rita = make_person(f"rita-{number}")
            verb = partial(services.save_notice_preference, person=rita, **chosen)
            assert twice(verb) == ["", ""]
            assert NoticePreference.objects.filter(person=rita).count() == 1
            assert entered("notice_preference.changed") == number

    def test_a_grant_is_given_and_entered_once(self):
        agent = make_agent()
        before, given = Grant.objects.count(), entered("grant.created")
        for number in range(1, ROUNDS + 1):
            verb = partial(services.grant, agent=agent, pattern=f"toys.x{number}")
            assert twice(verb) == ["", ""]
            assert Grant.objects.count() == before + number
            assert entered("grant.created") == given + number

    def test_how_pages_look_is_kept(self):
        look = {"theme": "dark", "density": "compact", "time_zone": "UTC", "has_shortcuts": True}
        for number in range(ROUNDS):
            rita = make_person(f"rita-{number}")
            assert twice(partial(services.save_preferences, person=rita, **look)) == ["", ""]
            assert Preferences.objects.filter(person=rita).count() == 1


class TestOneNameForTwo:
    """One of them has it, and the other is told that it is taken."""

    def refused(self, verb, count) -> None:
        done, refusal = sorted(twice(verb))
        assert done == ""
        assert TAKEN in refusal
        assert count() == 1

    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_an_agent(self, number):
        owner = make_person()
        self.refused(
            lambda: services.create_agent(name="cashier", owner=owner),
            Agent.objects.filter(name="cashier").count,
        )

    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_a_rule(self, number):
        def save() -> None:
            rule = Rule(name="Twin", action="toys.*", effect="allow")
            services.save_rule(rule=rule, person=None, is_new=True)

        self.refused(save, Rule.objects.filter(name="Twin").count)

    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_a_budget(self, number):
        def save() -> None:
            budget = Budget(name="Twin", unit="writes", limit=1, window_seconds=60)
            services.save_budget(budget=budget, person=None, is_new=True)

        self.refused(save, Budget.objects.filter(name="Twin").count)

    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_a_webhook(self, number):
        ada = make_person("ada", groups=["policy-administrators"])
        told = {"kinds": ["frozen"], "tiers": ["high"]}
        self.refused(
            lambda: services.save_webhook(
                person=ada, name="chat", url="https://hooks.example/x", **told
            ),
            Webhook.objects.count,
        )

    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_a_database(self, number, tmp_path):
        ada = make_person("ada", groups=["policy-administrators"])
        file = tmp_path / "crm.db"
        file.touch()

        def connect() -> None:
            crm = Database(name="crm", engine="sqlite", database=str(file))
            services.connect_database(database=crm, password="", person=ada)

        self.refused(connect, Database.objects.count)

    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_a_person(self, number):
        ada = make_person("ada", groups=["policy-administrators"])
        group = Group.objects.filter(name="reviewers")
        secrets = [
            services.invite(email=f"{one}@example.com", groups=group, person=ada)[1]
            for one in ("nina", "nora")
        ]
        new = "correct horse battery staple 42"
        self.refused(
            lambda: services.join(secret=secrets.pop(), username="nina", password=new),
            type(ada).objects.filter(username="nina").count,
        )
