"""Comments on a field: where they may be placed, and how they keep everybody from approving."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, connections, transaction

from bench.chaos.story import Story
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import comments, idempotency, seats, services
from proposals.exceptions import (
    AlreadyDecided,
    IllegalTransition,
    InvalidRequest,
    NotEligible,
    NotFound,
)
from proposals.models import Execution, Notice, Proposal, Resolution, Review, Rule
from proposals.narrative import sentence
from proposals.services import submission
from tests import factories
from tests.contract import assert_documented
from tests.factories import (
    approve,
    client_for,
    fresh,
    make_agent,
    make_checked,
    make_person,
    new_key,
    painting,
    work,
)
from tests.toys import box

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]
PLACE = {"about": "bear", "field": "colour"}
WHY = {"reason": "We spoke about it."}


@pytest.fixture
def pending():
    return make_checked(params=painting(tier="medium"))


def bob():
    return make_person("bob")


def senior(name: str):
    return make_person(name, groups=["reviewers", "senior-reviewers"])


def comment(proposal: Proposal, *, reviewer=None, **more) -> Review:
    """Rita, or whoever is named, comments on the colour of the bear, and it blocks."""
    asked = {**PLACE, "blocks": True, "reason": "Is blue the right one?", **more}
    factories.review(proposal, "comment", reviewer=reviewer, **asked)
    return Review.objects.latest("pk")


def resolve(written: Review, person=None, **more) -> Proposal:
    return services.resolve_comment(review_id=written.pk, person=person or make_person(), **more)


def amend(proposal: Proposal, **params) -> None:
    changes = {"params": painting(**params)}
    services.amend(
        agent=proposal.agent,
        proposal_id=proposal.pk,
        key=new_key(),
        fingerprint=idempotency.fingerprint("amend", changes),
        changes=changes,
    )


def recheck(proposal: Proposal) -> Proposal:
    services.recheck(proposal_id=proposal.pk, reason="Once more.")
    work()
    return fresh(proposal)


def faults(refused) -> list[str]:
    return [fault["pointer"] for fault in refused.value.errors]


def entries(proposal: Proposal, kind: str) -> list[LedgerEntry]:
    return list(LedgerEntry.objects.filter(stream=proposal.stream, kind=kind).order_by("number"))


def told(proposal: Proposal) -> Story:
    """What the ledger alone says, by a reader that is not the product's."""
    story = Story()
    for entry in LedgerEntry.objects.filter(stream=proposal.stream).order_by("number"):
        story.read(bytes(entry.canonical), bytes(entry.hash))
    return story


class TestAPlace:
    def test_is_kept_with_the_comment_and_entered(self, pending):
        written = comment(pending)
        assert (written.object, written.field, written.blocks) == ("bear", "colour", True)
        [entry] = entries(pending, "proposal.reviewed")
        assert entry.body["object"] == "bear"
        assert entry.body["field"] == "colour"
        assert entry.body["blocks"] is True

    def test_is_not_entered_for_what_has_none(self, pending):
        factories.review(pending, "comment")
        [entry] = entries(pending, "proposal.reviewed")
        assert not {"object", "field", "blocks"} & set(entry.body)

    @pytest.mark.parametrize("decision", ["approve", "request_changes", "reject"])
    @pytest.mark.parametrize(
        ("given", "named"), [(PLACE, "/about"), ({"field": "colour"}, "/field")]
    )
    def test_belongs_to_a_comment_alone(self, pending, decision, given, named):
        with pytest.raises(InvalidRequest) as refused:
            factories.review(pending, decision, **given)
        assert faults(refused) == [named]
        assert not Review.objects.exists()

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            ({"about": "duck", "field": "colour"}, "/about"),
            ({"about": "bear", "field": "size"}, "/field"),
            ({"about": "bear"}, "/field"),
            ({"field": "colour"}, "/about"),
            ({"about": "b" * 256, "field": "colour"}, "/about"),
            ({"about": "bear\x00", "field": "colour"}, "/about"),
        ],
    )
    def test_has_to_be_one_that_is_shown(self, pending, given, named):
        with pytest.raises(InvalidRequest) as refused:
            factories.review(pending, "comment", **given)
        assert faults(refused) == [named]
        assert not Review.objects.exists()

    def test_is_refused_by_the_database_for_a_verdict(self, pending):
        approve(pending)
        [given] = Review.objects.values()
        del given["id"]
        with pytest.raises(IntegrityError), transaction.atomic():
            Review.objects.create(**given | {"decision": "reject", "blocks": True})


class TestABlockingComment:
    @pytest.mark.parametrize("decision", ["approve", "request_changes", "reject"])
    def test_is_no_verdict(self, pending, decision):
        with pytest.raises(InvalidRequest) as refused:
            factories.review(pending, decision, blocks=True)
        assert faults(refused) == ["/blocks"]
        assert not Review.objects.exists()

    def test_keeps_others_and_its_author_from_approving(self, pending):
        comment(pending)
        for person in (bob(), make_person()):
            with pytest.raises(NotEligible, match="Rita’s comment on colour of bear"):
                approve(pending, reviewer=person)
        assert fresh(pending).status == "pending"
        assert not Execution.objects.exists()

    def test_may_be_about_the_whole(self, pending):
        comment(pending, about="", field="")
        with pytest.raises(NotEligible, match="Rita’s comment blocks approval"):
            approve(pending, reviewer=bob())

    def test_that_does_not_block_keeps_nobody(self, pending):
        comment(pending, blocks=False)
        assert approve(pending, reviewer=bob()).status == "approved"

    @pytest.mark.parametrize(
        ("decision", "status"), [("request_changes", "changes_requested"), ("reject", "rejected")]
    )
    def test_keeps_nobody_from_saying_no(self, pending, decision, status):
        comment(pending)
        assert factories.review(pending, decision, reviewer=bob()).status == status

    def test_cannot_be_set_by_whoever_may_not_decide(self, pending):
        olga = make_person("olga", groups=["operators"])
        with pytest.raises(NotEligible):
            comment(pending, reviewer=olga)

    def test_cannot_be_set_on_what_is_approved(self, pending):
        approve(pending)
        with pytest.raises(IllegalTransition):
            comment(pending, reviewer=bob())

    def test_stays_over_a_check_with_the_same_result(self, pending):
        comment(pending)
        assert recheck(pending).status == "pending"
        with pytest.raises(NotEligible, match="Rita’s comment"):
            approve(pending, reviewer=bob())

    def test_stays_over_a_new_revision(self, pending):
        comment(pending)
        factories.review(pending, "request_changes", reviewer=bob())
        amend(pending, colour="green", tier="medium")
        work()
        assert fresh(pending).status == "pending"
        with pytest.raises(NotEligible, match="Rita’s comment on colour of bear"):
            approve(pending, reviewer=bob())

    def test_keeps_waiting_for_people_what_the_rules_would_let_through(self, pending):
        written = comment(pending)
        amend(pending, colour="green", tier="low")
        work()
        now = fresh(pending)
        assert (now.current_check.effect, now.status) == ("allow", "pending")
        assert_documented(client_for(now.agent).get(f"/proposals/{now.pk}"))
        [*_, entry] = entries(pending, "proposal.pending")
        assert entry.body["comments"] == [written.pk]
        assert "still blocks approval" in sentence(entry, entry.body)
        with pytest.raises(NotEligible, match="Rita’s comment"):
            approve(pending, reviewer=bob())

    def test_keeps_nothing_from_being_denied(self, pending):
        comment(pending)
        rule = Rule(name="No more paint", action="toys.set", effect="deny")
        services.save_rule(rule=rule, person=None, is_new=True)
        assert recheck(pending).status == "denied"

    def test_keeps_approvals_that_count_again_from_being_enough(self):
        now = recheck(enough_but_for_a_comment().proposal)
        assert len(seats.approvals(now, now.current_check)) == now.current_check.approvals
        assert now.status == "pending"

    def test_tells_those_who_can_still_act_and_not_the_owner(self, pending):
        comment(pending, reviewer=bob())
        amend(pending, colour="green", tier="low")
        work()
        [*_, notice] = Notice.objects.filter(proposal=pending).order_by("at")
        assert notice.kind == Notice.Kind.WAITS
        rita = make_person()
        assert fresh(pending) in seats.waiting_on(rita)
        assert fresh(pending) not in seats.waiting_on(fresh(pending).agent.owner)

    def test_is_nothing_that_an_agent_hears_of(self, pending):
        client = client_for(pending.agent)
        before = client.get(f"/proposals/{pending.pk}").json()
        written = comment(pending)
        resolve(written)
        after = client.get(f"/proposals/{pending.pk}").json()
        assert before["decisions"] == after["decisions"]
        assert_documented(client.get(f"/proposals/{pending.pk}"))
        assert "colour of bear" not in str(after)

    def test_sent_to_the_agent_is_its_text_alone(self, pending):
        client = client_for(pending.agent)
        comment(pending, is_for_agent=True)
        *_, shown = client.get(f"/proposals/{pending.pk}").json()["decisions"]
        assert shown["reason"] == "Is blue the right one?"
        assert set(shown) == {"verdict", "by", "reason", "at"}


def enough_but_for_a_comment() -> Review:
    """At high tier, both seats are filled, the second one only since the comment was written.

    Saul's approval did not count while he was not in the group, and then he came back.
    """
    proposal, saul = make_checked(params=painting(tier="high")), senior("saul")
    approve(proposal, reviewer=saul, fact="bear")
    groups = list(saul.groups.all())
    saul.groups.clear()
    approve(proposal, reviewer=senior("sara"), fact="bear")
    assert fresh(proposal).status == "pending"
    written = comment(proposal, reviewer=senior("sue"))
    saul.groups.set(groups)
    return written


class TestResolving:
    def test_lets_people_approve_again(self, pending):
        resolve(comment(pending))
        assert fresh(pending).status == "pending", "nobody has approved it"
        assert approve(pending, reviewer=bob()).status == "approved"

    def test_takes_no_reason_of_whoever_wrote_it(self, pending):
        written = comment(pending)
        resolve(written)
        [ended] = Resolution.objects.all()
        assert (ended.review, ended.person_name, ended.reason) == (written, "Rita", "")

    def test_takes_one_of_somebody_else(self, pending):
        written = comment(pending)
        for reason in ("", "  "):
            with pytest.raises(InvalidRequest) as refused:
                resolve(written, bob(), reason=reason)
            assert faults(refused) == ["/reason"]
        resolve(written, bob(), **WHY)
        assert Resolution.objects.get().reason == "We spoke about it."

    def test_takes_a_short_one(self, pending):
        with pytest.raises(InvalidRequest) as refused:
            resolve(comment(pending), reason="x" * 501)
        assert faults(refused) == ["/reason"]
        assert not Resolution.objects.exists()

    def test_is_entered_with_who_and_why(self, pending):
        written = comment(pending)
        resolve(written, bob(), **WHY)
        [entry] = entries(pending, "proposal.comment_resolved")
        assert entry.body == {
            "review": written.pk,
            "object": "bear",
            "field": "colour",
            "author": f"user:{make_person().pk}",
            "reason": "We spoke about it.",
        }
        assert entry.actor_name == "Bob"
        assert sentence(entry, entry.body) == (
            "Bob resolved the comment on colour of bear that blocked approval. "
            "Reason: “We spoke about it.”"
        )
        assert not told(pending).faults
        assert verify().result is Result.INTACT

    def test_is_told_as_their_own(self, pending):
        resolve(comment(pending))
        [entry] = entries(pending, "proposal.comment_resolved")
        assert "Rita resolved their own comment on colour of bear" in sentence(entry, entry.body)

    def test_happens_once(self, pending):
        written = comment(pending)
        resolve(written)
        with pytest.raises(AlreadyDecided, match="Rita has already resolved"):
            resolve(written, bob(), **WHY)
        assert Resolution.objects.count() == 1
        assert len(entries(pending, "proposal.comment_resolved")) == 1

    def test_of_one_leaves_the_others(self, pending):
        resolve(comment(pending))
        comment(pending, reviewer=bob())
        resolve(comment(pending))
        with pytest.raises(NotEligible, match="Bob’s comment on colour of bear"):
            approve(pending)

    def test_is_possible_until_the_proposal_ends(self, pending):
        written = comment(pending)
        factories.review(pending, "request_changes", reviewer=bob())
        resolve(written)
        assert fresh(pending).status == "changes_requested"

    def test_is_over_when_the_proposal_ended(self, pending):
        written = comment(pending)
        factories.review(pending, "reject", reviewer=bob())
        with pytest.raises(IllegalTransition):
            resolve(written)
        assert not Resolution.objects.exists()

    def test_is_of_what_blocks_alone(self, pending):
        with pytest.raises(IllegalTransition, match="blocks nothing"):
            resolve(comment(pending, blocks=False))

    def test_is_of_comments_alone(self, pending):
        factories.review(pending, "request_changes")
        for review_id in (Review.objects.get().pk, 0, 2**63):
            with pytest.raises(NotFound):
                services.resolve_comment(review_id=review_id, person=bob(), **WHY)


class TestWhoMayResolve:
    def test_whoever_wrote_it_also_without_the_right_to_decide(self, pending):
        written, rita = comment(pending), make_person()
        rita.groups.set([Group.objects.get(name="auditors")])
        resolve(written)
        assert Resolution.objects.exists()

    def test_nobody_who_may_no_longer_open_the_console(self, pending):
        written, rita = comment(pending), make_person()
        rita.groups.clear()
        with pytest.raises(NotEligible, match="no longer open the console"):
            resolve(written, rita)

    def test_nobody_without_the_right_to_decide(self, pending):
        written = comment(pending)
        for name, group in (("olga", "operators"), ("alma", "auditors")):
            with pytest.raises(NotEligible):
                resolve(written, make_person(name, groups=[group]), **WHY)
        assert not Resolution.objects.exists()

    def test_at_high_tier_nobody_with_the_right_for_lower_ones(self):
        proposal = make_checked(params=painting(tier="high"))
        written = comment(proposal, reviewer=senior("saul"))
        with pytest.raises(NotEligible, match="takes a right that you do not have"):
            resolve(written, make_person(), **WHY)
        resolve(written, senior("sara"), **WHY)

    def test_never_the_agents_owner_by_whatever_account(self):
        owner = make_person("otis", email="otis@example.com")
        twin = make_person("twin", email="OTIS@example.com")
        agent = make_agent("toy-bot", owner=owner)
        written = comment(make_checked(agent=agent, params=painting(tier="medium")))
        for person in (owner, twin):
            with pytest.raises(NotEligible, match="You own the agent"):
                resolve(written, person, **WHY)

    def test_not_its_author_once_they_own_the_agent(self, pending):
        written = comment(pending)
        agent = pending.agent
        agent.owner = make_person()
        agent.save()
        with pytest.raises(NotEligible, match="You own the agent"):
            resolve(written)

    def test_never_who_proposed_it(self):
        done, olaf = make_checked(), make_person("olaf", groups=["reviewers"])
        box.colours["bear"] = "green"
        undo = services.undo(proposal_id=done.pk, person=olaf, over_conflicts=True, **WHY)
        work()
        written = comment(fresh(undo))
        with pytest.raises(NotEligible, match="You proposed this"):
            resolve(written, olaf, **WHY)

    def test_not_who_wrote_what_is_not_checked_yet(self, pending):
        written = comment(pending)
        with transaction.atomic():
            locked = Proposal.objects.select_related("agent", "run").lock(pending.pk)
            params = painting("green", tier="medium")
            submission.revise(locked, f"user:{bob().pk}", "Bob", params, "Greener.", [], {})
        with pytest.raises(NotEligible, match="You proposed these values"):
            resolve(written, bob(), **WHY)
        resolve(written)

    def test_not_an_agents_account(self, pending):
        with pytest.raises(NotEligible):
            resolve(comment(pending), pending.agent.user, **WHY)


class TestTheLastResolution:
    def test_lets_through_what_the_rules_allow(self, pending):
        written = comment(pending)
        amend(pending, colour="green", tier="low")
        work()
        assert resolve(written).status == "approved"
        [approved] = entries(pending, "proposal.approved")
        assert approved.body["by"] == "policy"
        assert approved.body["resolved"] == written.pk
        assert "When Rita resolved the last comment" in sentence(approved, approved.body)
        work()
        assert fresh(pending).status == "committed"
        assert not told(pending).faults

    def test_lets_through_what_enough_people_approved(self):
        written = enough_but_for_a_comment()
        proposal = resolve(written, senior("sue"))
        assert proposal.status == "approved"
        [approved] = entries(proposal, "proposal.approved")
        assert len(approved.body["approvals"]) == 2
        work()
        assert fresh(proposal).status == "committed"

    def test_lets_through_nothing_that_was_changed_since_it_was_checked(self):
        written = enough_but_for_a_comment()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE proposals_check SET compensation = NULL")
        proposal = resolve(written, senior("sue"))
        assert proposal.status == "submitted"
        assert "changed from outside" in proposal.reason
        assert not Execution.objects.exists()

    def test_waits_for_the_others(self):
        written = enough_but_for_a_comment()
        other = comment(written.proposal, reviewer=senior("sid"))
        assert resolve(written, senior("sue")).status == "pending"
        assert resolve(other, senior("sid")).status == "approved"

    def test_counts_nobody_who_lost_the_right(self):
        written = enough_but_for_a_comment()
        senior("saul").groups.clear()
        assert resolve(written, senior("sue")).status == "pending"
        assert not Execution.objects.exists()

    def test_fills_no_seat(self):
        proposal = make_checked(params=painting(tier="high"))
        written = comment(proposal, reviewer=senior("saul"))
        assert resolve(written, senior("saul")).status == "pending"
        assert seats.approvals(fresh(proposal), fresh(proposal).current_check) == []

    def test_does_not_stand_in_for_people_who_have_to_look(self, settings):
        """What keeps coming back is looked at again, also when all its seats are filled."""
        written = enough_but_for_a_comment()
        settings.RECHECKS_BEFORE_PEOPLE = 0
        assert resolve(written, senior("sue")).status == "pending"

    def test_moves_nothing_that_is_being_checked(self, pending):
        written = comment(pending)
        services.recheck(proposal_id=pending.pk, reason="Once more.")
        assert resolve(written).status == "submitted"
        work()
        assert fresh(pending).status == "pending"


def test_the_story_of_the_ledger_faults_an_approval_past_a_comment(pending):
    """The reader of the chaos tests notices what the product must never do."""
    written = comment(pending)
    story = told(pending)
    story.tell("proposal.approved", "user:1", {"from": "pending"})
    assert story.faults == [f"it was approved past the comments [{written.pk}]"]


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """A comment and an approval at the same moment: one of them is first, and the other sees it."""

    def test_an_approval_and_a_comment_come_in_one_order(self):
        rita, agent = make_person(), make_agent()
        people = bob(), rita
        for number in range(12):
            proposal = make_checked(agent=agent, params=painting(tier="medium", note=number))
            outcomes = at_once(
                partial(approve, proposal, reviewer=people[0]),
                partial(comment, proposal, reviewer=people[1]),
            )
            refused = [one for one in outcomes if isinstance(one, Exception)]
            assert len(refused) == 1, outcomes
            now = fresh(proposal)
            assert (now.status == "approved") != bool(comments.blocking(now))
            assert not told(proposal).faults

    def test_an_approval_and_a_resolution_never_pass_it(self):
        people = bob(), make_person()
        for number in range(12):
            proposal = make_checked(params=painting(tier="medium", note=number))
            written = comment(proposal, reviewer=people[1])
            at_once(
                partial(approve, proposal, reviewer=people[0]),
                partial(resolve, written, people[1]),
            )
            now = fresh(proposal)
            assert not comments.blocking(now)
            assert now.status in {"pending", "approved"}
            assert not told(proposal).faults

    def test_two_resolutions_are_one(self):
        people = bob(), make_person()
        proposal = make_checked(params=painting(tier="medium"))
        written = comment(proposal)
        at_once(*(partial(resolve, written, one, **WHY) for one in people))
        assert Resolution.objects.count() == 1
        assert len(entries(proposal, "proposal.comment_resolved")) == 1

    def test_a_check_that_lands_and_a_resolution_leave_nothing_waiting(self):
        """Whichever is first, what the rules allow is approved once."""
        rita = make_person()
        for number in range(6):
            proposal = make_checked(params=painting(tier="medium", note=number))
            written = comment(proposal)
            amend(proposal, colour="green", tier="low", note=number)
            at_once(work, partial(resolve, written, rita))
            work()
            assert fresh(proposal).status == "committed"
            assert len(entries(proposal, "proposal.approved")) == 1


def at_once(*requests):
    """Each in a thread with a connection of its own; what it returned or was refused with."""
    start = threading.Barrier(len(requests))

    def send(request):
        start.wait()
        try:
            return request()
        except (NotEligible, AlreadyDecided, IllegalTransition) as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))
