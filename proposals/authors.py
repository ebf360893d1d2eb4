"""Whose values a revision holds: the agent's, or those of people who proposed others.

Independence is about people, not accounts: accounts that share an e-mail address are one person.
"""

from itertools import pairwise
from typing import Any

from django.contrib.auth import get_user_model

from proposals.models import Check, Revision
from proposals.registry import Tier

WRITTEN = "You proposed these values, and at high tier nobody approves what they wrote."


def person(user: Any) -> str:
    """What tells people apart: the address if there is one, else the account."""
    return user.email.strip().casefold() or f"user:{user.pk}"


def writers(revision: Revision) -> list[Any]:
    """The people who proposed other values since the agent last chose values of its own.

    So an agent that amends its words alone, or a second person who changes a little more, does not
    make those values anybody else's. Of a first revision there are none: its author proposed it.
    """
    if not hasattr(revision, "_countersign_writers"):
        keys = user_keys(revision) if revision.number > 1 else set()
        people = get_user_model().objects.filter(pk__in=keys) if keys else ()
        revision._countersign_writers = list(people)  # type: ignore[attr-defined]
    return revision._countersign_writers  # type: ignore[attr-defined, no-any-return]


def author(revision: Revision) -> Any:
    """The person who wrote this revision; None for an agent."""
    kind, _, key = revision.author.partition(":")
    return get_user_model().objects.filter(pk=key).first() if kind == "user" else None


def user_keys(revision: Revision) -> set[str]:
    earlier = Revision.objects.filter(proposal=revision.proposal_id, number__lte=revision.number)
    rows = list(earlier.order_by("-number").values_list("author", "params"))
    found = set()
    for (author, params), (_, former) in pairwise(rows):
        kind, _, key = author.partition(":")
        if kind == "user":
            found.add(key)
        elif params != former:
            break
    return found


def has_written(user: Any, revision: Revision) -> bool:
    """Whether the values of this revision are, also in part, this person's."""
    return any(person(one) == person(user) for one in writers(revision))


def objection(user: Any, check: Check) -> str:
    """Why whoever wrote these values may not fill a seat on them; empty where they may."""
    if check.tier in {Tier.LOW, Tier.MEDIUM} or not has_written(user, check.revision):
        return ""
    return WRITTEN
