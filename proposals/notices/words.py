"""What a letter says. Subject, opening and chat text are the system's words alone.

What an agent chose appears in one place, the sentence under its own heading in a mail's body (and
a field of its own in a webhook's): on one line, with nothing hidden, and with nothing that a mail
program would turn into a link. No letter carries a link that decides anything.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from budgets.models import Budget
from proposals import checks, seats, text
from proposals.models import Freeze, Letter, Notice, Proposal, Webhook
from proposals.notices import audience

Kind = Notice.Kind
MOST_LISTED = 20
WHAT = {
    Kind.WAITS: "Waits for a decision",
    Kind.DUE: "Due soon, waits for a decision",
    Kind.FAILED: "Failed, nothing written",
    Kind.UNKNOWN: "Outcome unknown",
    Kind.SECOND: "Outcome unknown, a second person is wanted",
    Kind.BREAKER: "A target is left alone",
    Kind.BUDGET: "A budget refused",
    Kind.SUSPENDED: "Agent suspended",
    Kind.FROZEN: "Writes frozen",
    Kind.REJECTED: "Rejected, nothing written",
    Kind.EXPIRED: "Expired, nothing written",
    Kind.UNDONE: "Undone",
    Kind.PARTLY: "Partly undone",
    Kind.WEBHOOK: "Webhook switched off",
}
WHY = {
    Kind.WAITS: "You are told because you can decide on it.",
    Kind.DUE: "You are told because you can decide on it, and nobody has.",
    Kind.FAILED: "You are told because you may have it tried again.",
    Kind.UNKNOWN: "You are told because you may settle what happened.",
    Kind.SECOND: "Somebody said what became of it. You are told because you may find the same.",
    Kind.BREAKER: "What is approved for it waits; you may have one call tried.",
    Kind.BUDGET: "You are told because you may raise the budget, or own the agent.",
    Kind.SUSPENDED: "You are told because you may let the agent go on, or own it.",
    Kind.FROZEN: "You are told because you may lift the freeze, or own the agent.",
    Kind.WEBHOOK: "You are told because you may switch it on again.",
}
WHY_OWNER = "You are told because you own the agent, or proposed this yourself."
DECIDES_NOTHING = (
    "Neither this mail nor opening its link decides anything: read the evidence on the page, and "
    "decide there."
)
SENTENCE = "What it would do, in the system's words; values in it were chosen by whoever proposed:"
# A dot before letters, an at sign or a scheme: what mail programs make links of.
LINKS = re.compile(r"://|(?<=\w)[.。．｡@＠](?=[^\W\d_])")


@dataclass(frozen=True)
class Told:
    """One notice in words. Only `sentence` holds what an agent may have chosen."""

    kind: str
    what: str
    about: str
    url: str
    tier: str = ""
    due: datetime | None = None
    sentence: str = ""
    reason: str = ""

    @property
    def headline(self) -> str:
        tier = f", {self.tier} tier" if self.tier else ""
        return f"{self.what}: {self.about}{tier}"

    @property
    def due_words(self) -> str:
        return f", due {moment(self.due)}" if self.due else ""


def line(value: Any, limit: int = 120) -> str:
    """Somebody's words as one line, with nothing hidden in it."""
    return text.plain(str(value), limit)


def inert(value: str, limit: int = 500) -> str:
    """The same, and no part of it can become a link."""
    return LINKS.sub(lambda match: f"[{match[0]}]", line(value, limit))


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%a %d %b %Y, %H:%M} UTC"


def address(name: str, *args: Any) -> str:
    """The public address of a page."""
    return settings.COUNTERSIGN_URL + reverse(name, args=args)


def told(notice: Notice, tier: str) -> Told:
    """A notice in words."""
    what = WHAT[Kind(notice.kind)]
    if notice.proposal is not None:
        return told_of_proposal(notice, notice.proposal, what)
    if notice.kind == Kind.BUDGET:
        budget = Budget.objects.filter(pk=notice.subject_id).first()
        agent = f" to {agent_of(notice)}" if notice.agent else ""
        about = f"{line(budget.name)}{agent}" if budget else f"budget {notice.subject_id}{agent}"
        return Told(notice.kind, what, about, address("budgets"))
    if notice.kind == Kind.FROZEN:
        freeze = audience.freeze_of(notice)
        reason = inert(freeze.reason) if freeze else ""
        return Told(notice.kind, what, target(freeze), address("stop"), reason=reason)
    if notice.kind == Kind.BREAKER:
        breaker = audience.breaker_of(notice)
        about = inert(breaker.target, 120) if breaker else "a target outside"
        reason = inert(breaker.reason) if breaker else ""
        return Told(notice.kind, what, about, address("unknowns"), reason=reason)
    if notice.kind == Kind.WEBHOOK:
        webhook = Webhook.objects.filter(pk=notice.subject_id).first()
        about, reason = f"webhook {notice.subject_id}", webhook.off_reason if webhook else ""
        return Told(notice.kind, what, about, address("webhooks"), reason=inert(reason))
    reason = inert(notice.agent.suspended_reason) if notice.agent else ""
    return Told(notice.kind, what, agent_of(notice), address("stop"), reason=reason)


def told_of_proposal(notice: Notice, proposal: Proposal, what: str) -> Told:
    if proposal.proposer is not None:
        who = line(proposal.proposer.get_full_name() or proposal.proposer.get_username())
    else:
        who = agent_of(notice)
    check = proposal.current_check
    sentence = (
        check.sentence if check else checks.sentence(proposal.action, proposal.revision().params)
    )
    return Told(
        kind=notice.kind,
        what=what,
        about=f"{line(proposal.action)} by {who}",
        url=address("outcome" if notice.kind == Kind.SECOND else "proposal", proposal.pk),
        tier=line(proposal.tier),
        due=proposal.expires_at if notice.kind in audience.TO_DECIDE else None,
        sentence=inert(sentence),
    )


def agent_of(notice: Notice) -> str:
    return f"agent {line(notice.agent.name)}" if notice.agent else "an agent"


def target(freeze: Freeze | None) -> str:
    """What is frozen; a run by its number, never by the name an agent gave it."""
    return line(freeze.target) if freeze else "something"


# Whom it concerns, at the moment of sending


@dataclass
class Content:
    """What of a letter its person should still hear."""

    found: list[Told] = field(default_factory=list)
    more: int = 0
    omitted: list[Notice] = field(default_factory=list)


def still_due(letter: Letter) -> Content:
    """Ask again, about each notice, whether it concerns this person now."""
    person, content = letter.person, Content()
    if audience.choice(person, audience.preference(person), letter.tier) == "off":
        return content
    likely = set(
        seats.waiting_on(person)
        .filter(pk__in=letter.notices.values("proposal_id"))
        .values_list("pk", flat=True)
    )
    for notice in newest(letter):
        if notice.kind in audience.TO_DECIDE and notice.proposal_id not in likely:
            content.omitted.append(notice)
        elif len(content.found) == MOST_LISTED:
            content.more += 1
        elif audience.concerns(person, notice):
            content.found.append(told(notice, letter.tier))
        else:
            content.omitted.append(notice)
    return content


def newest(letter: Letter) -> list[Notice]:
    """The last notice about each thing, in the order in which they came."""
    rows: QuerySet[Notice] = letter.notices.select_related(
        "proposal__current_check__revision", "proposal__agent__owner", "proposal__proposer", "agent"
    )
    return list({notice.subject: notice for notice in rows.order_by("id")}.values())


@dataclass(frozen=True)
class Mail:
    subject: str
    body: str
    omitted: tuple[Notice, ...] = ()


def mail(letter: Letter) -> Mail | None:
    """Subject and body for a person; None when there is nothing left to tell them."""
    content = still_due(letter)
    if not content.found:
        return None
    if len(content.found) == 1 and not content.more:
        [one] = content.found
        return Mail(subject(one.headline), alone(one), tuple(content.omitted))
    return Mail(*digest(content, letter.tier), omitted=tuple(content.omitted))


def subject(words: str) -> str:
    place = f" {line(settings.ENVIRONMENT_NAME, 40)}" if settings.ENVIRONMENT_NAME else ""
    return f"[Countersign{place}] {words}"


def alone(one: Told) -> str:
    """The opening is long enough to fill the preview that mail programs show beside a subject."""
    why = WHY.get(Kind(one.kind), WHY_OWNER)
    parts = [f"{one.headline}{one.due_words}. {why} {DECIDES_NOTHING}", one.url]
    if one.reason:
        parts.append(f"The reason given: {one.reason}")
    if one.sentence:
        parts.append(f"{SENTENCE}\n    {one.sentence}")
    return closed(parts)


def digest(content: Content, tier: str) -> tuple[str, str]:
    words = f"{len(content.found) + content.more} things to look at, {tier} tier"
    parts = [f"{words}: those that still concern you. {DECIDES_NOTHING}"]
    parts += [item(one) for one in content.found]
    if content.more:
        parts.append(f"And {content.more} more: {address('queue')}")
    return subject(words), closed(parts)


def item(one: Told) -> str:
    lines = [f"* {one.headline}{one.due_words}", f"  {one.url}"]
    lines += [f"  {words}" for words in (one.reason, one.sentence) if words]
    return "\n".join(lines)


def closed(parts: list[str]) -> str:
    end = f"-- \nChoose what is sent to you, and how often: {address('notifications')}"
    return "\n\n".join([*parts, end]) + "\n"


def payload(letter: Letter) -> dict[str, Any] | None:
    """The body for a webhook; None when there is nothing left to tell."""
    notice = newest(letter)[-1]
    if letter.webhook is None or not letter.webhook.is_active or not audience.is_current(notice):
        return None
    one = told(notice, letter.tier)
    # Signs that chat programs would read as mentions and links of their own are left out.
    said = re.sub("[<>&]", " ", f"{one.headline}{one.due_words}")
    body: dict[str, Any] = {"text": f"{subject(said)}. {one.url}"}
    if letter.webhook.is_chat:
        return body
    data = {
        "notice": str(notice.pk),
        "subject": notice.subject,
        "tier": letter.tier,
        "url": one.url,
    }
    if notice.proposal is not None:
        data |= {"action": notice.proposal.action, "sentence": one.sentence}
    if one.due:
        data["due"] = one.due.astimezone(UTC).isoformat()
    return body | {"type": f"notice.{notice.kind}", "timestamp": stamp(notice.at), "data": data}


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
