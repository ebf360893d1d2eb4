"""Comments on a field, and those of them that block approval until they are resolved.

A comment is placed only while its proposal is pending, and every way from there or from a check to
APPROVED asks `blocking` under the same lock. So nothing that is approved has an open blocking
comment, and a worker's claim need not ask again.
"""

from dataclasses import dataclass
from typing import Any

from proposals import authors, rights, seats
from proposals.exceptions import InvalidRequest
from proposals.models import Check, Proposal, Review
from proposals.models.review import LONGEST_FIELD, LONGEST_OBJECT


@dataclass(frozen=True)
class Place:
    """What a comment is about, and whether it blocks. Nothing of it: an ordinary decision."""

    object: str = ""
    field: str = ""
    blocks: bool = False

    def as_facts(self) -> dict[str, Any]:
        """For the ledger: only what was given."""
        facts: dict[str, Any] = {}
        if self.field:
            facts |= {"object": self.object, "field": self.field}
        return facts | ({"blocks": True} if self.blocks else {})


def places(check: Check) -> set[tuple[str, str]]:
    """Every object and field that the check shows and that a comment can be about."""
    return {
        (key, name)
        for side in (check.before or {}, check.after or {})
        for key, values in side.items()
        for name in values or {}
        if 0 < len(key) <= LONGEST_OBJECT and 0 < len(name) <= LONGEST_FIELD
    }


def placed(check: Check, verdict: str, about: str, field: str, blocks: bool) -> Place:
    """Where a decision belongs. Raises InvalidRequest, naming the part that cannot be."""
    if verdict != Review.Decision.COMMENT:
        if about or field:
            name = "about" if about else "field"
            raise refused(name, "only-comments", "Only a comment can be about one field.")
        if blocks:
            raise refused(
                "blocks",
                "only-comments",
                "Only a comment can block approval: choose “Comment only”, or go without the tick.",
            )
    if bool(about) != bool(field):
        missing = "field" if about else "about"
        raise refused(missing, "required", "A place is an object and one of its fields.")
    if about and (about, field) not in places(check):
        is_known = any(key == about for key, _ in places(check))
        raise refused(
            "field" if is_known else "about",
            "no-such-place",
            "This shows no such field any more; comment on another, or on the whole.",
        )
    return Place(about, field, bool(blocks))


def refused(name: str, code: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, errors=[{"pointer": f"/{name}", "code": code, "detail": detail}])


def blocking(proposal: Proposal) -> list[Review]:
    """The open comments that block approval, whatever the revision that they were written on."""
    return list(proposal.reviews.filter(blocks=True, resolution=None).order_by("id"))


def mark_held(proposal: Proposal) -> None:
    """Keep, for the list of what is held, whether a comment blocks a locked pending proposal."""
    proposal.is_held = bool(blocking(proposal))
    Proposal.objects.filter(pk=proposal.pk).update(is_held=proposal.is_held)


def sentence(comment: Review) -> str:
    """Whose comment, on which field. May hold what an agent chose."""
    place = f" on {comment.where}" if comment.where else ""
    return f"{comment.reviewer_name}’s comment{place} blocks approval until it is resolved."


def objection(proposal: Proposal) -> str:
    """Why nobody can approve this now; empty if no comment is in the way."""
    return " ".join(sentence(one) for one in blocking(proposal)[:3])


def ineligibility(user: Any, proposal: Proposal, comment: Review) -> str:
    """Why this person may not resolve the comment; empty if they may.

    Whoever wrote it may, and whoever may decide; never who owns the agent or proposed this.
    """
    if involved := seats.dependence(user, proposal):
        return involved
    if seats.person(user) == seats.person(comment.reviewer):
        return "" if rights.may_view(user) else "Your account may no longer open the console."
    check = proposal.current_check or comment.on_check
    if against := seats.ineligibility(user, proposal, check):
        return against
    if check.revision.number == proposal.revision_number:
        return ""
    # Not checked yet, so its tier is not known: nobody answers for what they wrote themselves.
    return authors.WRITTEN if authors.has_written(user, proposal.revision()) else ""
