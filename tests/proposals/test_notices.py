"""Who is told of what, when, and how often: and that nobody is told of what they cannot act on."""

from datetime import timedelta
from unittest import mock

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from budgets.models import Budget
from ledger import clock
from ledger.models import LedgerEntry
from proposals import services
from proposals.exceptions import InvalidRequest, OverBudget
from proposals.lifecycle import Status
from proposals.models import Letter, Notice, Proposal, Rule
from proposals.notices import audience, post, sending, spreading
from proposals.notices.finder import Finder, overlooked, prune, remind
from tests import factories
from tests.factories import fresh, make_agent, make_checked, make_person, painting, work
from tests.post import deliver
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
AT_ONCE = {"high": "at_once", "medium": "at_once", "low": "at_once"}


def waiting(tier: str = "medium", **more) -> Proposal:
    return make_checked(params=painting(tier=tier, **more.pop("params", {})), **more)


def eager(username: str = "rita", **more):
    """A person who is told of everything at once."""
    person = make_person(username, **more)
    services.save_notice_preference(person=person, **AT_ONCE)
    return person


def senior(username: str = "saul"):
    return eager(username, groups=["reviewers", "senior-reviewers"])


def kinds() -> list[str]:
    return list(Notice.objects.order_by("id").values_list("kind", flat=True))


class TestANotice:
    def test_is_written_in_the_transaction_of_the_fact_and_vanishes_with_it(self, mails):
        eager()
        proposal = factories.make_proposal(params=painting(tier="medium"))
        with transaction.atomic():
            work()
            assert kinds() == ["waits"]
            transaction.set_rollback(True)
        assert kinds() == []
        assert fresh(proposal).status == Status.SUBMITTED

    def test_is_written_for_what_people_must_hear_and_for_nothing_else(self):
        make_person()
        make_checked()  # low tier: committed without anybody
        assert kinds() == []
        waiting()
        assert kinds() == ["waits"]

    def test_never_makes_a_fact_impossible_whatever_the_ledger_says_of_it(self):
        from ledger import entries

        with transaction.atomic():
            entries.record("x", kind="proposal.pending", actor="a", proposal="no id", agent="none")
        assert kinds() == ["waits"]
        spreading.spread_all()
        assert not Letter.objects.exists()

    def test_rings_a_worker_once_it_has_committed(self, django_capture_on_commit_callbacks):
        make_person()
        with (
            mock.patch("celery.current_app.send_task") as send,
            django_capture_on_commit_callbacks(execute=True),
        ):
            waiting()
        assert "proposals.notify" in [call.args[0] for call in send.call_args_list]


class TestWhatWaits:
    def test_is_told_to_those_who_can_fill_a_seat_and_to_nobody_else(self, mails):
        eager()
        senior()
        eager("olga", groups=["operators"])
        owner = eager("otto", groups=["reviewers"])
        waiting(agent=make_agent(owner=owner))
        deliver()
        assert mails.everybody() == {"rita", "saul"}

    def test_is_told_to_seniors_alone_at_high_tier(self, mails):
        eager()
        senior()
        waiting("high")
        deliver()
        assert mails.everybody() == {"saul"}

    @pytest.mark.parametrize("why", ["decided", "right", "active", "address", "off", "group"])
    def test_is_not_told_to_whoever_can_no_longer_act_when_the_letter_is_sent(self, mails, why):
        saul, sara = senior(), senior("sara")
        proposal = waiting("high")
        spreading.spread_all()
        assert Letter.objects.filter(person=saul).count() == 1
        if why == "decided":
            factories.approve(proposal, reviewer=saul, fact="bear")
        elif why == "right":
            saul.groups.clear()
        elif why == "active":
            type(saul).objects.filter(pk=saul.pk).update(is_active=False)
        elif why == "address":
            type(saul).objects.filter(pk=saul.pk).update(email="")
        elif why == "group":
            saul.groups.remove(Group.objects.get(name="senior-reviewers"))
        else:
            webhook("chat")
            services.save_notice_preference(person=saul, **AT_ONCE | {"high": "off"})
        deliver()
        assert [one["To"] for one in mails.mails] == [sara.email]
        assert Letter.objects.get(person=saul).state == Letter.State.DROPPED

    @pytest.mark.parametrize("end", ["reject", "request_changes", "approve"])
    def test_is_told_to_nobody_once_it_is_decided(self, mails, end):
        eager()
        eager("ravi")
        proposal = waiting()
        spreading.spread_all()
        factories.review(proposal, end)
        deliver()
        assert not mails.mails
        written = Letter.objects.filter(is_digest=False)  # of the owner there may be another
        assert set(written.values_list("state", flat=True)) == {Letter.State.DROPPED}

    def test_is_told_again_when_somebody_took_their_decision_on_it_back(self, mails):
        eager()
        ravi = eager("ravi")
        proposal = waiting()
        deliver()
        factories.approve(proposal, reviewer=ravi)
        services.withdraw_decision(
            proposal_id=proposal.pk, reviewer=ravi, digest=fresh(proposal).current_check.digest
        )
        mails.mails.clear()
        work()
        assert fresh(proposal).status == Status.PENDING
        deliver()
        assert "rita" in mails.everybody()

    def test_is_not_told_again_when_the_same_check_comes_back(self, mails):
        eager()
        proposal = waiting()
        deliver()
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        deliver()
        assert fresh(proposal).status == Status.PENDING
        assert len(mails.mails) == 1

    def test_is_told_again_when_another_check_asks_for_another_decision(self, mails):
        eager()
        proposal = waiting()
        deliver()
        box.colours["bear"] = "pink"
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        work()
        deliver()
        assert fresh(proposal).status == Status.PENDING
        assert len(mails.mails) == 2

    def test_is_told_when_it_comes_back_after_a_letter_that_nobody_needed(self, mails):
        eager()
        proposal = waiting()
        spreading.spread_all()
        services.recheck(proposal_id=proposal.pk, reason="The rules changed.")
        deliver()  # in this very moment nothing waits
        assert not mails.mails
        work()
        deliver()
        assert len(mails.mails) == 1

    def test_is_told_to_nobody_of_a_service_account(self, mails):
        make_person()
        account = make_agent("other-bot").user
        type(account).objects.filter(pk=account.pk).update(is_active=True, email="bot@example.com")
        account.groups.set(Group.objects.all())
        waiting("high")
        deliver()
        assert not mails.mails


class TestADigest:
    def test_gathers_an_hour_of_a_tier_in_one_mail(self, mails):
        rita = make_person()
        first, second = waiting(), waiting(params={"toy": "duck"})
        deliver()
        assert not mails.mails
        letter = Letter.objects.get(person=rita)
        assert letter.is_digest
        assert letter.next_at > clock.now()
        Letter.objects.update(next_at=clock.now())
        deliver()
        [one] = mails.mails
        body = one.get_content()
        assert one["Subject"].endswith("2 things to look at, medium tier")
        assert str(first.pk) in body
        assert str(second.pk) in body

    def test_leaves_out_what_was_decided_meanwhile(self, mails):
        make_person()
        make_person("ravi")
        first, second = waiting(), waiting(params={"toy": "duck"})
        spreading.spread_all()
        factories.approve(first)
        Letter.objects.update(next_at=clock.now())
        deliver()
        assert mails.everybody() == {"rita", "ravi"}
        for one in mails.mails:
            assert str(first.pk) not in one.get_content()
            assert str(second.pk) in one.get_content()

    def test_takes_nothing_more_once_it_is_being_sent(self, mails):
        make_person()
        waiting()
        spreading.spread_all()
        Letter.objects.update(attempts=1)
        waiting(params={"toy": "duck"})
        spreading.spread_all()
        assert sorted(letter.notices.count() for letter in Letter.objects.all()) == [1, 1]

    def test_takes_up_a_flood(self, mails):
        """However much waits, and however eager a person is: a handful of mails in an hour."""
        senior()
        for number in range(30):
            waiting("high", run=f"run-{number}", params={"colour": f"c{number}"})
        deliver()
        assert len(mails.mails) == spreading.AT_ONCE_IN_AN_HOUR
        Letter.objects.filter(state="waiting").update(next_at=clock.now())
        deliver()
        assert len(mails.mails) == spreading.AT_ONCE_IN_AN_HOUR + 1
        last = mails.mails[-1]
        assert "27 things to look at, high tier" in last["Subject"]
        assert last.get_content().count("/proposals/") == 20
        assert "And 7 more: https://countersign.example/" in last.get_content()


class TestOtherFacts:
    def test_what_failed_or_is_unknown_is_told_to_those_who_may_try_or_settle_it(self, mails):
        eager()
        eager("olga", groups=["operators"])
        eager("otto", groups=["reviewers"])
        box.failing["apply"] = "refused"
        make_checked()
        deliver()
        assert mails.everybody() == {"olga"}
        assert "Failed, nothing written: toys.set by agent billing-bot" in mails.mails[0]["Subject"]

    def test_a_suspension_is_told_to_operators_and_to_the_owner_but_not_to_who_did_it(self, mails):
        olga, oscar = (eager(name, groups=["operators"]) for name in ("olga", "oscar"))
        owner = eager("otto", groups=())
        agent = make_agent(owner=owner)
        services.set_suspended(
            agent_id=agent.pk, is_suspended=True, reason="It loops.", person=olga
        )
        deliver()
        assert mails.everybody() == {oscar.username, "otto"}
        assert "It loops." in mails.mails[0].get_content()

    def test_a_freeze_that_was_lifted_meanwhile_is_told_to_nobody(self, mails):
        olga = eager("olga", groups=["operators"])
        frozen = services.freeze(reason="Prices look wrong.")
        spreading.spread_all()
        services.lift(freeze_id=frozen.pk, reason="They are right.", person=olga)
        deliver()
        assert not mails.mails
        services.freeze(reason="They are wrong after all.")
        deliver()
        assert "Writes frozen: everything" in mails.to("olga")[0]["Subject"]

    def test_a_budget_that_refused_is_told_to_those_who_may_raise_it_and_to_the_owner(self, mails):
        eager("ada", groups=["policy-administrators"])
        eager()
        owner = eager("otto", groups=())
        budget = Budget(name="Writes of a bot", unit="writes", limit=1, window_seconds=3600)
        services.save_budget(budget=budget, person=None, is_new=True)
        agent = make_agent(owner=owner)
        make_checked(agent=agent)
        for _ in range(3):
            with pytest.raises(OverBudget):
                make_checked(agent=agent)
        deliver()
        assert sorted(one["To"] for one in mails.mails) == ["ada@example.com", "otto@example.com"]
        assert "A budget refused: Writes of a bot to agent billing-bot" in mails.mails[0]["Subject"]

    @pytest.mark.parametrize("end", ["rejected", "expired", "undone"])
    def test_how_a_proposal_ended_is_told_to_the_owner_of_its_agent_alone(self, mails, end):
        eager()
        agent = make_agent(owner=eager("otto", groups=()))
        if end == "rejected":
            factories.review(waiting(agent=agent), "reject")
        elif end == "expired":
            proposal = waiting(agent=agent)
            Proposal.objects.filter(pk=proposal.pk).update(expires_at=clock.now())
            services.expire(proposal_id=proposal.pk)
        else:
            proposal = make_checked(agent=agent)
            services.undo(proposal_id=proposal.pk, person=make_person(), reason="A mix-up.")
            work()
        deliver()
        assert mails.everybody() == {"otto"}
        assert end.capitalize() in mails.mails[0]["Subject"]

    def test_how_an_undo_ended_is_told_to_the_person_who_asked_for_it(self, mails):
        olga = eager("olga", groups=["operators"])
        proposal = make_checked()
        box.colours["bear"] = "green"  # somebody changed it since, so another person must look
        undo = services.undo(
            proposal_id=proposal.pk, person=olga, reason="A mix-up.", over_conflicts=True
        )
        work()
        factories.review(undo, "reject")
        deliver()
        assert mails.everybody() == {"olga"}
        assert "Rejected, nothing written: toys.restore by Olga" in mails.mails[0]["Subject"]


class TestTheReminder:
    def soon(self, proposal) -> None:
        now = clock.now()
        Proposal.objects.filter(pk=proposal.pk).update(
            expires_at=now + timedelta(hours=3), updated_at=now - timedelta(hours=2)
        )

    def test_tells_once_of_what_expires_soon(self, mails):
        eager()
        proposal = waiting()
        deliver()
        assert remind() == 0
        self.soon(proposal)
        assert remind() == 1
        assert remind() == 0
        deliver()
        assert len(mails.mails) == 2
        assert "Due soon, waits for a decision" in mails.mails[1]["Subject"]

    def test_does_not_come_within_an_hour_of_the_first_telling(self):
        make_person()
        proposal = waiting()
        self.soon(proposal)
        Proposal.objects.filter(pk=proposal.pk).update(updated_at=clock.now())
        assert remind() == 0

    def test_does_not_tell_those_who_have_decided(self, mails):
        saul = senior()
        senior("sara")
        proposal = waiting("high")
        factories.approve(proposal, reviewer=saul, fact="bear")
        self.soon(proposal)
        Notice.objects.all().delete()
        remind()
        deliver()
        assert mails.everybody() == {"sara"}


class TestTheOutbox:
    def letter(self) -> Letter:
        eager()
        waiting()
        spreading.spread_all()
        return Letter.objects.get()

    def test_writes_the_letters_of_a_notice_once(self, mails):
        self.letter()
        notice = Notice.objects.get()
        assert spreading.spread(notice.pk) is False
        Notice.objects.update(spread_at=None)
        spreading.spread_all()
        assert Letter.objects.count() == 1

    def test_gives_a_letter_to_one_of_two_workers_until_its_lease_ends(self, mails):
        letter = self.letter()
        assert sending.claim(letter.pk) is not None
        assert sending.claim(letter.pk) is None
        Letter.objects.update(next_at=clock.now())
        assert sending.claim(letter.pk) is not None

    def test_ignores_what_a_worker_says_that_lost_its_lease(self, mails):
        letter = self.letter()
        late = sending.claim(letter.pk)
        Letter.objects.update(next_at=clock.now())
        sending.claim(letter.pk)
        assert sending.sent(late) is False
        sending.failed(late, OSError("late"))
        letter.refresh_from_db()
        assert (letter.state, letter.last_error) == (Letter.State.WAITING, "")

    def test_waits_longer_after_each_failure_up_to_an_hour(self):
        waits = [sending.wait(attempts).total_seconds() for attempts in range(1, 12)]
        assert waits[:4] == [30, 60, 120, 240]
        assert waits == sorted(waits)
        assert waits[-1] == 3600

    def test_gives_up_at_last_and_says_so_in_the_ledger(self, mails):
        letter = self.letter()
        Letter.objects.update(attempts=sending.MOST_ATTEMPTS - 1)
        claimed = sending.claim(letter.pk)
        sending.failed(claimed, OSError("rita@example.com is unknown"))
        letter.refresh_from_db()
        assert letter.state == Letter.State.GIVEN_UP
        entry = LedgerEntry.objects.get(kind="notice.given_up")
        assert entry.body["recipient"] == f"user:{letter.person_id}"
        assert "rita@" not in str(entry.body)

    def test_is_emptied_of_what_is_long_over_and_of_nothing_else(self, mails):
        self.letter()
        deliver()
        waiting(params={"toy": "duck"})
        spreading.spread_all()
        long_ago = clock.now() - timedelta(days=40)
        Letter.objects.update(created_at=long_ago)
        Notice.objects.update(at=long_ago)
        prune()
        assert Letter.objects.get().state == Letter.State.WAITING
        assert Notice.objects.count() == 1


class TestTheClock:
    def test_rings_first_and_does_it_itself_when_nobody_answers(self, mails, monkeypatch):
        eager()
        waiting()
        Notice.objects.update(at=clock.now() - timedelta(seconds=5))
        woken, rung = [], []
        monkeypatch.setattr(post, "wake", lambda: woken.append(1))
        monkeypatch.setattr("proposals.bell.send", lambda *args: rung.append(args) or True)
        finder = Finder()
        finder.answer(100.0)
        finder.answer(101.0)
        assert (len(rung), len(woken)) == (1, 0)
        finder.answer(106.0)
        assert (len(rung), len(woken)) == (1, 1)
        deliver()
        finder.answer(107.0)
        assert overlooked() is None
        assert (len(rung), len(woken)) == (1, 1)

    def test_does_it_at_once_when_the_bell_is_broken(self, mails, monkeypatch):
        eager()
        waiting()
        Notice.objects.update(at=clock.now() - timedelta(seconds=5))
        woken = []
        monkeypatch.setattr(post, "wake", lambda: woken.append(1))
        monkeypatch.setattr("proposals.bell.send", lambda *args: False)
        Finder().answer(100.0)
        assert woken


def webhook(name: str = "chat", **more):
    from tests.proposals.test_webhooks import make_webhook

    return make_webhook(name=name, **more)


class TestAnInstallationWithoutMail:
    def test_writes_no_letters_and_asks_for_no_work(self, settings):
        settings.MAIL_IS_ON = False
        eager()
        waiting()
        deliver()
        assert not Letter.objects.exists()
        assert overlooked() is None

    def test_leaves_alone_what_was_written_while_it_had_mail(self, mails, settings):
        eager()
        waiting()
        spreading.spread_all()
        Letter.objects.update(next_at=clock.now() - timedelta(minutes=1))
        settings.MAIL_IS_ON = False
        deliver()
        assert overlooked() is None
        assert Letter.objects.filter(state="waiting", attempts=0).exists()


class TestPreferences:
    def test_off_is_off(self, mails):
        rita = make_person()
        services.save_notice_preference(person=rita, **AT_ONCE | {"medium": "off"})
        waiting()
        deliver()
        assert not Letter.objects.exists()

    def test_high_cannot_be_off_for_those_who_decide_at_high(self):
        with pytest.raises(InvalidRequest, match="only while a webhook is told"):
            services.save_notice_preference(person=senior(), **AT_ONCE | {"high": "off"})
        services.save_notice_preference(person=make_person(), **AT_ONCE | {"high": "off"})

    def test_high_is_told_again_when_the_webhook_that_allowed_it_to_be_off_is_gone(self, mails):
        saul = senior()
        hook = webhook()
        services.save_notice_preference(person=saul, **AT_ONCE | {"high": "off"})
        waiting("high")
        spreading.spread_all()
        assert not Letter.objects.filter(person=saul).exists()
        services.set_webhook_active(
            person=make_person("ada", groups=["policy-administrators"]),
            webhook_id=hook.pk,
            is_active=False,
        )
        waiting("high", params={"toy": "duck"})
        deliver()
        assert mails.everybody() == {"saul"}

    def test_a_change_is_entered_in_the_ledger_and_the_same_again_is_none(self):
        rita = eager()
        services.save_notice_preference(person=rita, **AT_ONCE)
        entry = LedgerEntry.objects.get(kind="notice_preference.changed")
        assert entry.body["becomes"] == AT_ONCE
        assert rita.notice_preference.history.count() == 1

    def test_an_unknown_choice_is_refused_by_its_field(self):
        with pytest.raises(InvalidRequest) as refusal:
            services.save_notice_preference(person=make_person(), **AT_ONCE | {"low": "sometimes"})
        assert refusal.value.errors[0]["pointer"] == "/low"

    def test_people_without_an_address_get_no_letters(self, mails):
        eager(email="")
        waiting()
        spreading.spread_all()
        assert not Letter.objects.exists()


def test_a_changed_rule_that_denies_leaves_nothing_to_tell(mails):
    eager()
    waiting()
    spreading.spread_all()
    services.save_rule(
        rule=Rule(name="Never bears", effect="deny", condition='params.toy == "bear"'),
        person=None,
        is_new=True,
    )
    services.recheck(proposal_id=Proposal.objects.get().pk, reason="The rules changed.")
    work()
    deliver()
    assert not mails.mails


def test_the_candidates_of_a_notice_are_one_statement(django_assert_num_queries):
    for number in range(5):
        make_person(f"rita-{number}")
    waiting()
    notice = Notice.objects.select_related("proposal__current_check", "agent").get()
    with django_assert_num_queries(1):
        assert len(audience.candidates(notice)) == 5


def test_writing_letters_takes_as_many_statements_for_many_people_as_for_few(mails):
    def statements() -> int:
        proposal = waiting(params={"colour": f"c{Proposal.objects.count()}"})
        notice = Notice.objects.get(proposal=proposal)
        with CaptureQueriesContext(connection) as captured:
            spreading.spread(notice.pk)
        return len(captured)

    for name in ("rita", "ravi"):
        make_person(name)
    eager("rosa")
    few = statements()
    for number in range(4):
        make_person(f"lazy-{number}")
        eager(f"eager-{number}")
    assert statements() == few
    assert Letter.objects.filter(is_digest=True).count() == 6
