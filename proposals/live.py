"""What the target holds now, for the fields that a check touched."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from proposals import checks
from proposals.exceptions import ActionError, TargetUnavailable
from proposals.meanings import Meaning, stored
from proposals.models import Check, Proposal
from proposals.registry import Action, registry

logger = logging.getLogger(__name__)
Word = TypeVar("Word")
OUT_OF_REACH: dict[str, Any] = {}  # nothing was said, and asking again would not help
MOST_NAMED = 300  # of one place on one page; further keys are shown without a name


@dataclass(frozen=True)
class Live:
    """The values now, shaped as `Check.before`; or why they could not be read."""

    values: dict[str, Any] | None
    error: str = ""
    names: dict[str, str] = field(default_factory=dict)


def now(proposal: Proposal, check: Check) -> Live:
    """Read the target again; never raises for what the action or the target does."""
    findings = checks.examine(proposal.action, check.revision.params)
    return Live(
        values=findings.before,
        error=findings.error,
        names={} if findings.error else names(proposal.action, check.revision.params),
    )


def names(action_name: str, params: dict[str, Any]) -> dict[str, str]:
    """What people call the objects; nothing where that cannot be read, as nothing depends on it."""
    return said(action_name, lambda action: action.names(params))


def meanings(action_name: str, params: dict[str, Any]) -> dict[str, Meaning]:
    """What the fields mean to people; nothing where nobody says, as nothing depends on it."""
    return said(action_name, lambda action: action.meanings(params))


def referred(
    action_name: str, meanings: Mapping[str, Meaning], values: Iterable[tuple[str, Any]]
) -> dict[str, dict[str, str]]:
    """What people call the objects that these values of fields refer to, by place and key.

    Each place is asked once, however many fields and values refer to it. One that cannot be read
    has no names, whatever becomes of the others: the keys say all that is decided on. Once the
    target is out of reach nothing more is asked, as each would wait for as long.
    """
    wanted: dict[str, dict[str, None]] = defaultdict(dict)
    for name, value in values:
        place = meanings[name].refers_to if name in meanings else ""
        if place and stored(value):
            wanted[place][stored(value)] = None

    def asking(place: str) -> Callable[[Action], dict[str, str]]:
        return lambda action: action.called(place, list(wanted[place])[:MOST_NAMED])

    names: dict[str, dict[str, str]] = {}
    for place in wanted:
        names[place] = said(action_name, asking(place))
        if names[place] is OUT_OF_REACH:
            break
    return names


def held(
    action_name: str, params: dict[str, Any], keys: Iterable[str], fields: Iterable[str]
) -> dict[str, dict[str, Any] | None]:
    """What objects hold now in fields by which others are read; asked once, if there are any."""
    few, wanted = list(dict.fromkeys(keys))[:MOST_NAMED], sorted(set(fields))
    if not few or not wanted:
        return {}
    return said(action_name, lambda action: dict(action.held(params, few, wanted)))


def said(action_name: str, ask: Callable[[Action], dict[str, Word]]) -> dict[str, Word]:
    """What an action says of a call for people to read; empty if it says nothing or fails."""
    try:
        return ask(registry.get(action_name))
    except TargetUnavailable:
        return OUT_OF_REACH
    except (ActionError, LookupError):
        return {}
    except Exception:  # a page must not fail for an action's fault
        logger.exception("%s could not say what people call its objects and fields", action_name)
        return {}
