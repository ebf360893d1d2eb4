"""What a definition means, in words and by an example, before anybody keeps it. Sends nothing."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ledger.canonical import digest
from proposals import services
from proposals.console import http_sources
from proposals.console.http_sources import Lines
from proposals.exceptions import ActionError, ProposalError
from proposals.http_actions import currencies, loading, parameters
from proposals.http_actions.definition import Definition, Write
from proposals.http_actions.parameters import DecimalText, MoneyAmount
from proposals.http_actions.templating import Unfit
from proposals.models import HttpAction
from proposals.registry import Action, Delivery
from proposals.services.http_actions import Examined, Sent, shown

PROMISES = {
    Delivery.TRANSACTIONAL: "transactional: effect and receipt commit together",
    Delivery.QUERYABLE: "can be asked: after an unclear answer the provider says what became of it",
    Delivery.UNCERTAIN: "uncertain: people settle unknown outcomes",
}
CONSEQUENCES = {
    Delivery.TRANSACTIONAL: "It cannot happen twice, and there are no unknown outcomes.",
    Delivery.KEYED: "After an unclear answer the same request is sent again under the same key, "
    "within 80 % of that time; the provider does it once.",
    Delivery.QUERYABLE: "It is sent once. After an unclear answer the provider is asked; nothing "
    "is sent again by itself.",
    Delivery.UNCERTAIN: "It is sent once. After an unclear answer a person finds out what became "
    "of it; nothing is sent again by itself.",
}


def promise(action: Action | Write) -> str:
    """What may be promised of a write: keyed, for how long; can be asked; or neither."""
    if action.delivery is not Delivery.KEYED:
        return PROMISES[action.delivery]
    hours = round(action.key_seconds / 3600)
    words = f"keyed: the provider honours a key for {hours} h" if hours else "keyed"
    return f"{words}, and can be asked after that" if can_be_asked(action) else words


def can_be_asked(action: Any) -> bool:
    return getattr(getattr(action, "write", action), "probe", None) is not None


@dataclass(frozen=True)
class Example:
    """A call with parameters that somebody gave, or that were made up, and its request."""

    is_made_up: bool
    params: dict[str, Any]
    sentence: str = ""
    request: Sent | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Meaning:
    """Everything that a person is shown before a definition is kept."""

    examined: Examined
    stored: HttpAction | None
    changes: Lines
    example: Example

    @property
    def definition(self) -> Definition:
        return self.examined.definition

    @property
    def seen(self) -> str:
        """Names what was shown: the definition, and the one that it would replace."""
        former = self.stored.definition if self.stored else None
        return digest([self.definition.as_json(), former], "http-action-seen")

    @property
    def promise(self) -> str:
        return promise(self.definition)

    @property
    def consequence(self) -> str:
        return CONSEQUENCES[self.definition.delivery]

    @property
    def undo_promise(self) -> str:
        return promise(self.definition.undo) if self.definition.undo else ""

    @property
    def is_same(self) -> bool:
        return self.stored is not None and not self.changes


def meaning_of(raw: Any) -> Meaning:
    """What this JSON value would do as a definition. Raises InvalidRequest with its faults."""
    examined = services.examine_http_action(definition=raw)
    stored = HttpAction.objects.filter(name=examined.definition.name).first()
    former = http_sources.stored_yaml(stored.definition) if stored else ""
    new = http_sources.stored_yaml(examined.definition.as_json())
    return Meaning(
        examined=examined,
        stored=stored,
        changes=http_sources.changed_lines(former, new) if stored else [],
        example=example_of(examined.definition),
    )


def example_of(definition: Definition) -> Example:
    """The request of one call, as it would be sent, with its secret masked."""
    action: Any = loading.made(definition)[definition.name]
    params = definition.example or made_up(definition.parameters)
    try:
        return Example(
            is_made_up=not definition.example,
            params=params,
            sentence=action.sentence(params),
            request=shown(action, params),
        )
    except (Unfit, ActionError, ProposalError, ValueError) as error:
        return Example(is_made_up=not definition.example, params=params, refusal=str(error))


def made_up(described: dict[str, Any]) -> dict[str, Any]:
    """Parameters that look like real ones; a pattern is not looked at."""
    return {name: one_value(name, parameter) for name, parameter in described.items()}


def one_value(name: str, parameter: Any) -> Any:
    match parameter:
        case parameters.Choice():
            return parameter.choices[0]
        case parameters.Integer():
            return min(max(parameter.minimum, 1), parameter.maximum)
        case parameters.Boolean():
            return True
        case DecimalText():
            least = max(Decimal(parameter.minimum), min(Decimal(12), Decimal(parameter.maximum)))
            return f"{least:.{parameter.digits}f}"
        case MoneyAmount():
            currency = parameter.currencies[0]
            amount = min(Decimal(12), Decimal(parameter.maximum))
            digits = currencies.digits_of(currency)
            return {"amount": f"{amount:.{digits}f}", "currency": currency}
    return name.upper()[: parameter.max_length]
