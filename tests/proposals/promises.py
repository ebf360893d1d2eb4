"""What must hold after every step of the state machine, looked at from outside."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from budgets.models import Reservation
from ledger import clock
from ledger.models import LedgerEntry
from ledger.verify import Result, verify
from proposals import checks, comments, execution, freezing, services
from proposals.exceptions import ActionError, ProposalError
from proposals.lifecycle import OPEN, TRANSITIONS, Status
from proposals.models import Execution, Freeze, Proposal
from proposals.registry import Outcome
from tests.stepping import Worker
from tests.toys import VOID, box

ENOUGH_ROUNDS = 40


class Promises:
    """Mixed into the state machine: its transaction, what it saw, and what it then requires."""

    def begin(self) -> None:
        """Every run is one transaction that is rolled back."""
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        box.reset()
        self.last_words: dict[tuple[Any, str], dict[str, str]] = defaultdict(dict)
        self.intents: set[Any] = set()
        self.verified = self.entries = 0
        self.statuses: dict[Any, str] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.watch_the_box()

    def end(self) -> None:
        box.__dict__.pop("apply", None)
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def watch_the_box(self) -> None:
        paint = type(box).apply

        def apply(key: str, toy: str, colour: str, expected: str | None) -> str:
            found = paint(box, key, toy, colour, expected)
            self.writes.append((key, found, colour))
            return found

        box.apply = apply

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Refusals in the product's own words are fine; anything else is a fault of it."""
        with suppress(ProposalError, ActionError):
            yield

    def having(self, *statuses: str) -> list[Any]:
        return [pk for pk, status in self.statuses.items() if not statuses or status in statuses]

    def pick(self, which: int, *statuses: str) -> Any:
        """One of the proposals with these statuses, the newest first."""
        found = self.having(*statuses)[::-1]
        return found[which % len(found)]

    def decided(self, pk: Any, digest: str, name: str, decision: str) -> None:
        self.last_words[pk, digest][name] = decision

    def is_stopped(self) -> bool:
        self.agent.refresh_from_db()
        return self.agent.is_suspended or freezing.is_everything_frozen()

    def lift(self) -> bool:
        found = Freeze.objects.filter(lifted_at=None).first()
        if found is not None:
            services.lift(freeze_id=found.pk, reason="Over.", person=self.olga)
        return found is not None

    def end_leases(self, pk: Any = None) -> None:
        past = clock.now() - timedelta(seconds=1)
        found = Execution.objects.open()
        if pk:
            found = found.filter(proposal=pk)
        found.filter(status="queued").update(run_after=past)
        found.exclude(status="queued").update(lease_until=past)

    def come_to_rest(self) -> None:
        """Do all work that is due, as often as there is any."""
        for _ in range(ENOUGH_ROUNDS):
            self.end_leases()
            for pk in Proposal.objects.to_check().values_list("pk", flat=True):
                checks.run(pk)
            due = list(Execution.objects.due(clock.now()).values_list("pk", flat=True))
            for pk in due:
                execution.run(pk)
            if not Proposal.objects.to_check().exists() and not Execution.objects.open().exists():
                self.verify_ledger()
                return
        raise AssertionError("It never comes to rest.")

    @contextmanager
    def old_fence_changes_nothing(self, worker: Worker) -> Iterator[None]:
        """Whoever lost the lease may leave evidence in the ledger, and nothing else."""
        before, is_old = self.rows(), self.has_old_fence(worker)
        yield
        if is_old:
            assert self.rows() == before, "an old fence changed our database"

    def has_old_fence(self, worker: Worker) -> bool:
        claim = worker.claim()
        if claim is None:
            return False
        held = Execution.objects.open().filter(pk=claim.execution.pk, fence=claim.execution.fence)
        return not held.exists()

    def rows(self) -> list[Any]:
        own = {"ledger_number", "ledger_hash"}
        names = [field.attname for field in Proposal._meta.concrete_fields]
        wanted = [name for name in names if name not in own]
        return [
            *Proposal.objects.order_by("pk").values_list(*wanted),
            *Execution.objects.order_by("pk").values_list(),
        ]

    def stop_time(self) -> None:
        """No lease or wait ends but by a step of its own, however slow the machine is."""
        now, later = clock.now(), clock.now() + timedelta(hours=1)
        found = Execution.objects.open()
        found.filter(lease_until__gt=now).update(lease_until=later)
        found.filter(run_after__gt=now).update(run_after=later)

    def check_all(self) -> None:
        proposals = {each.pk: each for each in Proposal.objects.order_by("created_at")}
        self.statuses = {pk: each.status for pk, each in proposals.items()}
        attempts = list(Execution.objects.select_related("of_check__revision", "proposal"))
        self.check_effects(attempts)
        for attempt in attempts:
            self.check_attempt(attempt)
        count = LedgerEntry.objects.count()
        if count == self.entries:
            return  # nothing moved in our database
        self.entries = count
        held = defaultdict(set)
        for pk, state in Reservation.objects.values_list("proposal", "status"):
            held[pk].add(state)
        for proposal in proposals.values():
            mine = [each for each in attempts if each.proposal_id == proposal.pk]
            self.check_proposal(proposal, mine, held[str(proposal.pk)])
        self.check_intents(attempts)
        self.check_ledger(proposals)

    def check_effects(self, attempts: list[Execution]) -> None:
        assert all(count == 1 for count in Counter(box.effects).values()), "two effects of a key"
        owners = {each.key: each.proposal_id for each in attempts}
        by_proposal = Counter(owners[key] for key in box.effects)
        assert all(count == 1 for count in by_proposal.values()), "two effects of a proposal"
        by_key = {each.key: each for each in attempts}
        for key, found, colour in self.writes:
            seen = by_key[key].of_check
            toy = seen.revision.params["toy"]
            assert seen.before == {toy: {"colour": found}}, "written over what nobody saw"
            assert seen.revision.params["colour"] == colour

    def check_attempt(self, attempt: Execution) -> None:
        receipt = box.receipts.get(attempt.key)
        if attempt.status == Execution.Status.COMMITTED:
            assert isinstance(receipt, Outcome)
            assert box.effects.count(attempt.key) == 1
            assert attempt.result
            assert attempt.after
        if attempt.status in {Execution.Status.FAILED, Execution.Status.RETURNED}:
            assert attempt.key not in box.effects, "an effect of what was not applied"
            assert receipt == VOID or attempt.intended_at is None

    def check_proposal(
        self, proposal: Proposal, attempts: list[Execution], states: set[str]
    ) -> None:
        status = Status(proposal.status)
        still = [each for each in attempts if each.is_open]
        assert len(still) == (status is Status.APPROVED)
        done = [each for each in attempts if each.status == Execution.Status.COMMITTED]
        assert len(done) == (status is Status.COMMITTED)
        if status in {Status.APPROVED, Status.COMMITTED, Status.FAILED, Status.UNKNOWN}:
            assert not comments.blocking(proposal), "approved past a comment that blocks"
        if status is Status.FAILED:
            assert attempts[-1].status == Execution.Status.FAILED
        if proposal.compensates_id and proposal.proposer_id:
            assert not states, "an undo by a person uses up a budget of writes"
        elif status is Status.COMMITTED:
            assert states == {"captured"}
        elif status in OPEN or status is Status.UNKNOWN:
            assert states == {"held"} or (status is Status.SUBMITTED and attempts)
        else:
            assert states == {"released"}

    def check_intents(self, attempts: list[Execution]) -> None:
        """What is about to be written was approved, and nothing is while everything is frozen."""
        new = [each for each in attempts if each.intended_at and each.pk not in self.intents]
        assert not (new and freezing.is_everything_frozen()), "an intent after the freeze"
        for attempt in new:
            self.intents.add(attempt.pk)
            check = attempt.of_check
            assert check.revision.number == attempt.proposal.revision_number
            if check.effect == "review":
                words = self.last_words[attempt.proposal_id, check.digest]
                given = sum(word == "approve" for word in words.values())
                assert given >= max(check.approvals, 1), "not approved by enough people"
            else:
                by_person = attempt.proposal.compensates_id and attempt.proposal.proposer_id
                assert check.effect == "allow"
                assert check.tier == "low" or (by_person and check.tier == "medium")

    def verify_ledger(self) -> None:
        report = verify()
        assert report.result is not Result.TAMPERED, report.problems
        assert not report.unreadable

    def check_ledger(self, proposals: dict[Any, Proposal]) -> None:
        said: dict[str, list[str]] = defaultdict(list)
        kinds = [f"proposal.{status.value}" for status in Status]
        if self.entries >= self.verified + 20:  # it is slow, and what is broken stays broken
            self.verified = self.entries
            self.verify_ledger()
        entries = LedgerEntry.objects.filter(kind__in=kinds).order_by("stream", "number")
        for stream, kind in entries.values_list("stream", "kind"):
            said[stream].append(kind.removeprefix("proposal."))
        for proposal in proposals.values():
            history = said[proposal.stream]
            assert history[0] == "submitted"
            assert history[-1] == proposal.status
            for start, to in itertools.pairwise(history):
                assert Status(to) in TRANSITIONS[Status(start)], f"{start} to {to}"


assert settings.RECHECKS_BEFORE_PEOPLE < ENOUGH_ROUNDS
