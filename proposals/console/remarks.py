"""Comments as the review page shows them: under the row they are about, or with the blockers."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import QueryDict

from proposals import comments, seats
from proposals.console.diff import ObjectChange
from proposals.lifecycle import Status
from proposals.models import Check, Proposal, Review

if TYPE_CHECKING:
    from proposals.console.pages import ReviewPage


@dataclass(frozen=True)
class Remark:
    """One comment that has a place, or that blocks or blocked approval."""

    comment: Review
    may_resolve: bool
    needs_reason: bool

    @property
    def is_open(self) -> bool:
        return self.comment.blocks and self.comment.ended is None

    @property
    def sentence(self) -> str:
        return comments.sentence(self.comment)

    @property
    def place(self) -> tuple[str, str]:
        return self.comment.object, self.comment.field


class Remarks:
    """All of them on one proposal, in the order in which they were written."""

    def __init__(self, proposal: Proposal, user: Any, check: Check | None) -> None:
        self.proposal, self.check = proposal, check
        self.places = comments.places(check) if check else set()
        found = proposal.reviews.filter(decision=Review.Decision.COMMENT)
        found = found.exclude(field="", blocks=False).select_related(
            "reviewer", "resolution", "on_check__revision"
        )
        self.all = [self._remark(one, user) for one in found.order_by("id")]
        self.open = [one for one in self.all if one.is_open and proposal.is_open]
        self.elsewhere = self.open

    def _remark(self, comment: Review, user: Any) -> Remark:
        is_open = comment.blocks and comment.ended is None and self.proposal.is_open
        return Remark(
            comment=comment,
            may_resolve=is_open and not comments.ineligibility(user, self.proposal, comment),
            needs_reason=seats.person(user) != seats.person(comment.reviewer),
        )

    @property
    def blockers(self) -> list[str]:
        """Why nobody can approve, each with who must act; empty while that is not the question."""
        if self.proposal.status != Status.PENDING:
            return []
        return [f"Fix: {one.sentence}" for one in self.open]

    def asked(self, query: QueryDict) -> dict[str, str] | None:
        """The place that an address asks to comment on; None if this shows no such place."""
        about, field = query.get("about", ""), query.get("field", "")
        if not about and not field:
            return {}
        return {"about": about, "field": field} if (about, field) in self.places else None

    def beside(self, page: "ReviewPage") -> list[ObjectChange]:
        """The page's objects with the comments on their fields, and links to write another.

        What is open and under no row that is seen at once is left in `elsewhere`.
        """
        is_seen = not page.rendering or page.has_moved
        shown = {
            (key, row.name)
            for group in (page.objects if is_seen else [])
            for key in group.keys
            for row in group.changed
        }
        self.elsewhere = [one for one in self.open if one.place not in shown]
        base = page.url if page.may_decide else ""
        return [self._annotated(group, base) for group in page.objects]

    def _annotated(self, group: ObjectChange, base: str) -> ObjectChange:
        places = {
            one.name: [(key, one.name) for key in group.keys]
            for one in (*group.changed, *group.unchanged)
        }
        elsewhere = {one.comment.pk for one in self.elsewhere}

        def annotated(row: Any, base: str) -> Any:
            here = [
                one
                for one in self.all
                if one.place in places[row.name] and one.comment.pk not in elsewhere
            ]
            url = self._url(base, places[row.name][0]) if base else ""
            return replace(row, comments=tuple(here), comment_url=url)

        return replace(
            group,
            changed=tuple(annotated(row, base) for row in group.changed),
            unchanged=tuple(annotated(row, "") for row in group.unchanged),
        )

    def _url(self, base: str, place: tuple[str, str]) -> str:
        """Where a comment on this field is written; empty if it cannot be."""
        if place not in self.places:
            return ""
        asked = urlencode({"about": place[0], "field": place[1]})
        return f"{base}{'' if base.endswith('?') else '&'}{asked}#decision"
