"""What the list of actions and the page of one show, gathered before a template is opened."""

from dataclasses import dataclass
from typing import Any

from proposals.console import http_sources
from proposals.console.http_meaning import CONSEQUENCES, can_be_asked, promise
from proposals.console.http_sources import Lines
from proposals.http_actions import ready
from proposals.models import Grant, HttpAction, NamedSecret
from proposals.registry import Action, registry
from proposals.targets import wiring

CHANGES_SHOWN = 20
NOT_UNDERSTOOD = "This definition is not understood by this release."


@dataclass(frozen=True)
class Row:
    """One action in the list."""

    name: str
    says: str
    promise: str
    undo: str
    stored: HttpAction | None = None
    origin: str = ""
    is_understood: bool = True
    secret: str = ""
    secret_state: str = ""


def undo_of(action: Action) -> str:
    return "can be undone" if action.is_reversible else "cannot be undone"


def secret_state(name: str, origin: str, kept: dict[str, NamedSecret]) -> str:
    """Whether the secret that an action needs is there; empty where it is."""
    found = kept.get(name)
    if not name:
        return ""
    if found is None or not found.is_kept:
        return "not kept"
    return "" if found.origin == origin else "kept for another host"


def all_secrets() -> dict[str, NamedSecret]:
    return {secret.name: secret for secret in NamedSecret.objects.all()}


class ActionsPage:
    """Every action: those that people configured, and those in code."""

    def __init__(self) -> None:
        wiring.refresh()
        secrets = all_secrets()
        self.configured = [configured(row, secrets) for row in HttpAction.objects.all()]
        self.in_code = [
            Row(
                name=action.name,
                says=action.description or action.title,
                promise=promise(action),
                undo=undo_of(action),
            )
            for _, action in sorted(registry.actions.items())
            if not action.is_internal
        ]
        self.ready = READY


def configured(stored: HttpAction, secrets: dict[str, NamedSecret]) -> Row:
    origin = str(stored.definition.get("origin", ""))
    action = registry.configured.get(stored.name)
    return Row(
        name=stored.name,
        says=action.title if action else NOT_UNDERSTOOD,
        promise=promise(action) if action else "",
        undo=undo_of(action) if action else "",
        stored=stored,
        origin=origin,
        is_understood=action is not None,
        secret=stored.secret,
        secret_state=secret_state(stored.secret, origin, secrets),
    )


READY = [
    ("stripe-refund", "Stripe-style refund", "form-encoded, keyed, cannot be undone"),
    ("generic-json", "Generic JSON service", "sets one value, keyed, can be undone"),
]
assert {name for name, *_ in READY} == set(ready.names())


@dataclass(frozen=True)
class Change:
    """One step of an action's history."""

    row: Any
    what: str
    lines: Lines


class ActionPage:
    """One configured action."""

    def __init__(self, stored: HttpAction) -> None:
        wiring.refresh()
        self.row = configured(stored, all_secrets())
        self.stored = stored
        self.action: Any = registry.configured.get(stored.name)
        self.yaml = http_sources.stored_yaml(stored.definition)
        self.changes = changes_of(stored)
        self.agents = agents_that_may(stored.name)

    @property
    def consequence(self) -> str:
        return CONSEQUENCES[self.action.delivery]

    @property
    def undo_promise(self) -> str:
        undo = self.action.defined.undo
        return promise(undo) if undo else ""

    @property
    def can_be_asked(self) -> bool:
        return can_be_asked(self.action)


def changes_of(stored: HttpAction) -> list[Change]:
    """The newest changes, each with what it changed in the definition."""
    rows = list(stored.history.select_related("history_user")[: CHANGES_SHOWN + 1])
    found = []
    for row, former in zip(rows, [*rows[1:], None], strict=True):
        before = http_sources.stored_yaml(former.definition) if former else ""
        after = http_sources.stored_yaml(row.definition)
        lines = http_sources.changed_lines(before, after) if former else []
        if former is None:
            what = "defined" if len(rows) <= CHANGES_SHOWN else "changed"
        elif row.is_enabled != former.is_enabled:
            what = "switched on" if row.is_enabled else "switched off"
        else:
            what = "changed"
        found.append(Change(row, what, lines))
    return found[:CHANGES_SHOWN]


def agents_that_may(name: str) -> list[Any]:
    """The agents with a grant that covers this action, each with the patterns that do."""
    found: dict[Any, Any] = {}
    for grant in Grant.objects.select_related("agent").order_by("agent__name", "pattern"):
        if grant.covers(name):
            found.setdefault(grant.agent_id, (grant.agent, []))[1].append(grant.pattern)
    return list(found.values())
