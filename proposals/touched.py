"""Which objects a check or a commit touched, for the ledger to be searched by: names, no values."""

import logging
from typing import Any

from proposals import text
from proposals.models import Check, Proposal
from proposals.registry import Image, registry

logger = logging.getLogger(__name__)
MOST = 500
LONGEST = 500


def of_check(proposal: Proposal, check: Check) -> dict[str, Any]:
    """What a check would touch; an object that is not there before has no image yet."""
    return said(proposal, check.revision.params, {**(check.after or {}), **(check.before or {})})


def said(proposal: Proposal, params: dict[str, Any], images: Image) -> dict[str, Any]:
    """What an entry's body says of its objects, where that is more than the entry's own object.

    Names at most MOST of them, in order, and says how many more there are.
    """
    own = {proposal.resource}
    found = sorted({name for name in names(proposal.action, params, images) if fits(name)} - own)
    facts: dict[str, Any] = {"objects": found[:MOST]} if found else {}
    return facts | ({"more_objects": len(found) - MOST} if len(found) > MOST else {})


def names(action_name: str, params: dict[str, Any], images: Image) -> list[Any]:
    try:
        return list(registry.get(action_name).objects(params, images))
    except Exception:  # what was written is written: an action's own fault must not hide that
        logger.exception("The objects of %s could not be named", action_name)
        return []


def fits(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST and text.is_storable(name)
