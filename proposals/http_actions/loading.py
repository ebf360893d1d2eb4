"""From stored definitions to the actions of this process; called by `proposals.targets.wiring`."""

import logging
from dataclasses import dataclass, field
from typing import Any

from proposals.exceptions import InvalidRequest
from proposals.http_actions import reading
from proposals.http_actions.action import ConfiguredAction
from proposals.http_actions.definition import Definition
from proposals.http_actions.undoing import ConfiguredUndo
from proposals.models import HttpAction, NamedSecret
from proposals.registry import Action, registry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Defined:
    """One state of the configured actions, and the digests of those that may be written now."""

    actions: dict[str, Action] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


_defined = Defined()


def current() -> Defined:
    return _defined


def install(defined: Defined) -> None:
    """Let the configured actions be these and no others, from now on, in this process."""
    global _defined
    _defined = defined
    registry.configured = defined.actions


def absent(name: str) -> str:
    """What stands for the definition of an action that is off; tables do the same."""
    return f"absent:{name}"


def load() -> Defined:
    """Every stored definition as actions. What is off, or not understood, refuses with a reason."""
    secrets = {secret.name: secret.facts() for secret in NamedSecret.objects.all()}
    found = Defined()
    for row in HttpAction.objects.all():
        try:
            definition = reading.read(row.definition)
        except InvalidRequest as error:  # written for a release that knew more
            logger.warning("The HTTP action %s is not understood: %s", row.name, error)
            continue
        digest = row.digest(secrets.get(row.secret)) if row.is_enabled else absent(row.name)
        closed = "" if row.is_enabled else f"The action {row.name} is switched off."
        found.actions.update(made(definition, named=digest, closed=closed))
        if row.is_enabled:
            found.digests[row.name] = digest
    return found


def made(definition: Definition, *, named: str = "", closed: str = "") -> dict[str, Any]:
    """The actions of one definition: the write, and its undo where there is one."""
    write = ConfiguredAction(definition, named=named, closed=closed)
    write.is_internal = bool(closed)  # no agent is offered what is off
    found: dict[str, Any] = {definition.name: write}
    if definition.undo is not None:
        undo = ConfiguredUndo(definition, definition.undo, named=named, closed=closed)
        found[undo.name] = undo
    return found
