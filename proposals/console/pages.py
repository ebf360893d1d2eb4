"""Everything the review page and the undo page show, gathered before a template is opened."""

from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from proposals import checks, drafting, gate, live, rights, seats, text
from proposals.console import (
    again,
    budgets,
    diff,
    meant,
    outside,
    own_decision,
    presenters,
    timelines,
    typed,
)
from proposals.console.claimed import Claimed
from proposals.console.lists import Place
from proposals.console.look_alikes import LookAlikes
from proposals.console.news import pulse_url
from proposals.console.portions import Portions
from proposals.console.remarks import Remarks
from proposals.console.undo_page import named
from proposals.console.versions import FIELDS, Views
from proposals.lifecycle import Status
from proposals.models import Check, Evidence, Proposal, Review, Revision
from proposals.registry import Call, Tier
from proposals.services import decisions, rulemaking

VERDICTS = (
    (Review.Decision.APPROVE, "a"),
    (Review.Decision.REQUEST_CHANGES, "c"),
    (Review.Decision.REJECT, "r"),
    (Review.Decision.COMMENT, ""),
)


@dataclass(frozen=True)
class Banner:
    """Something in the way, or worth knowing before anything else."""

    title: str
    text: str = ""
    kind: str = ""
    url: str = ""
    link: str = ""
    changes: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """One of the four verdicts, and what it would do."""

    value: str
    label: str
    key: str
    consequence: str
    reason: str
    is_disabled: bool = False


class Page:
    """What any page on one proposal shows."""

    def __init__(self, proposal: Proposal, user: Any, place: Place) -> None:
        self.proposal, self.user, self.place = proposal, user, place
        self.check: Check | None = proposal.current_check
        self.revision: Revision = self._revision()
        self.sentence = (
            self.check.sentence
            if self.check
            else checks.sentence(proposal.action, self.revision.params)
        )
        self.filled = seats.approvals(proposal, self.check) if self.check else []
        self.state = presenters.state(proposal, len(self.filled))
        self.url = f"{reverse('proposal', args=[proposal.pk])}?{place.query}"

    def _revision(self) -> Revision:
        number = self.proposal.revision_number
        if self.check and self.check.revision.number == number:
            return self.check.revision
        return self.proposal.revision()

    @property
    def back_url(self) -> str:
        """Back to the list, at this row; the list is read only where this is shown."""
        return self.place.back(self.proposal.pk)

    @property
    def proposed_by(self) -> str:
        """The agent by name, or the person."""
        kind = "" if self.proposal.proposer_id else "agent "
        return kind + presenters.proposed_by(self.proposal)


class ReviewPage(Page):
    """The review page, in the order in which it is read."""

    def __init__(self, proposal: Proposal, user: Any, place: Place, asked: Any = None) -> None:
        super().__init__(proposal, user, place)
        check = self.check
        self.views = Views(proposal, user, self.revision, self.url, asked or {})
        self.reversible = presenters.reversibility(proposal.action, check)
        self.rendering = presenters.rendering(proposal.action, check)
        self.neighbours = place.neighbours(proposal.pk)
        self.pulse_url = pulse_url(proposal)
        self.claim = Claimed.of(proposal, user)
        self.raw_call = {"action": proposal.action, "params": self.revision.params}
        self.read_live()
        self.remarks = Remarks(proposal, user, check)
        self.impact = presenters.impact(proposal, check)
        self.shares = budgets.shares(proposal, self.revision, check)
        self.hold = budgets.hold(proposal) or outside.hold(proposal)
        self.checks_in_short = presenters.checks_in_short(check)
        self.reasons = list(dict.fromkeys(one["detail"] for one in check.reasons)) if check else []
        self.spoke, self.silent = presenters.trace(check)
        self.look_alikes = LookAlikes(proposal, self.revision)
        self.raw_undo = check.compensation if check else None
        self.undo_sentence = undo_sentence(check)
        self.evidence: list[Evidence] = list(self.revision.evidence.order_by("position"))
        self.timeline = timelines.timeline(proposal)
        self.decide()
        self.objects = self.remarks.beside(self)

    def read_live(self) -> None:
        """The three columns. What the target does now must never keep the page from showing."""
        check, self.live_error, self.live_column = self.check, "", ""
        values, names = None, {}
        if check and check.before is not None and self.proposal.is_open:
            now = live.now(self.proposal, check)
            values, self.live_error, names = now.values, now.error, now.names
            self.live_column = "Live now"
        groups = diff.objects(check.before, values, check.after) if check else []
        groups = [diff.called(group, names) for group in groups]
        groups.sort(key=lambda group: not group.has_moved)  # what moved is read first
        self.portions = Portions(groups, self.views.asked, self.url)
        self.objects = self.portions.shown
        self.views.is_there = not self.live_error
        if self.views.name == FIELDS:
            call, is_there = Call(**self.raw_call), self.views.is_there
            self.objects = meant.understood(call, self.objects, is_there=is_there)
        self.live_read = values is not None
        self.has_moved = self.live_read and any(group.has_moved for group in groups)

    def decide(self) -> None:
        """Who may decide here, and what each verdict would do."""
        proposal, check, user = self.proposal, self.check, self.user
        self.own = own_decision.own(user, proposal, self.filled)
        self.edit_url = own_decision.edit_url(user, proposal, self.place.query)
        self.blockers = seats.blockers(user, proposal, check) + self.remarks.blockers
        self.may_decide = seats.may_decide(user, proposal)
        if check and self.may_decide and not check.is_approvable:
            self.blockers.append(UNAPPROVABLE)
        needed = check.approvals if check else 0
        self.empty_seats = range(max(needed - len(self.filled), 0))
        self.no_longer = seats.no_longer_counting(proposal, check, self.filled) if check else []
        self.groups = " or ".join(check.group_names) if check else ""
        is_high = bool(check and check.tier not in {Tier.LOW, Tier.MEDIUM})
        self.asks_fact = decisions.asked_fact(check) if check and is_high else ""
        self.reason_hint = REASON_AT_HIGH_TIER if is_high else REASON
        self.choices = [
            Choice(
                value=verdict.value,
                label=f"Approve revision {proposal.revision_number}"
                if verdict is Review.Decision.APPROVE
                else verdict.label,
                key=key,
                consequence=self.consequence(verdict),
                reason="required"
                if is_high or verdict is not Review.Decision.APPROVE
                else "optional",
                is_disabled=verdict is Review.Decision.APPROVE and bool(self.blockers),
            )
            for verdict, key in VERDICTS
        ]

    def consequence(self, verdict: Review.Decision) -> str:
        """What this verdict will do, in one sentence."""
        if verdict is not Review.Decision.APPROVE:
            return CONSEQUENCES[verdict]
        needed, given = (self.check.approvals if self.check else 1), len(self.filled) + 1
        if given < needed:
            return f"record approval {given} of {needed}; the write does not run yet."
        after = (
            "you can undo it."
            if self.check and self.check.is_reversible
            else "it cannot be undone."
        )
        return f"be the final approval; a worker starts the write within seconds; {after}"

    @property
    def banners(self) -> list[Banner]:
        """Everything in the way or out of the ordinary, before the evidence."""
        return [*self._state_banners(), *self._content_banners()]

    def _state_banners(self) -> list[Banner]:
        proposal, found = self.proposal, []
        if unknown := outside.in_short(proposal):
            known = f"{unknown.text} {UNKNOWN}"
            found.append(Banner("Outcome unknown.", known, "bad", unknown.url, unknown.link))
        elif proposal.status == Status.FAILED:
            found.append(Banner("Failed.", reason_of(proposal), "bad"))
        elif self.hold:
            held = self.hold
            found.append(Banner(held.title, held.text, "warning", held.url, held.link))
        elif proposal.reason:
            found.append(Banner("Why it is here.", proposal.reason))
        if proposal.status == Status.APPROVED and not self.hold:
            found.append(Banner("Approved.", "A worker commits it; leaving this page is safe."))
        if proposal.is_undone:
            found.append(Banner("Undone.", "What this wrote was taken back."))
        elif proposal.taken_back:
            found.append(Banner("Partly undone.", self._partly(), url=self.undo_url, link=REST))
        if proposal.compensates_id:
            url = reverse("proposal", args=[proposal.compensates_id])
            told = f"It covers {named(proposal.covers)} of the write." if proposal.covers else ""
            found.append(
                Banner("This is an undo.", told, url=url, link="See the write it takes back")
            )
        if proposal.duplicate_of_id:
            url = reverse("proposal", args=[proposal.duplicate_of_id])
            found.append(
                Banner("Possible duplicate.", DUPLICATE, "warning", url, "See the earlier one")
            )
        return found

    def _partly(self) -> str:
        return (
            f"What this wrote was taken back of {named(self.proposal.taken_back)} and not of the "
            "rest, which stands."
        )

    def _content_banners(self) -> list[Banner]:
        found, check = [], self.check
        if check and check.error:
            is_full = check.error.startswith(gate.NO_ROOM)
            title = "A budget is full." if is_full else "The preview failed."
            found.append(Banner(title, check.error, "warning"))
        if check and check.conflicts:
            found.append(
                Banner(
                    "Somebody changed the target since.",
                    CONFLICTS,
                    "warning",
                    changes=conflict_rows(check.conflicts),
                )
            )
        if self.has_moved and self.proposal.status in MOVES_MATTER:
            found.append(Banner("The target moved since it was checked.", MOVED, "warning"))
        hidden = text.alarming(
            [self.revision.params, self.revision.rationale, self.revision.context]
        )
        if hidden:
            names = ", ".join(hidden[:5])
            found.append(
                Banner("Hidden characters.", f"Marked where they are: {names}.", "warning")
            )
        earlier = self._earlier_check()
        if earlier and check and earlier.digest != check.digest:
            title = own_decision.again(self.revision, earlier)
            changes = presenters.changes_between(earlier, check)
            found.append(Banner(title, AGAIN, "warning", changes=changes))
        elif earlier and check:
            found.append(Banner("Checked again, with the same result.", KEPT))
        return found

    def _earlier_check(self) -> Check | None:
        if self.check is None or self.check.round == 1:
            return None
        earlier = self.proposal.checks.filter(round__lt=self.check.round)
        return earlier.select_related("revision").order_by("-round").first()

    @property
    def may_recheck(self) -> bool:
        """Whether this person may have it checked anew, and that could come out otherwise."""
        check = self.check
        return self.may_decide and bool(self.has_moved or (check and check.error))

    @property
    def ticket(self) -> str:
        return typed.ticket(self.user, self.proposal.pk)

    @property
    def why_for_good(self) -> str:
        return presenters.why_for_good(self.proposal.action)

    @property
    def run_name(self) -> str:
        return self.proposal.run.name if self.proposal.run else ""

    @property
    def said_short(self) -> str:
        return "Reason" if self.proposal.proposer_id else "Agent’s words"

    @property
    def said_title(self) -> str:
        return "Why, in their words" if self.proposal.proposer_id else "What the agent says"

    @property
    def said_warning(self) -> str:
        if self.proposal.proposer_id:
            return f"Written by {self.proposed_by}."
        return (
            f"Written by {self.proposed_by}. Not verified. It may be wrong or may try to "
            "influence you."
        )

    @property
    def explain_url(self) -> str:
        """The whole story with its proof, for those who may read the ledger."""
        if not rights.has(self.user, rights.VIEW_LEDGER):
            return ""
        return reverse("explain", args=[self.proposal.pk])

    @property
    def undo_url(self) -> str:
        proposal = self.proposal
        if proposal.status != Status.COMMITTED or proposal.is_undone or not self.undo_sentence:
            return ""
        return reverse("undo", args=[proposal.pk])

    @property
    def allow_url(self) -> str:
        """Where a rule can be drafted from this, for those who may change rules."""
        if not rulemaking.may_allow(self.user) or drafting.refusal(self.proposal):
            return ""
        return reverse("always-allow", args=[self.proposal.pk])

    @property
    def again(self) -> again.Again | None:
        return again.offered(self.user, self.proposal)


def undo_sentence(check: Check | None) -> str:
    """The compensation in the system's words; empty if there is none."""
    if check is None or not check.compensation:
        return ""
    call = Call(**check.compensation)
    return checks.sentence(call.action, call.params)


def conflict_rows(conflicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Conflicts in the shape of changes: what was expected, what is there."""
    return [
        {
            "object": one["object"],
            "what": one["field"],
            "side": "",
            "was": one["expected"],
            "now": one["found"],
        }
        for one in conflicts
    ]


def reason_of(proposal: Proposal) -> str:
    """Why it failed, in the system's words."""
    return proposal.reason or str((proposal.error or {}).get("detail", ""))


UNAPPROVABLE = (
    "Fix: there is nothing definite to approve. The change could not be previewed or does not "
    "fit now, or somebody changed the target since. It can still be rejected or sent back."
)
REASON = "Required to request changes, reject or comment. Kept in the ledger."
REASON_AT_HIGH_TIER = (
    "Required for every verdict; to approve at high tier, at least "
    f"{decisions.HIGH_TIER_REASON_LENGTH} characters. Kept in the ledger."
)
CONSEQUENCES = {
    Review.Decision.REQUEST_CHANGES: "send it back; nothing is written unless a new revision is "
    "approved.",
    Review.Decision.REJECT: "end it for everybody; nothing is written.",
    Review.Decision.COMMENT: "add your comment; it keeps waiting for a decision.",
}
UNKNOWN = "It may have happened: a plain retry could write twice."
DUPLICATE = "This agent proposed the same change before, under another key."
CONFLICTS = "As it stands this would be refused; approving it is not possible."
AGAIN = "The proposal, the target or the rules moved. Approvals of the earlier result do not count."
MOVES_MATTER = {Status.PENDING, Status.CHANGES_REQUESTED, Status.APPROVED}
MOVED = (
    "What moved is first below. If it is approved as it is, a worker writes nothing and has it "
    "checked again against what is there by then."
)
KEPT = "Content and target are equal to what was checked before, so earlier approvals still count."
REST = "See what is left, and undo it"
