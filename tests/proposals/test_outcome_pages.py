"""The pages on unknown outcomes: what is unknown, for how long, what next, and what people say."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ledger import clock
from proposals import execution, freezing, resolving, services
from proposals.console.outside import Outlook
from proposals.exceptions import InvalidRequest, NotEligible, TargetUnavailable
from proposals.models import Attestation, Breaker, Exchange, Execution, Freeze, Proposal
from proposals.registry import Delivery
from tests import factories
from tests.depot import BY_DELIVERY, FAILURES, TARGET, SendParcel, depot
from tests.factories import fresh, make_checked, make_person
from tests.proposals.test_console import HTMX, Page, signed_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("the_depot", "toybox")]

KEYED, QUERYABLE, UNCERTAIN = Delivery.KEYED, Delivery.QUERYABLE, Delivery.UNCERTAIN
TRICK = "zq-stranger\u202e<b>"
MUCH = "250.00"


def operator(name: str = "olga"):
    return make_person(name, groups=["operators"])


def unknown(delivery: Delivery = UNCERTAIN, *, failure: str = "unclear", **params) -> Proposal:
    """A proposal of which something was sent, and no clear answer came."""
    proposal = make_checked(action=BY_DELIVERY[delivery], params={"parcel": "books", **params})
    factories.approve(proposal)
    depot.failing["answer"] = failure
    execution.run(attempt(proposal).pk)
    depot.failing.clear()
    Breaker.objects.all().delete()  # unless a test is about it, no target is left alone
    proposal = fresh(proposal)
    assert proposal.status == "unknown"
    return proposal


def for_people(proposal: Proposal) -> Proposal:
    Execution.objects.filter(proposal=proposal).update(ask_at=None)
    return proposal


def attempt(proposal: Proposal) -> Execution:
    return proposal.executions.latest("attempt")


def time_passes(seconds: float) -> None:
    by = timedelta(seconds=seconds)
    names = ("ask_at", "unclear_at", "last_unclear_at", "first_sent_at", "absent_at", "resolved_at")
    for each in Execution.objects.all():
        moved = {name: getattr(each, name) - by for name in names if getattr(each, name)}
        Execution.objects.filter(pk=each.pk).update(**moved)


def say(proposal: Proposal, person=None, **said) -> Proposal:
    said = {"finding": "applied", "reference": "track-1", **said}
    person = person or operator()
    return services.attest(
        proposal_id=proposal.pk, person=person, authenticated_at=clock.now(), **said
    )


def see(name: str, *args, person=None) -> Page:
    answer = signed_in(person or operator()).get(reverse(name, args=args))
    assert answer.status_code == 200, answer.content.decode()[:500]
    return Page(answer)


def opened(reason: str = "5 calls in a row had no clear answer.", **fields) -> Breaker:
    now = clock.now()
    fields = {"opened_at": now, "retry_at": now + timedelta(hours=5), **fields}
    return Breaker.objects.update_or_create(target=TARGET, defaults={"reason": reason, **fields})[0]


class TestTheList:
    def test_says_so_when_every_outcome_is_known(self):
        page = see("unknowns")
        assert "Every outcome is known" in page.text
        assert "Unknown now0" in page.text

    def test_puts_the_most_money_first_then_the_oldest(self):
        for amount in (None, "9.50", None, "100.00"):
            unknown(amount=amount)
        oldest, second, third, fourth = Execution.objects.order_by("created_at")
        page = see("unknowns")
        order = [page.html.index(str(each.proposal_id)) for each in (fourth, second, oldest, third)]
        assert order == sorted(order)
        assert "9.50 EUR" in page.text

    def test_shows_the_systems_sentence_and_no_agents_words(self):
        proposal = make_checked(
            action=BY_DELIVERY[UNCERTAIN], params={"parcel": "books"}, rationale=TRICK, run=TRICK
        )
        for name in ("saul", "sara"):
            senior = make_person(name, groups=["reviewers", "senior-reviewers"])
            factories.approve(proposal, reviewer=senior, fact="books")
        depot.failing["answer"] = "unclear"
        execution.run(attempt(proposal).pk)
        page = see("unknowns")
        assert "Send the parcel books" in page.text
        assert "zq-stranger" not in page.html

    @pytest.mark.parametrize(
        ("delivery", "words"),
        [
            (KEYED, "Sent again under the same key in"),
            (QUERYABLE, "The target is asked in"),
        ],
    )
    def test_says_what_the_machine_does_next_and_when(self, delivery, words):
        unknown(delivery)
        Execution.objects.update(resends=9)
        page = see("unknowns")
        assert words in page.text
        assert page.all("time")

    def test_says_what_waits_for_people(self):
        for_people(unknown(UNCERTAIN))
        assert "Waits for a person" in see("unknowns").text

    def test_says_when_somebody_is_asking_just_now(self):
        unknown(QUERYABLE)
        Execution.objects.update(lease_until=clock.now() + timedelta(seconds=60))
        assert "The target is being asked just now" in see("unknowns").text

    def test_says_when_a_resend_is_frozen_and_that_a_question_is_not(self):
        unknown(KEYED)
        unknown(QUERYABLE)
        services.freeze(reason="Look first.", action="parcels.keyed", person=operator())
        services.freeze(reason="Look first.", action="parcels.queryable", person=operator())
        page = see("unknowns")
        assert page.text.count("Held: frozen") == 1
        assert "The target is asked in" in page.text

    def test_says_when_the_target_is_left_alone(self):
        unknown(QUERYABLE)
        opened()
        assert "Held: its target is left alone; one call is tried in" in see("unknowns").text

    def test_says_who_found_what_last(self):
        proposal = unknown(amount=MUCH)
        say(proposal, finding="cannot_tell", evidence="Their log is down.")
        say(proposal)
        say(proposal, operator("oskar"), finding="cannot_tell", evidence="No access.")
        text = see("unknowns").text
        assert "Olga: it was applied; Oskar: cannot tell" in text
        assert "track-1" not in text

    def test_costs_the_same_however_many_there_are(self):
        browser = signed_in(operator())
        counts = []
        for number in (1, 5):
            for each in range(number):
                proposal = unknown([KEYED, QUERYABLE, UNCERTAIN][each % 3], amount=MUCH)
                say(proposal, finding="cannot_tell", evidence="Not yet.")
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("unknowns"))
            counts.append(len(captured))
        assert counts == [15, 15]

    def test_shows_its_count_on_every_page(self):
        unknown()
        for page in (see("queue", person=make_person()), see("help", person=make_person())):
            assert '<span data-count="unknown">1</span>' in page.html


class TestTheMeasures:
    @pytest.mark.parametrize(
        ("minutes", "words"),
        [(14, ""), (16, "Over the aim of 15 minutes"), (31, "Alarm: over 30 minutes")],
    )
    def test_raise_an_alarm_when_the_median_has_lasted_too_long(self, minutes, words):
        for _ in range(3):
            unknown()
        time_passes(minutes * 60)
        first = Execution.objects.earliest("created_at")
        Execution.objects.filter(pk=first.pk).update(unclear_at=clock.now() - timedelta(hours=9))
        text = see("unknowns").text
        assert f"{minutes} min" in text
        assert "9 h" in text
        for alarm in ("Over the aim of 15 minutes", "Alarm: over 30 minutes"):
            assert (alarm in text) == (alarm == words)

    def test_add_up_how_long_things_were_unknown_by_when_they_came_to_be_known(self):
        for days, minutes in ((1, 10), (2, 30), (20, 60), (40, 600)):
            proposal = unknown()
            say(proposal)
            known = clock.now() - timedelta(days=days)
            Execution.objects.filter(proposal=proposal).update(
                unclear_at=known - timedelta(minutes=minutes), resolved_at=known
            )
        text = see("unknowns").text
        assert "Found out in 7 days2 median 20 min, 40 min in all" in text
        assert "Found out in 30 days3 median 30 min, 1 h in all" in text

    def test_count_nothing_that_was_never_unknown(self):
        proposal = make_checked(action=BY_DELIVERY[KEYED], params={"parcel": "books"})
        factories.approve(proposal)
        factories.work()
        assert "Found out in 7 daysnone" in see("unknowns").text


class TestWhatIsLeftAlone:
    def test_is_shown_with_its_reason_and_when_one_call_is_tried(self):
        opened()
        text = see("unknowns").text
        assert TARGET in text
        assert "5 calls in a row had no clear answer." in text
        assert "One call is tried in 5 h, at" in text

    def test_is_said_to_be_tried_while_it_is(self):
        opened(trial_until=clock.now() + timedelta(seconds=60))
        page = see("unknowns")
        assert "One call is being tried just now" in page.text
        assert "Try one call now" not in page.text

    def test_can_be_tried_at_once_by_an_operator(self):
        breaker = opened()
        browser = signed_in(operator())
        answer = browser.post(reverse("try-target", args=[breaker.pk]), follow=True)
        assert "is let through" in Page(answer).text
        breaker.refresh_from_db()
        assert breaker.retry_at <= clock.now()

    def test_that_is_over_or_was_never_there_does_no_harm(self):
        breaker = opened(opened_at=None)
        browser = signed_in(operator())
        answer = browser.post(reverse("try-target", args=[breaker.pk]), follow=True)
        assert "not left alone any more" in Page(answer).text
        for odd in (breaker.pk + 1, 2**70):
            assert browser.post(reverse("try-target", args=[odd])).status_code == 404

    def test_is_explained_to_those_who_may_not_try_it(self):
        opened()
        page = see("unknowns", person=make_person())
        assert "Try one call now" not in page.text
        assert "An operator may have one call tried now" in page.text


class TestThePageOfOne:
    def test_shows_what_was_sent_when_under_which_key_and_what_came_back(self):
        proposal = unknown(QUERYABLE)
        page = see("outcome", proposal.pk)
        assert attempt(proposal).key in page.text
        assert TARGET in page.text
        assert "No clear answer" in page.text
        assert "The depot hung up." in page.text
        assert '"status":500' in page.text
        assert "no answer gave one" in page.text

    def test_names_the_targets_reference_if_an_answer_had_one(self, monkeypatch):
        proposal = unknown()
        Exchange.objects.update(evidence={"status": 202, "reference": "msg-77"})
        assert "msg-77" in Page.inside(see("outcome", proposal.pk), "dd")

    def test_shows_strangers_text_with_nothing_hidden_and_folded(self):
        proposal = unknown()
        Exchange.objects.update(detail=TRICK, evidence={"body": TRICK, "reference": TRICK})
        page = see("outcome", proposal.pk)
        assert "\u202e" not in page.html
        assert "<b>" not in page.html
        assert "[U+202E RLO]" in page.inside("details")
        assert "zq-stranger" not in page.inside("h1", "h2", "title")
        assert all("open" not in fold for fold in page.all("details"))

    def test_points_out_an_answer_that_came_too_late(self):
        proposal = make_checked(action=BY_DELIVERY[UNCERTAIN], params={"parcel": "books"})
        factories.approve(proposal)
        late = execution.take(attempt(proposal).pk)
        execution.prepare(late)
        execution.intend(late)
        Execution.objects.update(lease_until=clock.now() - timedelta(seconds=1))
        execution.run(attempt(proposal).pk)
        execution.write(late)
        page = see("outcome", proposal.pk)
        assert "An answer came late" in page.text
        assert "heard late" in page.text
        assert f"track-{attempt(proposal).key[:8]}" in page.text

    def test_offers_three_findings_of_which_none_is_chosen(self):
        page = see("outcome", unknown().pk)
        radios = page.all("input", type="radio", name="finding")
        assert [one["value"] for one in radios] == ["applied", "not_applied", "cannot_tell"]
        assert not any("checked" in one or "autofocus" in one for one in radios)
        assert len([one for one in page.all("button", type="submit") if one.get("class")]) == 2

    def test_says_what_each_finding_does(self):
        page = see("outcome", unknown().pk)
        said = page.inside("dd")
        assert "make it Committed; it can be undone." in said
        assert "make it Failed: nothing was written" in said
        assert "an operator may retry it under a new key." in said
        assert "it stays unknown, and others are asked." in said

    @pytest.mark.parametrize(
        ("attested", "words"),
        [
            (lambda self, params, **_: SendParcel.outcome(self, params, "k"), "can be"),
            (lambda self, params, **_: plain_outcome(), "cannot be undone from here"),
            (lambda self, params, **_: refuse(), "shows then"),
        ],
    )
    def test_says_whether_it_could_be_undone_then(self, monkeypatch, attested, words):
        proposal = unknown()
        monkeypatch.setattr(SendParcel, "attested", attested)
        assert words in see("outcome", proposal.pk).inside("dd")

    def test_says_until_when_nobody_can_know_that_it_was_not_applied(self):
        proposal = unknown()
        assert "may still arrive until" in see("outcome", proposal.pk).text
        time_passes(61)
        assert "may still arrive until" not in see("outcome", proposal.pk).text

    def test_stays_at_its_address_when_it_is_known(self):
        proposal = unknown()
        say(proposal, evidence="In their list of today.")
        page = see("outcome", proposal.pk)
        assert "it was written; it had been unknown for" in page.text
        assert "In their list of today." in page.text
        assert "What did you find?" not in page.text

    def test_is_not_there_for_what_never_was_unknown(self):
        proposal = make_checked(params={"toy": "bear", "colour": "blue"})
        answer = signed_in(operator()).get(reverse("outcome", args=[proposal.pk]))
        assert answer.status_code == 404

    def test_costs_the_same_however_much_was_tried(self):
        proposal = unknown(QUERYABLE)
        browser = signed_in(operator())
        counts = []
        for number in (0, 7):
            for each in range(number):
                Exchange.objects.create(
                    execution=attempt(proposal),
                    target=TARGET,
                    purpose="probe",
                    fence=10 + each,
                    key="k",
                    started_at=clock.now(),
                )
            with CaptureQueriesContext(connection) as captured:
                browser.get(reverse("outcome", args=[proposal.pk]))
            counts.append(len(captured))
        assert counts[0] == counts[1]


def plain_outcome():
    from proposals.registry import Outcome

    return Outcome(result={}, after={})


def refuse():
    raise InvalidRequest("No such reference.", errors=[])


class TestAskingNow:
    def test_is_offered_as_soon_as_an_answer_would_prove_something(self):
        proposal = unknown(QUERYABLE)
        Execution.objects.update(asked=2)
        assert "Ask the target now" not in see("outcome", proposal.pk).text
        time_passes(61)
        assert "Ask the target now" in see("outcome", proposal.pk).text

    def test_has_the_target_asked_before_its_time(self):
        from proposals import resolving

        proposal = unknown(QUERYABLE)
        Execution.objects.update(asked=2)
        time_passes(61)
        resolving.run(attempt(proposal).pk)
        assert depot.probes == []
        url = reverse("ask-again", args=[proposal.pk])
        answer = signed_in(operator()).post(url, follow=True)
        assert "asked within seconds" in Page(answer).text
        resolving.run(attempt(proposal).pk)
        assert len(depot.probes) == 1
        assert fresh(proposal).status == "committed"

    def test_proves_no_absence_before_what_was_sent_had_its_time_to_arrive(self):
        from proposals import resolving

        proposal = unknown(QUERYABLE)
        depot.effects.clear()
        signed_in(operator()).post(reverse("ask-again", args=[proposal.pk]))
        resolving.run(attempt(proposal).pk)
        assert depot.probes == []
        time_passes(61)
        resolving.run(attempt(proposal).pk)
        assert (len(depot.probes), attempt(proposal).is_wanted) == (1, False)

    def test_has_a_keyed_call_sent_again_without_its_pause(self):
        from proposals import resolving

        proposal = unknown(KEYED)
        Execution.objects.update(resends=9)
        signed_in(operator()).post(reverse("ask-again", args=[proposal.pk]))
        resolving.run(attempt(proposal).pk)
        assert (len(depot.requests), len(depot.effects)) == (2, 1)

    def test_is_possible_again_when_whoever_asked_died(self):
        proposal = unknown(QUERYABLE)
        Execution.objects.update(lease_until=clock.now() - timedelta(seconds=1))
        services.ask_again(proposal_id=proposal.pk, person=operator())
        assert attempt(proposal).is_wanted

    def test_is_refused_where_only_people_can_find_out(self):
        proposal = for_people(unknown())
        assert "Ask the target now" not in see("outcome", proposal.pk).text
        url = reverse("ask-again", args=[proposal.pk])
        answer = signed_in(operator()).post(url, follow=True)
        assert "The machine cannot ask this target" in Page(answer).text


class TestTheFinding:
    def send(self, proposal, person=None, browser=None, **said):
        browser = browser or signed_in(person or operator())
        sent = {"finding": "applied", "reference": "track-1", "evidence": "", **said}
        return browser.post(reverse("attest", args=[proposal.pk]), sent)

    def test_applied_commits_with_the_targets_reference(self):
        proposal = unknown()
        answer = self.send(proposal)
        assert answer["Location"] == reverse("outcome", args=[proposal.pk])
        assert fresh(proposal).status == "committed"
        assert Attestation.objects.get().reference == "track-1"

    def test_is_about_what_the_page_showed(self):
        proposal = unknown()
        time_passes(61)
        [shown] = see("outcome", proposal.pk).all("input", name="seen")
        said = {"finding": "not_applied", "evidence": "Not there.", "retry_is_safe": "on"}
        Execution.objects.update(fence=attempt(proposal).fence + 1)
        answer = self.send(proposal, seen=shown["value"], **said)
        assert answer.status_code == 409
        assert "Look at the target again" in Page(answer).text
        assert not Attestation.objects.exists()

    def test_not_applied_fails_with_evidence_and_the_tick(self):
        proposal = unknown()
        time_passes(61)
        self.send(proposal, finding="not_applied", evidence="Not there.", retry_is_safe="on")
        assert fresh(proposal).status == "failed"
        assert Attestation.objects.get().reference == "", "a reference belongs to applied"

    def test_cannot_tell_leaves_it_unknown(self):
        proposal = unknown()
        answer = self.send(proposal, finding="cannot_tell", evidence="Their log is down.")
        assert answer.status_code == 302
        assert fresh(proposal).status == "unknown"
        assert "Their log is down." in see("outcome", proposal.pk).text

    @pytest.mark.parametrize(
        ("said", "field", "words"),
        [
            ({"finding": ""}, "finding", "Choose one of the three"),
            ({"finding": "perhaps"}, "finding", "valid choice"),
            ({"reference": " "}, "reference", "own reference of the effect"),
            ({"reference": "r" * 201}, "reference", "at most 200 plain characters"),
            ({"reference": "a\u202eb"}, "reference", "at most 200 plain characters"),
            ({"finding": "cannot_tell"}, "evidence", "Say where you looked"),
            ({"finding": "not_applied", "retry_is_safe": "on"}, "evidence", "Say where"),
            ({"finding": "not_applied", "evidence": "Looked."}, "retry_is_safe", "Tick that"),
            ({"evidence": "e" * 2001}, "evidence", "At most 2000"),
        ],
    )
    def test_is_refused_by_the_field_and_keeps_what_was_typed(self, said, field, words):
        proposal = unknown()
        typed = {} if field == "evidence" else {"evidence": "Typed with care."}
        answer = self.send(proposal, **{**typed, **said})
        assert answer.status_code == 422
        page = Page(answer)
        assert words in page.text
        assert f'href="#id_{field}"' in page.html
        if typed:
            assert said.get("evidence", "Typed with care.") in page.text
        assert not Attestation.objects.exists()

    def test_that_comes_after_another_settled_it_says_so(self):
        proposal = unknown()
        say(proposal, operator("oskar"))
        answer = self.send(proposal)
        assert answer.status_code == 409
        assert "it was written; it had been unknown" in Page(answer).text
        assert "What you sent was not recorded." in Page(answer).text
        assert Attestation.objects.count() == 1

    def test_waits_while_the_target_is_being_asked_and_keeps_what_was_typed(self):
        proposal = unknown(QUERYABLE)
        Execution.objects.update(lease_until=clock.now() + timedelta(seconds=60))
        answer = self.send(proposal, evidence="Seen in their list.")
        assert answer.status_code == 409
        assert "being asked just now" in Page(answer).text
        assert "Seen in their list." in Page(answer).text

    def test_as_a_part_swaps_the_content_and_leads_on_when_it_was_recorded(self):
        proposal = unknown()
        browser = signed_in(operator())
        url = reverse("attest", args=[proposal.pk])
        refused = browser.post(url, {"finding": "applied"}, headers=HTMX)
        assert refused.status_code == 422
        assert "<html" not in refused.content.decode()
        assert refused["HX-Retarget"] == "#content"
        done = browser.post(url, {"finding": "applied", "reference": "r-1"}, headers=HTMX)
        assert done["HX-Redirect"] == reverse("outcome", args=[proposal.pk])

    def test_of_a_stranger_is_not_shown_raw(self):
        proposal = unknown(amount=MUCH)
        say(proposal, evidence=TRICK)
        page = see("outcome", proposal.pk)
        assert "\u202e" not in page.html
        assert "[U+202E RLO]" in page.inside("blockquote")


class TestTheSecondPerson:
    send = TestTheFinding.send

    def test_is_asked_for_above_an_amount_and_must_find_the_same(self):
        proposal = unknown(amount=MUCH)
        page = see("outcome", proposal.pk)
        assert "two independent people must find the same" in page.text
        assert "until a second person finds the same" in page.inside("dd")
        self.send(proposal)
        assert fresh(proposal).status == "unknown"
        oskar = operator("oskar")
        page = see("outcome", proposal.pk, person=oskar)
        assert "make it Committed if your reference is the one that Olga entered" in page.text
        self.send(proposal, oskar, reference="another")
        assert fresh(proposal).status == "unknown"
        self.send(proposal, oskar)
        assert fresh(proposal).status == "committed"

    def test_looks_the_reference_up_and_does_not_copy_it(self):
        proposal = unknown(amount=MUCH)
        self.send(proposal)
        assert "track-1" in see("outcome", proposal.pk).text, "one's own"
        oskar = operator("oskar")
        page = see("outcome", proposal.pk, person=oskar)
        assert "track-1" not in page.html
        assert "Look it up yourself" in page.text
        assert "track-1" in see("outcome", proposal.pk, person=make_person()).text, "no second"

    def test_is_another_person_and_not_another_account(self):
        proposal = unknown(amount=MUCH)
        olga = operator()
        self.send(proposal)
        self.send(proposal, make_person("olga2", email=olga.email.upper(), groups=["operators"]))
        assert fresh(proposal).status == "unknown"

    def test_is_nobody_who_proposed_it(self):
        done = unknown()
        say(done)
        olga = operator()
        olga.groups.add(*make_person("rita").groups.all())
        undo = services.undo(proposal_id=done.pk, person=olga, reason="A mix-up.")
        depot.failing["answer"] = "unclear"
        factories.work()
        depot.failing.clear()
        assert fresh(undo).status == "unknown"
        page = see("outcome", undo.pk, person=olga)
        assert "You proposed this" in page.text
        self.send(undo, olga)
        assert fresh(undo).status == "unknown"
        self.send(undo, operator("oskar"))
        assert fresh(undo).status == "committed"
        assert fresh(done).is_undone

    def test_is_told_which_findings_do_not_count_any_more(self):
        proposal = unknown(amount=MUCH)
        self.send(proposal)
        self.send(proposal, finding="cannot_tell", evidence="I mixed it up.")
        self.send(proposal, operator("oskar"), evidence="Found.")
        operator("oskar").groups.clear()
        text = see("outcome", proposal.pk).text
        assert "They said something else since." in text
        assert "It does not count any more." in text

    def test_is_told_that_it_was_sent_again_since_somebody_did_not_find_it(self):
        proposal = unknown(KEYED, amount=MUCH)
        said = {"finding": "not_applied", "evidence": "Not there.", "retry_is_safe": True}
        time_passes(61)
        say(proposal, **said)
        oskar = operator("oskar")
        same = "as Olga found the same"
        assert same in see("outcome", proposal.pk, person=oskar).text
        depot.failing["answer"] = "unclear"
        resolving.run(attempt(proposal).pk)
        depot.failing.clear()
        time_passes(61)
        text = see("outcome", proposal.pk, person=oskar).text
        assert "It was sent again since, so this no longer counts: whoever said it" in text
        assert same not in text
        assert "Olga: it was not applied, before it was sent again" in see("unknowns").text
        say(proposal, oskar, seen=attempt(proposal).fence, **said)
        assert fresh(proposal).status == "unknown"
        say(proposal, seen=attempt(proposal).fence, **said)
        assert "sent again since" not in see("outcome", proposal.pk).text

    def test_and_the_first_need_a_recent_sign_in_and_nothing_typed_is_lost(self):
        proposal = unknown(amount=MUCH)
        browser = signed_in(operator())
        session = browser.session
        session["authenticated_at"] = (clock.now() - timedelta(hours=1)).isoformat()
        session.save()
        url = reverse("outcome", args=[proposal.pk])
        assert "sign in again first" in Page(browser.get(url)).text
        answer = self.send(proposal, browser=browser, evidence="Typed with care.")
        assert reverse("account_reauthenticate") in answer["Location"]
        assert not Attestation.objects.exists()
        page = Page(browser.get(url))
        assert "Typed with care." in page.text
        assert page.all("input", name="reference")[0]["value"] == "track-1"
        assert not any("checked" in one for one in page.all("input", type="radio"))

    def test_cannot_tell_takes_no_recent_sign_in(self):
        proposal = unknown(amount=MUCH)
        services.attest(
            proposal_id=proposal.pk, person=operator(), finding="cannot_tell", evidence="Later."
        )
        assert Attestation.objects.exists()


CELLS = {  # what each may do here: see, say what became of it, have it asked, try a target
    "reviewers": (True, False),
    "senior-reviewers": (True, False),
    "operators": (True, True),
    "policy-administrators": (True, False),
    "auditors": (True, False),
    "superuser in no group": (False, False),
    "agents owner": (False, False),
    "service account": (False, False),
    "nobody": (False, False),
}


class TestWhoMayDoWhat:
    def browser(self, who, proposal):
        from django.test import Client

        if who == "nobody":
            return Client()
        people = {
            "superuser in no group": lambda: make_person("root", groups=(), is_superuser=True),
            "agents owner": lambda: proposal.agent.owner,
            "service account": lambda: proposal.agent.user,
        }
        person = people.get(who, lambda: make_person(f"one-of-{who}", groups=[who]))()
        return signed_in(person)

    @pytest.mark.parametrize("who", CELLS)
    def test_cell_by_cell(self, who):
        proposal, asked = unknown(), unknown(QUERYABLE)
        breaker = opened()
        may_see, may_settle = CELLS[who]
        browser = self.browser(who, proposal)
        assert (browser.get(reverse("unknowns")).status_code == 200) == may_see
        own = browser.get(reverse("outcome", args=[proposal.pk]))
        assert (own.status_code == 200) == (may_see or who == "agents owner")
        if own.status_code == 200:
            assert ("Record what I found" in own.content.decode()) == may_settle
        browser.post(reverse("try-target", args=[breaker.pk]))
        breaker.refresh_from_db()
        assert (breaker.retry_at <= clock.now()) == may_settle
        browser.post(reverse("ask-again", args=[asked.pk]))
        assert attempt(asked).is_wanted == may_settle
        browser.post(
            reverse("attest", args=[proposal.pk]), {"finding": "applied", "reference": "r"}
        )
        assert (fresh(proposal).status == "committed") == may_settle

    def test_an_owner_is_told_why_and_sees_nothing_of_others(self):
        proposal = unknown()
        owner = proposal.agent.owner
        owner.groups.set(operator().groups.all())
        page = see("outcome", proposal.pk, person=owner)
        assert "You own the agent billing-bot" in page.text
        assert "Record what I found" not in page.text
        asked = unknown(QUERYABLE)
        page = see("outcome", asked.pk, person=owner)
        assert not page.all("form", action=reverse("ask-again", args=[asked.pk]))
        with pytest.raises(NotEligible, match="You own the agent"):
            services.ask_again(proposal_id=asked.pk, person=owner)
        stranger = make_person("nora", groups=())
        factories.make_agent("other-bot", owner=stranger)
        answer = signed_in(stranger).get(reverse("outcome", args=[proposal.pk]))
        assert answer.status_code == 404


class TestTheReviewPage:
    def test_says_what_is_known_what_happens_next_and_leads_on(self):
        proposal = unknown(QUERYABLE)
        page = see("proposal", proposal.pk)
        assert "It is not known whether this was written: The depot hung up." in page.text
        assert "What happens next: the target is asked in" in page.text
        assert page.all("a", href=reverse("outcome", args=[proposal.pk]))

    def test_tells_the_timeline_in_words(self):
        proposal = unknown(KEYED)
        say(proposal, finding="cannot_tell", evidence="Later.")
        assert "said what became of it (cannot tell)" in see("proposal", proposal.pk).text

    def test_says_when_its_target_is_left_alone(self):
        opened()
        proposal = make_checked(action=BY_DELIVERY[KEYED], params={"parcel": "books"})
        factories.approve(proposal)
        execution.run(attempt(proposal).pk)
        text = see("proposal", proposal.pk).text
        assert f"Held. Wait: Writes to {TARGET} are paused: 5 calls in a row" in text
        assert "Nothing of this was sent." in text

    def test_says_when_it_could_not_be_sent_and_when_it_is_tried_again(self):
        proposal = make_checked(action=BY_DELIVERY[KEYED], params={"parcel": "books"})
        factories.approve(proposal)
        depot.failing["prepare"] = "unavailable"
        execution.run(attempt(proposal).pk)
        text = see("proposal", proposal.pk).text
        assert "nothing was sent or taken: The depot is closed." in text
        assert "It is tried again in" in text
        assert isinstance(FAILURES["unavailable"], TargetUnavailable)

    def test_of_a_target_with_receipts_keeps_its_button(self, toybox, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 1
        proposal = factories.make_proposal()
        toybox.failing["answer"] = "unclear"
        factories.work()
        assert fresh(proposal).status == "unknown"
        for name in ("proposal", "outcome"):
            assert "Check the target" in see(name, proposal.pk).text
        assert "Record what I found" not in see("outcome", proposal.pk).text
        toybox.failing.clear()
        signed_in(operator()).post(
            reverse("reconcile", args=[proposal.pk]), {"reason": "It took too long."}
        )
        assert fresh(proposal).status == "committed"
        assert "it was written" in see("outcome", proposal.pk).text


def test_the_page_of_an_undo_says_why_it_waits():
    proposal = unknown()
    page = see("undo", proposal.pk)
    assert "It cannot be undone yet." in page.text
    assert "It is not known whether this was written" in page.text
    assert page.all("a", href=reverse("outcome", args=[proposal.pk]))


@pytest.mark.parametrize("scope", Freeze.Scope.values)
def test_what_a_page_reads_of_freezes_is_what_stops_a_write(scope):
    proposal = unknown(KEYED)
    others = make_checked(
        agent=factories.make_agent("other-bot"), run="other", params=factories.painting()
    )
    named = {
        "everything": {},
        "agent": {"agent": proposal.agent},
        "action": {"action": proposal.action},
        "run": {"run": proposal.run},
    }[scope]
    services.freeze(reason="Look.", person=operator(), **named)
    undo = Proposal(agent=proposal.agent, proposer=operator(), action=proposal.action)
    for each in (proposal, others, undo):
        assert bool(Outlook().stop(each)) == bool(freezing.stop_for(each)), each
