"""Undoing a whole run: newest first, by ordinary undos, and never anything twice."""

from datetime import timedelta

import pytest
from django.db import transaction

from budgets.models import Budget
from ledger import clock
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import services
from proposals.exceptions import InvalidRequest, NotEligible, NotFound, NothingToUndo
from proposals.lifecycle import Status
from proposals.models import Execution, Freeze, Proposal, Run, RunUndo
from proposals.rounds import Rounds
from proposals.services import run_undoing
from proposals.services.run_plan import Outlook
from tests import factories
from tests.factories import fresh, make_checked, make_person, make_proposal, painting, work
from tests.shop_calls import DRAFT, status_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("toybox")]


class Killed(BaseException):
    """What ends the clock between two instructions. No handler of the product may catch it."""


@pytest.fixture
def olga():
    return make_person("olga", groups=["operators"])


@pytest.fixture
def three():
    """A run that painted the bear twice and the duck once, each by itself."""
    make_person()
    return [
        make_checked(params=painting("blue")),
        make_checked(params=painting("pink", toy="duck")),
        make_checked(params=painting("green")),
    ]


def run_of(proposal: Proposal) -> Run:
    return Run.objects.get(pk=proposal.run_id)


def ask(proposal: Proposal, person, **more) -> RunUndo:
    return services.undo_run(
        run_id=proposal.run_id, person=person, reason="The agent was misled.", **more
    )


def tick(undoing: RunUndo) -> None:
    """One pass of the clock, whenever it was due."""
    RunUndo.objects.filter(pk=undoing.pk).update(due_at=clock.now())
    Rounds().undo_runs(clock.now())


def carry_through(undoing: RunUndo, passes: int = 12) -> RunUndo:
    """The clock and a worker take turns until the undo has ended, or the passes are used up."""
    for _ in range(passes):
        tick(undoing)
        work()
    undoing.refresh_from_db()
    return undoing


def states(undoing: RunUndo) -> list[str]:
    return list(undoing.steps.order_by("position").values_list("state", flat=True))


def undos() -> int:
    return Proposal.objects.filter(compensates__isnull=False).count()


class TestAsking:
    def test_takes_everything_back_and_says_so_in_the_ledger(self, three, olga, toybox):
        undoing = carry_through(ask(three[0], olga))
        assert toybox.colours == {"bear": "brown", "duck": "yellow", "car": "red"}
        assert undoing.finished_at is not None
        assert states(undoing) == ["done"] * 3
        assert all(fresh(one).is_undone for one in three)
        kinds = LedgerEntry.objects.filter(kind__startswith="run.").order_by("pk")
        asked, ended = kinds
        assert (asked.kind, asked.actor, asked.body["steps"]) == (
            "run.undo_asked",
            f"user:{olga.pk}",
            3,
        )
        assert (ended.kind, ended.body["done"]) == ("run.undo_ended", 3)
        assert verify().result is Result.INTACT

    def test_asks_by_ordinary_undos_that_are_found_from_their_commits(self, three, olga):
        carry_through(ask(three[0], olga))
        made = Proposal.objects.filter(compensates=three[2]).get()
        assert made.proposer == olga
        assert made.revision().rationale == "The agent was misled."
        assert made.checks.exists()

    def test_takes_the_right_to_undo(self, three):
        ada = make_person("ada", groups=["policy-administrators"])
        with pytest.raises(NotEligible):
            ask(three[0], ada)
        assert not RunUndo.objects.exists()

    def test_takes_a_reason(self, three, olga):
        with pytest.raises(InvalidRequest) as refusal:
            services.undo_run(run_id=three[0].run_id, person=olga, reason="  ")
        assert refusal.value.errors[0]["pointer"] == "/reason"

    def test_of_a_run_that_is_not_there_is_refused(self, olga):
        with pytest.raises(NotFound):
            services.undo_run(run_id=4711, person=olga, reason="Why not.")

    def test_of_a_run_that_wrote_nothing_is_refused_and_freezes_nothing(self, olga):
        waiting = make_checked(params=painting(tier="medium"))
        with pytest.raises(NothingToUndo):
            ask(waiting, olga, freezes=True)
        assert not RunUndo.objects.exists()
        assert not Freeze.objects.exists()

    def test_twice_at_once_is_the_same_as_once(self, three, olga):
        first = ask(three[0], olga)
        assert ask(three[0], make_person("rita")).pk == first.pk
        carry_through(first)
        assert undos() == 3

    def test_again_after_everything_was_undone_is_refused(self, three, olga):
        carry_through(ask(three[0], olga))
        with pytest.raises(NothingToUndo):
            ask(three[0], olga)
        assert undos() == 3

    def test_follows_an_undo_that_somebody_asked_for_already(self, three, olga):
        earlier = services.undo(proposal_id=three[2].pk, person=make_person("rita"), reason="No.")
        undoing = carry_through(ask(three[0], olga))
        assert undos() == 3
        assert undoing.steps.get(proposal=three[2]).undo == earlier
        assert states(undoing) == ["done"] * 3

    def test_leaves_other_runs_alone(self, three, olga, toybox):
        other = make_checked(run="other", params=painting("black", toy="car"))
        carry_through(ask(three[0], olga))
        assert not fresh(other).is_undone
        assert toybox.colours["car"] == "black"

    def test_goes_on_while_the_run_is_frozen_by_it(self, three, olga, toybox):
        undoing = ask(three[0], olga, freezes=True)
        assert Freeze.objects.get().run == run_of(three[0])
        assert carry_through(undoing).finished_at is not None
        assert toybox.colours["bear"] == "brown"


class TestOrder:
    def test_an_older_write_waits_until_the_newer_one_to_the_same_object_is_undone(
        self, three, olga, toybox
    ):
        undoing = ask(three[0], olga)
        tick(undoing)
        assert states(undoing) == ["asked", "asked", "waiting"]  # the duck need not wait
        tick(undoing)
        assert states(undoing)[2] == "waiting"
        work()
        assert toybox.colours["bear"] == "blue"
        tick(undoing)
        assert states(undoing) == ["done", "done", "asked"]

    def test_an_older_write_is_kept_behind_a_newer_one_that_stays(self, olga, toybox):
        make_person()
        first = make_checked(params=painting("blue"))
        second = make_checked(params=painting("green"))
        toybox.colours["bear"] = "purple"
        undoing = carry_through(ask(first, olga))
        assert states(undoing) == ["conflict", "blocked"]
        assert undoing.finished_at is not None
        assert toybox.colours["bear"] == "purple"
        assert not fresh(first).is_undone
        assert not fresh(second).is_undone

    def test_goes_on_when_somebody_settles_what_stood_in_the_way(self, three, olga, toybox):
        high = make_checked(params=painting("black", toy="car", tier="high"))
        saul = make_person("saul", groups=["senior-reviewers"])
        sara = make_person("sara", groups=["senior-reviewers"])
        for senior in (saul, sara):
            factories.approve(high, reviewer=senior, fact="car")
        work()
        toybox.colours["bear"] = "purple"
        undoing = carry_through(ask(three[0], olga))
        # The car waits for people, so the whole is still under way.
        assert states(undoing) == ["asked", "conflict", "done", "blocked"]
        over = services.undo(
            proposal_id=three[2].pk, person=olga, reason="Over it.", over_conflicts=True
        )
        work()
        factories.approve(over)
        work()
        for one in Proposal.objects.filter(status=Status.PENDING):
            for senior in (saul, sara):
                factories.approve(one, reviewer=senior, fact="car")
        carry_through(undoing)
        assert states(undoing) == ["done"] * 4
        assert toybox.colours == {"bear": "brown", "duck": "yellow", "car": "red"}


class TestConflicts:
    def test_are_left_to_a_person_and_keep_no_place(self, three, olga, toybox):
        toybox.colours["duck"] = "purple"
        undoing = carry_through(ask(three[0], olga))
        step = undoing.steps.get(proposal=three[1])
        assert step.state == "conflict"
        assert step.undo.status == Status.WITHDRAWN
        assert step.undo.current_check.conflicts[0]["found"] == "purple"
        assert toybox.colours == {"bear": "brown", "duck": "purple", "car": "red"}
        over = services.undo(
            proposal_id=three[1].pk, person=olga, reason="Over it.", over_conflicts=True
        )
        work()
        assert fresh(over).status == Status.PENDING

    def test_can_be_tried_again_when_they_are_gone(self, three, olga, toybox):
        toybox.colours["duck"] = "purple"
        carry_through(ask(three[0], olga))
        toybox.colours["duck"] = "pink"
        again = carry_through(ask(three[0], olga))
        assert states(again) == ["done"]
        assert toybox.colours["duck"] == "yellow"

    def test_what_cannot_be_undone_stays_and_says_why(self, olga, toybox):
        for_good = make_checked(params=painting("black", for_good=True))
        factories.approve(for_good)
        work()
        duck = make_checked(params=painting("pink", toy="duck"))
        undoing = carry_through(ask(for_good, olga))
        assert states(undoing) == ["done", "impossible"]
        assert "cannot be taken back" in undoing.steps.get(proposal=for_good).note
        assert fresh(duck).is_undone

    def test_a_failed_undo_is_said_and_can_be_asked_for_again(self, three, olga, toybox):
        toybox.failing["apply"] = "refused"
        undoing = carry_through(ask(three[0], olga))
        assert states(undoing) == ["failed", "failed", "blocked"]
        toybox.failing.clear()
        again = carry_through(ask(three[0], olga))
        assert states(again) == ["done"] * 3

    def test_an_undo_that_cannot_be_previewed_keeps_no_place(self, three, olga, toybox):
        toybox.failing["preview"] = "unavailable"
        undoing = carry_through(ask(three[0], olga))
        assert states(undoing) == ["failed", "failed", "blocked"]
        assert "out of reach" in undoing.steps.get(proposal=three[1]).note
        toybox.failing.clear()
        assert states(carry_through(ask(three[0], olga))) == ["done"] * 3

    def test_an_unknown_outcome_is_left_to_an_operator(self, olga, toybox, settings):
        settings.EXECUTION_MAX_ATTEMPTS = 1
        make_person()
        toybox.failing["answer"] = "unclear"
        lost = make_checked(params=painting("blue"))
        toybox.failing.clear()
        assert lost.status == Status.UNKNOWN
        duck = make_checked(params=painting("pink", toy="duck"))
        undoing = carry_through(ask(lost, olga))
        assert undoing.steps.get(proposal=lost).state == "failed"
        assert fresh(lost).status == Status.UNKNOWN
        assert fresh(duck).is_undone

    def test_whoever_lost_the_right_meanwhile_asks_for_nothing_more(self, three, olga, toybox):
        undoing = ask(three[0], olga)
        olga.groups.clear()
        carry_through(undoing)
        assert states(undoing) == ["failed", "failed", "blocked"]
        assert undos() == 0
        assert toybox.colours["bear"] == "green"


class TestWhatIsStillOpen:
    def test_is_withdrawn_when_that_was_asked_for(self, three, olga):
        pending = make_checked(params=painting("black", toy="car", tier="medium"))
        undoing = carry_through(ask(three[0], olga, withdraws_open=True))
        assert fresh(pending).status == Status.WITHDRAWN
        assert fresh(pending).error["code"] == "run-undone"
        assert states(undoing) == ["nothing", "done", "done", "done"]

    def test_is_left_alone_otherwise(self, three, olga):
        pending = make_checked(params=painting("black", toy="car", tier="medium"))
        carry_through(ask(three[0], olga))
        assert fresh(pending).status == Status.PENDING

    def test_is_undone_after_all_where_a_worker_had_begun_it(self, three, olga, toybox):
        begun = make_checked(params=painting("black", toy="car", tier="medium"))
        factories.approve(begun)
        lease = clock.now() + timedelta(minutes=1)
        claimed = Execution.objects.filter(proposal=begun)
        claimed.update(status="claimed", lease_until=lease)
        undoing = ask(three[0], olga, withdraws_open=True)
        tick(undoing)
        assert states(undoing)[0] == "waiting"
        claimed.update(lease_until=clock.now())
        carry_through(undoing)
        assert fresh(begun).is_undone
        assert toybox.colours["car"] == "red"
        assert states(undoing) == ["done"] * 4


class TestACrash:
    def test_between_two_steps_asks_for_nothing_twice(self, three, olga, toybox):
        undoing = ask(three[0], olga)
        asked = []

        def die_at_the_second():
            asked.append(1)
            if len(asked) == 2:
                raise Killed

        toybox.at_intake = die_at_the_second
        with pytest.raises(Killed):
            tick(undoing)
        assert states(undoing) == ["asked", "waiting", "waiting"]  # one is stored, half of none
        assert undos() == 1
        toybox.at_intake = lambda: None
        carry_through(undoing)
        assert states(undoing) == ["done"] * 3
        assert undos() == 3
        assert toybox.colours == {"bear": "brown", "duck": "yellow", "car": "red"}

    def test_before_the_wish_is_committed_leaves_half_of_none(self, three, olga):
        @transaction.atomic
        def die_before_the_commit():
            ask(three[0], olga)
            raise Killed

        with pytest.raises(Killed):
            die_before_the_commit()
        assert not RunUndo.objects.exists()
        assert states(carry_through(ask(three[0], olga))) == ["done"] * 3

    def test_two_clocks_at_once_ask_for_nothing_twice(self, three, olga):
        undoing = ask(three[0], olga)
        read_by_another = list(undoing.steps.all())
        services.advance_run_undo(undoing_id=undoing.pk)
        for step in read_by_another[:2]:
            run_undoing.take_back(step)
        assert undos() == 2
        carry_through(undoing)
        assert states(undoing) == ["done"] * 3
        assert undos() == 3


class TestBudgets:
    def test_a_full_budget_for_undo_puts_the_rest_off(self, three, olga):
        budget = Budget(name="Undo", lane="undo", unit="writes", limit=1, window_seconds=60)
        services.save_budget(budget=budget, person=None, is_new=True)
        undoing = ask(three[0], olga)
        tick(undoing)
        undoing.refresh_from_db()
        assert states(undoing) == ["asked", "waiting", "waiting"]
        assert "Undo" in undoing.note
        assert undoing.due_at > clock.now() + timedelta(seconds=30)
        assert Rounds().undo_runs(clock.now()) == 0
        budget.limit = 10
        services.save_budget(budget=budget, person=None, is_new=False)
        carry_through(undoing)
        assert states(undoing) == ["done"] * 3
        assert not RunUndo.objects.get().note


class TestThePreview:
    def outlooks(self, proposal: Proposal) -> list[Outlook]:
        return [line.outlook for line in plan_of(proposal).lines]

    def test_sees_an_older_write_as_it_will_be_found(self, three):
        assert self.outlooks(three[0]) == [Outlook.CLEAN] * 3

    def test_names_a_conflict_field_by_field_and_what_stays_behind_it(self, three, toybox):
        toybox.colours["bear"] = "purple"
        newest, duck, oldest = plan_of(three[0]).lines
        assert [newest.outlook, duck.outlook, oldest.outlook] == [
            Outlook.CONFLICT,
            Outlook.CLEAN,
            Outlook.BLOCKED,
        ]
        conflict = newest.conflicts[0]
        assert (conflict.object, conflict.field, conflict.expected, conflict.found) == (
            "bear",
            "colour",
            "green",
            "purple",
        )

    def test_sees_somebodys_change_between_two_writes_of_the_run(self, toybox):
        make_person()
        first = make_checked(params=painting("blue"))
        toybox.colours["bear"] = "purple"
        make_checked(params=painting("green"))
        newest, oldest = plan_of(first).lines
        assert newest.outlook == Outlook.CLEAN
        assert oldest.outlook == Outlook.CONFLICT
        assert oldest.conflicts[0].found == "purple"

    def test_names_what_is_undone_asked_for_impossible_and_of_high_tier(self, three, olga):
        services.undo(proposal_id=three[1].pk, person=olga, reason="No.")
        work()
        services.undo(proposal_id=three[2].pk, person=olga, reason="No.")
        for_good = make_checked(params=painting("black", toy="car", for_good=True))
        factories.approve(for_good)
        work()
        high = make_checked(params=painting("white", toy="duck", tier="high"))
        for name in ("saul", "sara"):
            senior = make_person(name, groups=["senior-reviewers"])
            factories.approve(high, reviewer=senior, fact="duck")
        services.undo(proposal_id=three[0].pk, person=olga, reason="No.")
        work()
        found = {line.proposal.pk: line.outlook for line in plan_of(three[0]).lines}
        assert found[three[1].pk] == Outlook.UNDONE
        assert found[for_good.pk] == Outlook.IMPOSSIBLE
        assert found[high.pk] == Outlook.ANOTHER

    def test_counts_what_is_still_open_and_reads_without_asking(self, three):
        make_proposal(params=painting("black", toy="car"))
        plan = plan_of(three[0])
        assert plan.still_open == 1
        assert undos() == 0

    def test_of_the_shop_follows_a_created_row_through_its_changes(self, shop, olga):
        agent = factories.make_agent("shop-assistant", grants=["records.*"])
        made = make_checked(
            agent=agent, action="records.create", params={"table": "shop.drafts", "values": DRAFT}
        )
        key = made.result["key"]
        change = {"table": "shop.drafts", "key": key, "set": {"subject": "Goodbye"}}
        make_checked(agent=agent, action="records.update", params=change)
        archive = {"table": "shop.drafts", "key": key}
        make_checked(agent=agent, action="records.archive", params=archive)
        order = shop.rows("SELECT id FROM orders WHERE status = 'paid' ORDER BY id LIMIT 1")[0][0]
        refund = {"table": "shop.orders", "key": str(order), "set": {"status": "refunded"}}
        paid = make_checked(agent=agent, action="records.update", params=refund)
        factories.approve(paid)
        work()
        outlooks = self.outlooks(made)
        assert set(outlooks) <= {Outlook.CLEAN, Outlook.FOLLOWS}
        undoing = carry_through(ask(made, olga))
        assert states(undoing) == ["done"] * 4
        assert status_of(shop, str(order)) == "paid"
        rows = shop.rows(f"SELECT subject, archived_at FROM drafts WHERE id = {key}")
        assert rows[0][0] == DRAFT["subject"]
        assert rows[0][1] is not None  # what was created is archived, never deleted


def plan_of(proposal: Proposal) -> services.RunPlan:
    return services.preview_run_undo(run_id=proposal.run_id)
