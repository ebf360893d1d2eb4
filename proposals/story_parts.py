"""The middle of a story: what the approver saw, rules, seats, budgets, attempts, undo, around."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Sum
from django.urls import reverse

from budgets.models import Reservation
from budgets.standings import plain
from ledger.models import Mention
from ledger.readonly_admin import precise
from proposals import live
from proposals.meanings import Meaning, beside, in_words
from proposals.models import Proposal, Review
from proposals.story_sources import (
    MOST_OF_A_RUN,
    NOT_VERIFIED,
    Cell,
    Link,
    Section,
    Sources,
    Table,
    filled,
    independence,
    is_as_approved,
    rule_texts,
    value,
)

RESULTS = {"matched": "matched", "not_matched": "did not match", "error": "error: people must look"}
NOTHING_STORED = "no value"
MOST_OBJECTS = 20
CHANGE = "The change; labels and names beside what is stored are today's, and were not decided on"


def seen(source: Sources) -> Section:
    """What the approver was shown: the stored check, by its digest."""
    check = source.check
    section = Section("seen", "What the approver saw")
    if check is None:
        section.paragraphs.append("The checks have not run, so nobody was shown anything.")
        return section
    holds = "it still has this digest" if is_as_approved(source) else "IT HAS ANOTHER DIGEST NOW"
    section.paragraphs.append(
        f"The check of round {check.round}, {check.digest}, stored at {precise(check.created_at)}; "
        f"computed anew from what is stored, {holds}."
    )
    section.facts = [
        ("Sentence", check.sentence),
        ("Tier", f"{check.tier} (measured {check.base_tier})"),
        ("Impact", value(check.impact)),
        ("Undo plan", value(check.compensation) if check.compensation else "cannot be undone"),
        *([("Preview", f"failed: {check.error}")] if check.error else []),
        *([("Conflicts", value(check.conflicts))] if check.conflicts else []),
    ]
    section.tables = [changes(source, check.before, check.after), words(source)]
    return section


def changes(source: Sources, before: Any, after: Any) -> Table:
    """Each field that it touches. Words and names are today's; what was decided on is as stored."""
    touched = [
        (key, name, images[0].get(name, NOTHING_STORED), images[1].get(name, NOTHING_STORED))
        for key in dict.fromkeys([*(before or {}), *(after or {})])
        for images in [((before or {}).get(key) or {}, (after or {}).get(key) or {})]
        for name in dict.fromkeys([*images[0], *images[1]])
    ]
    action = source.proposal.action
    meanings = live.meanings(action, source.revision.params)
    held = [(name, one) for _, name, *both in touched for one in both]
    names = live.referred(action, meanings, held)

    def read(name: str, found: Any) -> str:
        meaning = meanings.get(name, Meaning())
        return in_words(
            value(found), beside(found, meaning.values, names.get(meaning.refers_to, {}))
        )

    rows: list[tuple[Cell, ...]] = [
        (key, name, read(name, old), read(name, new)) for key, name, old, new in touched
    ]
    return Table(CHANGE, ("Object", "Field", "Was", "Becomes"), rows)


def words(source: Sources) -> Table:
    """What the agent said, framed as such."""
    revision = source.revision
    rows: list[tuple[Cell, ...]] = [("Rationale", value(revision.rationale))]
    rows += [(str(name), value(fact)) for name, fact in (revision.context or {}).items()]
    for item in revision.evidence.order_by("position"):
        content = "erased or not supplied" if item.content is None else value(item.content)
        about = f"Evidence {item.position}, {item.kind}, {item.commitment}"
        rows.append((about, f"{item.title}: {content}"))
    caption = NOT_VERIFIED if source.proposal.proposer is None else "Written by the person"
    return Table(caption, ("What", "Words"), rows)


def policy(source: Sources) -> Section:
    """Each rule in the order in which it was evaluated, with the values it found."""
    check = source.check
    section = Section("policy", "Rules")
    if check is None:
        section.paragraphs.append("The rules have not been asked yet.")
        return section
    texts = rule_texts(check)
    rows: list[tuple[Cell, ...]] = []
    for line in check.trace:
        stored = texts.get((str(line["rule_id"]), line["version"]))
        rows.append(
            (
                rule_link(line, stored),
                str(line["effect"]),
                RESULTS.get(line["result"], str(line["result"])),
                value(line["detail"]),
                (stored.condition or "always") if stored else "no longer known",
                saved_by(stored),
            )
        )
    section.paragraphs = [
        f"Together they answered: {check.effect}"
        + (f", {check.approvals} of {' or '.join(check.group_names)}" if check.approvals else "")
        + f". Set of rules {check.policy_digest}.",
        *(str(reason.get("detail", "")) for reason in check.reasons),
    ]
    head = ("Rule", "Effect", "Result", "Values found", "Condition then", "Saved by")
    section.tables = [Table("Rules in order of evaluation", head, rows)]
    return section


def rule_link(line: dict[str, Any], stored: Any) -> Cell:
    name = f"{line['name']}, version {line['version']}"
    if stored is None:
        return name
    args = [line["rule_id"], stored.history_id]
    return Link(name, reverse("admin:proposals_rule_simple_history", args=args))


def saved_by(stored: Any) -> str:
    if stored is None:
        return "-"
    who = stored.history_user.get_username() if stored.history_user else "the system"
    return f"{who}, {precise(stored.history_date)}"


def seats(source: Sources) -> Section:
    """Who could fill the seats, who did, and why that person was independent."""
    check = source.check
    section = Section("seats", "Seats")
    if check is None or check.effect != "review":
        section.paragraphs.append("No seat had to be filled.")
    else:
        groups = " or ".join(check.group_names) or "anybody with the right"
        section.paragraphs.append(
            f"{len(filled(source))} of {check.approvals} filled, by members of {groups}."
        )
    rows: list[tuple[Cell, ...]] = [
        (
            precise(review.created_at),
            review.reviewer_name,
            decision(review),
            review.digest.removeprefix("sha256:")[:12],
            review.reason or "-",
            independence(source, review),
        )
        for review in source.reviews
    ]
    head = ("Time (UTC)", "Who", "Decision", "Digest", "Reason", "Independence")
    if rows:
        section.tables = [Table("Decisions of people", head, rows)]
    return section


def decision(review: Review) -> str:
    """What a person decided, and where a comment was placed."""
    told = f"{review.decision}, on {review.where}" if review.where else str(review.decision)
    if not review.blocks:
        return told
    if review.ended is None:
        return f"{told}; it blocks approval"
    said = f": {review.ended.reason}" if review.ended.reason else ""
    return f"{told}; it blocked approval until {review.ended.person_name} resolved it{said}"


def budget(source: Sources) -> Section:
    """What each budget held before, what this reserved, and what it came to."""
    reserved = Reservation.objects.filter(proposal=str(source.proposal.pk))
    rows: list[tuple[Cell, ...]] = []
    for each in reserved.select_related("scope__budget").order_by("scope__budget_id"):
        cap = each.scope.budget
        others = each.scope.reservations.exclude(pk=each.pk).exclude(status="released")
        others = others.filter(counted_at__lte=each.counted_at)
        if cap.window is not None:
            others = others.filter(counted_at__gt=each.counted_at - cap.window)
        before = others.aggregate(total=Sum("amount"))["total"] or Decimal(0)
        after = before + (each.amount if each.status != Reservation.Status.RELEASED else 0)
        rows.append(
            (
                cap.name,
                plain(before),
                plain(each.amount),
                each.status,
                f"{plain(after)} of {plain(cap.limit)} {cap.currency or cap.unit}",
                precise(each.counted_at),
            )
        )
    section = Section("budget", "Budgets")
    if not rows:
        section.paragraphs.append("No budget covers it.")
        return section
    section.paragraphs.append(
        "As the reservations stand today: what was given back since is no longer counted, and "
        "limits are today's."
    )
    head = ("Budget", "Before", "Reserved", "State", "After", "Counted at (UTC)")
    section.tables = [Table("Budgets it counted against", head, rows)]
    return section


def attempts(source: Sources) -> Section:
    """Each attempt to commit: by whom, under which key, what was expected and found."""
    rows: list[tuple[Cell, ...]] = []
    for one in source.executions:
        spent: timedelta | None = None
        if one.intended_at and one.settled_at:
            spent = one.settled_at - one.intended_at
        found = one.found if one.found is not None else one.after
        rows.append(
            (
                str(one.attempt),
                one.get_status_display(),
                one.claimed_by or "not taken up",
                one.key,
                value(one.of_check.before),
                value(found) if found is not None else "-",
                f"{spent.total_seconds() * 1000:.0f} ms" if spent is not None else "-",
                value(one.error) if one.error else value(one.result),
            )
        )
    section = Section("attempts", "Attempts to commit")
    if not rows:
        section.paragraphs.append("No worker was asked to write it.")
        return section
    head = (
        *("Attempt", "State", "Worker", "Key at the target", "Expected", "Found or left"),
        *("Duration", "Result"),
    )
    section.tables = [Table("Attempts", head, rows)]
    return section


def undo(source: Sources) -> Section:
    """Undo in both directions."""
    proposal = source.proposal
    section = Section("undo", "Undo")
    if proposal.compensates is not None:
        section.facts.append(("Takes back", explained(proposal.compensates)))
    for other in proposal.compensations.order_by("created_at"):
        what = "Taken back" if other.covers is None else f"{len(other.covers)} objects taken back"
        section.facts.append((f"{what} by ({other.get_status_display()})", explained(other)))
    if not section.facts:
        section.paragraphs.append("It takes nothing back, and nobody has asked to take it back.")
    return section


def around(source: Sources) -> Section:
    """The proposals before and after for the same object, and others of the same run."""
    proposal = source.proposal
    names = objects(source)
    before, after = neighbours(proposal, names[0])
    section = Section("around", "Around it")
    if len(names) > 1:
        section.paragraphs.append(f"Before and after are told of {names[0]}.")
    section.facts = [
        ("Before, same object", explained(before) if before else "none"),
        ("After, same object", explained(after) if after else "none"),
        *(
            ("All of the ledger on this object", Link(name, of_object(name)))
            for name in names[:MOST_OBJECTS]
        ),
    ]
    if len(names) > MOST_OBJECTS:
        section.facts.append(("And further objects", str(len(names) - MOST_OBJECTS)))
    if proposal.run is not None:
        others = proposal.run.proposals.exclude(pk=proposal.pk).order_by("created_at")
        listed = list(others[: MOST_OF_A_RUN + 1])
        rows: list[tuple[Cell, ...]] = [
            (precise(one.created_at), explained(one), one.action, one.resource)
            for one in listed[:MOST_OF_A_RUN]
        ]
        if len(listed) > MOST_OF_A_RUN:
            section.paragraphs.append(f"The first {MOST_OF_A_RUN} of the same run are listed.")
        if rows:
            head = ("Proposed (UTC)", "Proposal", "Action", "Object")
            section.tables = [Table("Others of the same run", head, rows)]
    return section


def objects(source: Sources) -> list[str]:
    """What it touched, as its last check or its commit says; else what it was counted by."""
    said: list[str] = []
    for entry, body in source.entries:
        if entry.kind in {"proposal.checked", "proposal.committed"}:
            said = body.get("objects") or said
    return said or [source.proposal.resource]


def neighbours(proposal: Proposal, name: str) -> tuple[Proposal | None, Proposal | None]:
    """The proposals that touched an object before this one was made and after it.

    One step each along the ledger's index, which also knows of those that touched several. The
    identifiers of proposals sort by when they were made.
    """
    touched = Mention.objects.filter(name="object", value=name)
    earlier = touched.filter(at__lt=proposal.created_at).filter(
        entry__proposal__gt="", entry__proposal__lt=str(proposal.pk)
    )
    later = touched.filter(at__gt=proposal.created_at, entry__proposal__gt=str(proposal.pk))
    found = [
        mentions.values_list("entry__proposal", flat=True).first()
        for mentions in (earlier.order_by("-at"), later.order_by("at"))
    ]
    there = Proposal.objects.in_bulk([UUID(key) for key in found if key])
    before, after = (there.get(UUID(key)) if key else None for key in found)
    return before, after


def explained(proposal: Proposal) -> Link:
    words = f"{proposal.pk} ({proposal.get_status_display()})"
    return Link(words, reverse("explain", args=[proposal.pk]))


def of_object(name: str) -> str:
    query = urlencode({"q": f"object:{name}"})
    return f"{reverse('admin:ledger_ledgerentry_changelist')}?{query}"


SECTIONS = (seen, policy, seats, budget, attempts, undo, around)
