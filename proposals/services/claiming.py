"""Saying that one is reviewing something, so that colleagues take something else.

Nothing here decides anything or is waited for: no verb and no worker asks who reviews what. So it
takes no lock of a proposal, only the turn of whoever claims, and what came of a race of several
people is told by the row. Nor is it a fact for the ledger, which holds what people decided.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from ledger import clock
from proposals import seats
from proposals.exceptions import AlreadyDecided, IllegalTransition, NotEligible, NotFound
from proposals.lifecycle import Status, require
from proposals.models import Proposal, ReviewClaim
from proposals.models.review_claim import CLAIM_LIFETIME
from proposals.services.turns import take_turn

RENEWED_AFTER = timedelta(minutes=1)  # so that a page in use writes once a minute at most
TRIES = 3  # to find a claim, or none, that does not change hands while it is asked for


def claim_review(*, proposal_id: UUID, person: Any) -> ReviewClaim:
    """Say for ten minutes that this person is reviewing it, and no longer anything else.

    Raises NotFound, IllegalTransition unless it waits for people, NotEligible for whoever may not
    decide on it, or AlreadyDecided while somebody else is reviewing it.
    """
    related = ("agent__owner", "proposer", "current_check__revision")
    proposal = Proposal.objects.select_related(*related).filter(pk=proposal_id).first()
    if proposal is None:
        raise NotFound
    require(proposal, Status.PENDING)
    check = proposal.current_check
    if check is None:
        raise IllegalTransition("The checks have not run yet.", status=proposal.status)
    if objection := seats.ineligibility(person, proposal, check):
        raise NotEligible(objection)
    with transaction.atomic():
        take_turn(person)  # or of two claims at once each would end the other
        found = taken(proposal, person, clock.now())
        if found.person_id != person.pk:
            who = found.person_name
            raise AlreadyDecided(f"{who} is reviewing this; you can decide all the same.")
        end_others(found)
    return found


def end_others(claim: ReviewClaim) -> None:
    """One pair of eyes: nobody keeps colleagues from a whole list by claiming all of it."""
    others = ReviewClaim.objects.filter(person=claim.person).exclude(proposal=claim.proposal)
    # What somebody else is taking over just now is theirs; waiting for them, who may be waiting for
    # this one, would never end.
    free = others.select_for_update(skip_locked=True, of=("self",))
    ReviewClaim.objects.filter(pk__in=[one.pk for one in free], person=claim.person).delete()


def taken(proposal: Proposal, person: Any, now: datetime) -> ReviewClaim:
    """The claim that stands after this person asked for it: theirs, or of whoever has it.

    Raises AlreadyDecided where it changes hands faster than it can be asked for.
    """
    wanted = {"person": person, "round": proposal.round, "until": now + CLAIM_LIFETIME}
    of_this = ReviewClaim.objects.filter(proposal=proposal)
    is_free = Q(person=person) | Q(until__lte=now) | ~Q(round=proposal.round)
    for _ in range(TRIES):
        if of_this.filter(is_free).update(**wanted):
            return ReviewClaim(proposal=proposal, **wanted)
        try:
            return of_this.select_related("person").get_or_create(
                proposal=proposal, defaults=wanted
            )[0]
        except IntegrityError:  # there when it was inserted, and given up before it was read
            continue
    raise AlreadyDecided("Others are claiming this just now; you can decide all the same.")


def renew_review_claim(*, proposal_id: UUID, person: Any) -> datetime | None:
    """Let a claim of this person go on, as they are at it. Returns its end; None if none stands.

    Said also where it did not move, so that whoever missed an answer is told by the next.
    """
    now = clock.now()
    mine = ReviewClaim.objects.filter(
        proposal=proposal_id,
        proposal__status=Status.PENDING,
        proposal__round=F("round"),
        person=person,
        until__gt=now,
    )
    if mine.filter(until__lte=now + CLAIM_LIFETIME - RENEWED_AFTER).update(
        until=now + CLAIM_LIFETIME
    ):
        return now + CLAIM_LIFETIME
    return mine.values_list("until", flat=True).first()


def release_review_claim(*, proposal_id: UUID, person: Any) -> None:
    """This person is not reviewing it any more: they say so, or they decided. Never of others."""
    ReviewClaim.objects.filter(proposal=proposal_id, person=person).delete()


def prune_review_claims(*, now: datetime) -> int:
    """Remove the claims that have ended. Returns how many."""
    removed, _ = ReviewClaim.objects.filter(until__lte=now).delete()
    return removed
