"""What moved since a page was made, in words for one line of news. Nothing here moves the page."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.db.models import OuterRef, Subquery
from django.http import QueryDict
from django.urls import reverse

from proposals.console.lists import MOST_COUNTED, Place, items
from proposals.console.personal import hour
from proposals.console.presenters import DECISIONS
from proposals.models import Proposal, Resolution, Review
from proposals.models.desk import LONGEST_LIST

# What was being committed while the list was read became visible a little after its own time.
MARGIN = timedelta(seconds=30)
CHECKED_AGAIN = "Checked again at {}, with another result."


def of_list(place: Place) -> str:
    """3 new, 2 decided; empty if the list is as it was."""
    if place.stored is None or not place.tab.is_worked_down:
        return ""
    parts = [(arrived(place), "new"), (departed(place), "decided")]
    return ", ".join(f"{capped(number)} {word}" for number, word in parts if number)


def departed(place: Place) -> int:
    """How many have left the list. Asks only about those that moved or that this person decided."""
    if place.stored is None:
        return 0
    since = place.stored.made_at - MARGIN
    moved = Proposal.objects.filter(pk__in=place.ids, updated_at__gte=since)
    asked = set(moved.values_list("pk", flat=True))
    latest = Review.objects.filter(reviewer=place.user).order_by("-id")
    for proposal_id, at in latest.values_list("proposal_id", "created_at")[:LONGEST_LIST]:
        if at < since:
            break
        asked.add(proposal_id)
    asked &= set(place.ids)
    return len(asked) - len(place.still_listed(list(asked))) if asked else 0


def arrived(place: Place) -> int:
    """How many are in the list today that were not when it was stored."""
    if place.stored is None:
        return 0
    found = place.form.narrow(items(place.tab.name, place.user))
    since = place.stored.made_at - MARGIN
    recent = found.filter(updated_at__gte=since).order_by().values_list("pk", flat=True)
    known = set(place.ids)
    return sum(one not in known for one in recent[: LONGEST_LIST + MOST_COUNTED + 1])


def capped(number: int) -> str:
    return f"{MOST_COUNTED}+" if number > MOST_COUNTED else str(number)


def pulse_url(proposal: Proposal) -> str:
    """Where the review page asks for news: the address names what the page was made of."""
    return f"{reverse('pulse')}?{urlencode({'proposal': proposal.pk, **standing(proposal)})}"


def standing(proposal: Proposal) -> dict[str, Any]:
    """What a decision depends on and other people or workers may change."""
    check = proposal.current_check
    last = last_verdict(proposal)
    return {
        "status": proposal.status,
        "revision": proposal.revision_number,
        "digest": check.digest if check else "",
        "review": last.pk if last else 0,
        "resolution": (last.last_resolution or 0) if last else 0,
    }


def last_verdict(proposal: Proposal) -> Any:
    """The latest that weighs: a verdict, or a comment that keeps everybody from approving.

    None if nothing does. Its `last_resolution` names the comment that was resolved last, if any.
    """
    resolutions = Resolution.objects.filter(review__proposal=OuterRef("proposal")).order_by("-id")
    found = proposal.reviews.exclude(decision=Review.Decision.COMMENT, blocks=False)
    found = found.annotate(last_resolution=Subquery(resolutions.values("pk")[:1]))
    return found.order_by("-id").first()


def of_proposal(proposal: Proposal, seen: QueryDict, user: Any) -> str:
    """What changed since somebody opened its page, in sentences; empty if nothing did."""
    now, said = standing(proposal), []
    at = hour(proposal.updated_at)
    if str(now["review"]) != seen.get("review", "0"):
        said.append(verdict(last_verdict(proposal), user))
    if str(now["resolution"]) != seen.get("resolution", "0"):
        said.append(resolution(now["resolution"], user))
    if str(now["revision"]) != seen.get("revision", ""):
        said.append(f"Revision {now['revision']} was written at {at}.")
    elif now["digest"] != seen.get("digest", ""):
        said.append(CHECKED_AGAIN.format(at))
    if now["status"] != seen.get("status", ""):
        said.append(f"Since {at} it is: {proposal.get_status_display().lower()}.")
    return " ".join(said)


def resolution(resolution_id: int, user: Any) -> str:
    """Whose comment no longer blocks approval, and who said so."""
    found = Resolution.objects.select_related("review").filter(pk=resolution_id).first()
    if found is None:
        return ""
    who = "You" if found.person_id == user.pk else found.person_name
    whose = "their own"
    if found.person_id != found.review.reviewer_id:
        is_mine = found.review.reviewer_id == user.pk
        whose = "your" if is_mine else f"{found.review.reviewer_name}’s"
    elif who == "You":
        whose = "your own"
    return f"{who} resolved {whose} comment at {hour(found.created_at)}."


def verdict(review: Review | None, user: Any) -> str:
    if review is None:
        return ""
    who = "You" if review.reviewer_id == user.pk else review.reviewer_name
    return f"{who} {DECISIONS[Review.Decision(review.decision)]} at {hour(review.created_at)}."
