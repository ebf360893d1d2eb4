"""From one proposal to a rule: narrow, tried first, and never wider than rules may be."""

import pytest
from django.urls import reverse

from ledger.models import LedgerEntry
from proposals import drafting, expressions, replay, services
from proposals.models import Proposal, Rule
from proposals.policy import Effect
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, painting, work
from tests.proposals.test_console import Page, signed_in
from tests.proposals.test_rules_pages import MEDIUM, rule, seen_by

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


@pytest.fixture
def ada():
    return make_person("ada", groups=["policy-administrators"])


@pytest.fixture
def waits() -> Proposal:
    return make_checked(params=painting(tier="medium"))


def address(proposal: Proposal) -> str:
    return reverse("always-allow", args=[proposal.pk])


def opened(proposal: Proposal, person) -> Page:
    answer = signed_in(person).get(address(proposal))
    assert answer.status_code == 200
    return Page(answer)


def values(page: Page) -> dict:
    """What the form holds as it was shown."""
    found = {
        one["name"]: one.get("value", "")
        for one in page.all("input")
        if one.get("name") in {"name", "action", "message", "seen"}
    }
    condition = [
        text
        for above, text in page.texts
        if above and above[-1][0] == "textarea" and above[-1][1].get("name") == "condition"
    ]
    ticked = [one["value"] for one in page.all("input", name="except") if "checked" in one]
    return found | {"condition": "".join(condition).lstrip("\n"), "except": ticked}


def send(proposal: Proposal, person, **changes):
    page = opened(proposal, person)
    return signed_in(person).post(address(proposal), values(page) | changes)


class TestTheDraft:
    def test_is_reached_from_the_proposal_by_those_who_may(self, waits, ada):
        def leads(person) -> bool:
            page = Page(signed_in(person).get(reverse("proposal", args=[waits.pk])))
            return bool(page.all("a", href=address(waits)))

        assert leads(ada)
        assert not leads(make_person())
        assert signed_in().get(address(waits)).status_code == 403

    def test_holds_to_agent_parameters_and_impact(self, waits, ada):
        sent = values(opened(waits, ada))
        assert sent["action"] == "toys.set"
        for part in (
            'tier != "high"',
            "impact.reversible",
            'agent.name == "billing-bot"',
            'params.toy == "bear"',
            "impact.objects <= 1",
            "impact.amount == null",
        ):
            assert part in sent["condition"]
        expressions.compile_condition(sent["condition"])

    def test_names_what_it_leaves_open(self, waits, ada):
        assert "Not held to what it was here: colour" in opened(waits, ada).text

    def test_says_which_rules_stand_in_the_way_and_what_would_have_gone_through(self, waits, ada):
        rejected = make_checked(params=painting("green", tier="medium"))
        factories.review(rejected, "reject")
        other = make_checked(params=painting("green", toy="duck", tier="medium"))
        page = opened(waits, ada)
        assert MEDIUM in page.text
        assert "2 would have been let through without a person" in page.text
        assert "ended in a no" in page.text
        assert page.all("a", href=reverse("proposal", args=[rejected.pk]))
        assert not page.all("a", href=reverse("proposal", args=[other.pk]))
        assert Rule.objects.count() == 5

    def test_without_its_exceptions_lets_nothing_through(self, waits, ada):
        page = Page(send(waits, ada, **{"except": []}))
        assert "0 would have been let through" in page.text

    def test_of_the_shop_holds_to_table_columns_choices_and_amount(self, shop, ada):
        agent = make_agent("shop-assistant", grants=["records.*"])
        order = shop.rows("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 2")
        refund = make_checked(
            agent=agent,
            action="records.update",
            params={
                "table": "shop.orders",
                "key": str(order[0][0]),
                "set": {"status": "refunded", "note": 'Line\n"two" + more \U0001f9f8'},
            },
        )
        amount = refund.current_check.impact["amount"]
        condition = values(opened(refund, ada))["condition"]
        assert 'params.table == "shop.orders"' in condition
        assert 'params.set.status == "refunded"' in condition
        assert '"note" in params.set' in condition
        assert "Line" not in condition
        if amount:
            assert f'number("{amount["amount"]}")' in condition
        expressions.compile_condition(condition)
        case = replay.case_of(services.rulemaking.find(refund.pk))
        drafted = drafting.draft(case).rule.data()
        assert replay.speaks(drafted, case.facts() | {"tier": "medium", "action": refund.action})

    @pytest.mark.parametrize(
        ("params", "why"),
        [
            ({"tier": "high"}, "at high tier"),
            ({"tier": "medium", "for_good": True}, "cannot be undone"),
        ],
    )
    def test_is_refused_for_what_rules_may_never_let_through(self, ada, params, why):
        proposal = make_checked(params=painting(**params))
        answer = signed_in(ada).get(address(proposal))
        assert answer.status_code == 403
        assert why in answer.content.decode()
        assert not Page(answer).all("textarea")

    def test_is_refused_for_an_undo_and_for_what_was_not_previewed(self, ada, toybox):
        toybox.failing["preview"] = "unavailable"
        unseen = make_checked()
        toybox.failing.clear()
        assert "could not be previewed" in signed_in(ada).get(address(unseen)).content.decode()
        done = make_checked(params=painting("green"))
        undo = services.undo(proposal_id=done.pk, person=make_person(), reason="No.")
        work()
        assert "It is an undo" in signed_in(ada).get(address(undo)).content.decode()

    def test_says_when_a_rule_denies_it(self, ada, waits):
        never = Rule(name="Never bears", effect=Effect.DENY, condition='params.toy == "bear"')
        services.save_rule(rule=never, person=None, is_new=True)
        assert "A rule denies this" in opened(waits, ada).text


class TestSaving:
    def test_adds_the_rule_and_its_exception_and_holds_from_then_on(self, waits, ada):
        answer = send(waits, ada, save="1")
        assert answer["Location"] == reverse("rules")
        added = Rule.objects.latest("pk")
        assert (added.effect, added.version) == ("allow", 1)
        assert rule(MEDIUM).version == 2
        kinds = LedgerEntry.objects.filter(actor=f"user:{ada.pk}", stream="policy").order_by("pk")
        assert [one.kind for one in kinds] == ["rule.created", "rule.changed"]
        assert make_checked(params=painting("green", tier="medium")).status == "committed"
        duck = make_checked(params=painting("green", toy="duck", tier="medium"))
        assert duck.status == "pending"
        other = make_checked(agent=make_agent("other-bot"), params=painting("white", tier="medium"))
        assert other.status == "pending"
        assert make_checked(params=painting("white", tier="high")).status == "pending"
        final = make_checked(params=painting("black", tier="medium", for_good=True))
        assert final.status == "pending"

    def test_lets_nothing_through_that_waits_already(self, waits, ada):
        send(waits, ada, save="1")
        services.recheck(proposal_id=waits.pk, reason="The rules changed.")
        work()
        assert fresh(waits).status == "pending"

    @pytest.mark.parametrize(
        ("condition", "why"),
        [
            ("", "high tier"),
            ("impact.reversible == true", "high tier"),
            ('tier != "high"', "cannot be undone"),
            ('params.toy == "bear" && tier == "medium"', "cannot be undone"),
        ],
    )
    def test_refuses_a_rule_that_is_wider_than_rules_may_be(self, waits, ada, condition, why):
        tried = send(waits, ada, condition=condition)
        answer = send(waits, ada, condition=condition, save="1", seen=seen_by(tried))
        assert answer.status_code == 422
        assert why in Page(answer).text
        assert Rule.objects.count() == 5
        assert rule(MEDIUM).version == 1

    def test_saves_only_what_was_tried(self, waits, ada):
        narrower = 'tier == "medium" && impact.reversible && params.colour == "blue"'
        answer = send(waits, ada, condition=narrower, save="1")
        assert answer.status_code == 422
        assert "edited since it was tried" in answer.content.decode()
        assert "What this would have done" in answer.content.decode()
        assert Rule.objects.count() == 5
        again = send(waits, ada, condition=narrower, save="1", seen=seen_by(answer))
        assert again.status_code == 302
        assert Rule.objects.latest("pk").condition == narrower

    def test_the_verb_itself_refuses_an_outdated_exception(self, waits, ada):
        drafted = drafting.draft(replay.case_of(services.rulemaking.find(waits.pk))).rule
        with pytest.raises(services.rulemaking.InvalidRequest):
            services.allow_always(
                proposal_id=waits.pk, person=ada, rule=drafted, exceptions={rule(MEDIUM).pk: 7}
            )
        assert Rule.objects.count() == 5

    def test_refuses_an_exception_from_a_rule_that_changed_meanwhile(self, waits, ada):
        page = opened(waits, ada)
        services.save_rule(rule=rule(MEDIUM), person=None, is_new=False)
        answer = signed_in(ada).post(address(waits), values(page) | {"save": "1"})
        assert answer.status_code == 422
        assert "changed meanwhile" in answer.content.decode()
        assert Rule.objects.count() == 5

    def test_refuses_a_name_that_is_taken_and_a_condition_that_is_none(self, waits, ada):
        for changes, fault in (
            ({"name": MEDIUM}, "already exists"),
            ({"condition": "tier =="}, "Line 1"),
            ({"action": ""}, "required"),
        ):
            answer = send(waits, ada, save="1", **changes)
            assert answer.status_code == 422
            assert fault in answer.content.decode()
        assert Rule.objects.count() == 5

    def test_covers_a_pattern_by_its_exception_too(self, waits, ada):
        tried = send(waits, ada, action="toys.*")
        assert "1 would have been let through" in Page(tried).text
        answer = send(waits, ada, action="toys.*", save="1", seen=seen_by(tried))
        assert answer.status_code == 302
        assert make_checked(params=painting("green", tier="medium")).status == "committed"
        odd = send(waits, ada, action="toys.[s]et")
        assert odd.status_code == 422

    def test_takes_the_right_to_add_and_to_change_rules(self, waits):
        with pytest.raises(services.rulemaking.NotEligible):
            services.allow_always(
                proposal_id=waits.pk,
                person=make_person(),
                rule=Rule(name="Mine", action="*", effect=Effect.ALLOW),
                exceptions={},
            )
        assert signed_in().post(address(waits), {"save": "1"}).status_code == 403
