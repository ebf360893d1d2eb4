"""The page of rules: in words, with what each did last week, and what an edit would have done."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock
from ledger.models import LedgerEntry
from proposals import defaults, replay, rule_hits, services
from proposals.models import Check, Rule, RuleHits, RuleTally
from proposals.policy import Effect
from tests import factories
from tests.factories import fresh, make_checked, make_person, painting, work
from tests.proposals.test_console import Page, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("toybox")]

MEDIUM, LOW = "Medium needs one reviewer", "Low and reversible commits by itself"


@pytest.fixture(autouse=True)
def _default_rules():
    make_person()


@pytest.fixture
def ada():
    return make_person("ada", groups=["policy-administrators"], is_staff=True)


def see(person=None) -> Page:
    answer = signed_in(person).get(reverse("rules"))
    assert answer.status_code == 200
    return Page(answer)


def rule(name: str) -> Rule:
    return Rule.objects.get(name=name)


def switch_off(name: str) -> None:
    found = rule(name)
    found.is_active = False
    services.save_rule(rule=found, person=None, is_new=False)


def later(minutes: float = 2):
    """As if the clock stood later than it does: the last checks are settled then."""
    return mock.patch.object(clock, "now", return_value=clock.now() + timedelta(minutes=minutes))


class TestTheList:
    def test_says_every_rule_in_words(self, ada):
        page = see()
        assert "Lets it through: no approval required" in page.text
        assert "Asks one person of reviewers" in page.text
        assert "Asks 2 people of senior-reviewers" in page.text
        assert "Raises the tier to high" in page.text
        assert "impact.objects > 10" in page.text
        assert "the installation" in page.text
        found = rule(MEDIUM)
        found.message = "Somebody looks at this."
        services.save_rule(rule=found, person=ada, is_new=False)
        switch_off(LOW)
        page = see()
        assert "Ada" in page.text
        assert "Somebody looks at this." in page.text
        assert page.html.index(MEDIUM) < page.html.index(LOW)  # those in force come first
        assert ">off<" in page.html

    def test_leads_to_the_form_those_who_may_change_it(self, ada):
        change = reverse("admin:proposals_rule_change", args=[rule(MEDIUM).pk])
        assert see(ada).all("a", href=change)
        assert not see().all("a", href=change)
        plain = make_person("adam", groups=["policy-administrators"])
        assert not see(plain).all("a", href=change)

    def test_says_that_everything_waits_for_people_without_rules(self):
        assert "everything waits for people" not in see().text
        for name in Rule.objects.values_list("name", flat=True):
            switch_off(name)
        assert "everything waits for people" in see().text
        Rule.objects.all().delete()
        assert "There are no rules" in see().text
        assert make_checked().status == "pending"

    def test_shows_what_people_wrote_into_rules_without_its_tricks(self):
        found = rule(MEDIUM)
        found.name, found.message = "Medium\u202e<b>", "x\u202ey"
        services.save_rule(rule=found, person=None, is_new=False)
        assert "\u202e" not in see().html
        assert "<b>" not in see().html


class TestHits:
    def test_count_what_matched_and_what_decided(self):
        make_checked()
        medium = make_checked(params=painting(tier="medium"))
        make_checked(params=painting(tier="medium", for_good=True))
        assert medium.status == "pending"
        week = rule_hits.week()
        assert week.of(rule(LOW)) == rule_hits.Hits(1, 1)
        assert week.of(rule(MEDIUM)) == rule_hits.Hits(2, 2)
        assert week.of(rule("High needs two people")) == rule_hits.Hits()
        assert "matched 2, decided 2" in see().text

    def test_a_rule_that_a_stricter_one_outvoted_did_not_decide(self):
        strict = Rule(name="All", effect=Effect.REVIEW, approvals=1, group="reviewers")
        services.save_rule(rule=strict, person=None, is_new=True)
        make_checked()
        assert rule_hits.week().of(rule(LOW)) == rule_hits.Hits(1, 0)
        assert rule_hits.week().of(strict) == rule_hits.Hits(1, 1)

    def test_are_the_same_before_and_after_the_clock_summed_them(self):
        for colour in ("blue", "green", "black"):
            make_checked(params=painting(colour))
        before = rule_hits.week()
        assert rule_hits.sum_up() == 0  # too fresh: a check with a lower number may yet commit
        with later():
            assert rule_hits.sum_up() == 3
            assert rule_hits.sum_up() == 0
        assert RuleTally.objects.get().last_check == Check.objects.latest("pk").pk
        assert RuleHits.objects.get(rule=rule(LOW)).matched == 3
        assert rule_hits.week().by_rule == before.by_rule
        make_checked(params=painting("white"))
        assert rule_hits.week().of(rule(LOW)) == rule_hits.Hits(4, 4)

    def test_of_more_than_a_week_ago_are_left_out(self):
        make_checked()
        with later():
            rule_hits.sum_up()
        old = rule_hits.week().since - timedelta(days=1)
        RuleHits.objects.update(day=old)
        assert rule_hits.week().of(rule(LOW)) == rule_hits.Hits()

    def test_are_summed_in_batches_and_never_twice(self, monkeypatch):
        monkeypatch.setattr(rule_hits, "BATCH", 2)
        for colour in ("blue", "green", "black"):
            make_checked(params=painting(colour))
        with later():
            assert [rule_hits.sum_up() for _ in range(3)] == [2, 1, 0]
        assert RuleHits.objects.get(rule=rule(LOW)).matched == 3

    def test_say_when_they_are_behind(self, monkeypatch):
        monkeypatch.setattr(rule_hits, "MOST_UNSUMMED", 1)
        make_checked()
        assert "not counted yet" not in see().text
        make_checked(params=painting("green"))
        assert "not counted yet" in see().text

    def test_cost_a_page_the_same_however_many_checks_and_rules_there_are(self):
        browser, counts = signed_in(), []
        for number in (1, 6):
            for each in range(number):
                make_checked(params=painting(f"grey {number}.{each}"))
                services.save_rule(
                    rule=Rule(name=f"R {number}.{each}", effect=Effect.ALLOW),
                    person=None,
                    is_new=True,
                )
            browser.get(reverse("rules"))
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("rules"))
            counts.append(len(captured))
        assert counts[0] == counts[1]


def edited(found: Rule, **changes) -> dict[str, str]:
    """What the form sends for this rule with these changes."""
    values = {
        "name": found.name,
        "action": found.action,
        "condition": found.condition,
        "effect": str(found.effect),
        "approvals": str(found.approvals),
        "group": found.group,
        "tier": found.tier,
        "message": found.message,
        "version": str(found.version),
        **({"is_active": "on"} if found.is_active else {}),
        **changes,
    }
    return {name: value for name, value in values.items() if value is not None}


def attempt(found: Rule, person=None, **changes):
    return signed_in(person).post(reverse("try-rule", args=[found.pk]), edited(found, **changes))


def seen_by(answer) -> str:
    return Page(answer).all("input", name="seen")[0]["value"]


class TestTryingAnEdit:
    def test_shows_the_rule_and_changes_nothing(self):
        answer = signed_in().get(reverse("try-rule", args=[rule(MEDIUM).pk]))
        assert "tier == &quot;medium&quot;" in answer.content.decode()
        assert signed_in().get(reverse("try-rule", args=[4711])).status_code == 404
        assert signed_in().get(f"/rules/{2**70}/try/").status_code == 404

    def test_lists_what_would_have_been_let_through_and_what_became_of_it(self):
        waits = make_checked(params=painting(tier="medium"))
        rejected = make_checked(params=painting("green", tier="medium"))
        factories.review(rejected, "reject")
        low = make_checked(params=painting("black", toy="car"))
        page = Page(attempt(rule(MEDIUM), effect="allow"))
        assert "2 would have been let through without a person" in page.text
        assert "1 waits for people now" in page.text
        assert "1 was rejected by a person" in page.text
        assert "ended in a no" in page.text
        for one in (waits, rejected):
            assert page.all("a", href=reverse("proposal", args=[one.pk]))
        assert not page.all("a", href=reverse("proposal", args=[low.pk]))
        assert rule(MEDIUM).effect == "review"

    def test_lists_what_would_have_been_asked_about(self):
        low = make_checked()
        page = Page(attempt(rule(LOW), is_active=None))
        assert "0 would have been let through" in page.text
        assert "1 decided otherwise" in page.text
        assert "1 of reviewers, low tier" in page.text
        assert page.all("a", href=reverse("proposal", args=[low.pk]))

    def test_judges_by_the_moment_of_the_check_and_its_stored_facts(self, toybox):
        make_checked(params=painting(tier="medium"))
        toybox.failing["preview"] = "unavailable"
        page = Page(attempt(rule(MEDIUM), effect="allow"))
        assert "1 would have been let through" in page.text
        assert (
            "1 would have been"
            not in Page(
                attempt(rule(MEDIUM), condition=f'now > timestamp("{future()}")', effect="allow")
            ).text
        )

    def test_counts_an_agents_history(self):
        make_checked()
        make_checked(params=painting("green", tier="medium"))
        for number, flips in ((1, "1 decided otherwise"), (5, "Nothing would have been")):
            condition = f'tier == "medium" && history.committed == {number}'
            page = Page(attempt(rule(MEDIUM), condition=condition, effect="deny"))
            assert flips in page.text

    def test_leaves_undos_and_what_is_older_out(self):
        first = make_checked(params=painting(tier="medium"))
        factories.approve(first)
        work()
        services.undo(proposal_id=first.pk, person=make_person(), reason="No.")
        work()
        page = Page(attempt(rule(MEDIUM), effect="deny"))
        assert "Of 1 proposal " in page.text
        with later(minutes=60 * 24 * 31):
            found = replay.replay([rule(MEDIUM).data()], [])
        assert found.looked_at == 0

    def test_says_where_it_was_cut(self, monkeypatch):
        monkeypatch.setattr(replay, "MOST", 1)
        make_checked(params=painting(tier="medium"))
        make_checked(params=painting("green", tier="medium"))
        assert "older ones were not replayed" in Page(attempt(rule(MEDIUM), effect="allow")).text

    def test_costs_the_same_however_much_is_replayed(self):
        browser, counts = signed_in(), []
        address = reverse("try-rule", args=[rule(MEDIUM).pk])
        sent = edited(rule(MEDIUM), effect="allow")
        for number in (1, 6):
            for each in range(number):
                make_checked(params=painting(f"grey {number}.{each}", tier="medium"))
            browser.post(address, sent)
            with CaptureQueriesContext(connection) as captured:
                browser.post(address, sent)
            counts.append(len(captured))
        assert counts[0] == counts[1]

    def test_refuses_what_could_not_be_evaluated_at_its_field(self):
        answer = attempt(rule(MEDIUM), condition="tier ==")
        assert answer.status_code == 422
        page = Page(answer)
        assert "Line 1" in page.text
        assert page.all("textarea", name="condition")[0]["aria-invalid"] == "true"

    def test_warns_of_a_rule_that_would_allow_too_much(self):
        make_checked(params=painting(tier="medium"))
        page = Page(attempt(rule(MEDIUM), effect="allow", condition=""))
        assert "Wider than it can work" in page.text

    def test_is_saved_by_those_who_may_once_they_saw_it(self, ada):
        found = rule(MEDIUM)
        assert 'name="save"' not in attempt(found).content.decode()
        unseen = attempt(found, ada, approvals="2", save="1")
        assert unseen.status_code == 422
        assert rule(MEDIUM).approvals == 1
        answer = attempt(found, ada, approvals="2", save="1", seen=seen_by(unseen))
        assert answer["Location"] == reverse("rules")
        saved = rule(MEDIUM)
        assert (saved.approvals, saved.version) == (2, 2)
        entry = LedgerEntry.objects.filter(kind="rule.changed").latest("pk")
        assert entry.actor == f"user:{ada.pk}"
        assert saved.history.latest().history_user == ada

    def test_is_not_saved_by_others_or_over_somebody_elses_edit(self, ada):
        found = rule(MEDIUM)
        tried = seen_by(attempt(found, approvals="2"))
        refused = attempt(found, approvals="2", save="1", seen=tried)
        assert "a policy administrator has it" in refused.content.decode()
        services.save_rule(rule=rule(MEDIUM), person=None, is_new=False)
        late = attempt(found, ada, approvals="2", save="1", seen=tried)
        assert late.status_code == 422
        assert "Somebody changed this rule meanwhile" in late.content.decode()
        assert rule(MEDIUM).approvals == 1

    def test_saved_lets_nothing_through_that_waits_already(self, ada):
        waits = make_checked(params=painting(tier="medium"))
        found = rule(MEDIUM)
        seen = seen_by(attempt(found, ada, effect="allow"))
        attempt(found, ada, effect="allow", save="1", seen=seen)
        services.recheck(proposal_id=waits.pk, reason="The rules changed.")
        work()
        assert fresh(waits).status == "pending"
        assert make_checked(params=painting("green", tier="medium")).status == "committed"


def future() -> str:
    return (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_first_rules_are_what_the_page_says_of_them():
    assert [one.effect for one in defaults.RULES] == [
        "allow",
        "review",
        "review",
        "review",
        "raise",
    ]
