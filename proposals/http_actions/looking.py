"""Reading the target before a write: the before-image, what must hold in it, what is at stake."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from proposals import text
from proposals.exceptions import TargetRefused, TargetUnavailable
from proposals.http_actions import calling, classing, currencies, requests
from proposals.http_actions.classing import Read, same
from proposals.http_actions.definition import AmountAt, CountAt, Definition, Preview
from proposals.http_actions.templating import Values
from proposals.registry import Money

LONGEST_FIELD = 10_000


class NotThere(TargetRefused):
    """The target has no such object."""


@dataclass(frozen=True)
class Seen:
    """What a preview request found: the fields of one object, and what a mistake would touch."""

    fields: dict[str, Any]
    objects: int | None = None
    people: int | None = None
    amount: Money | None = None


def look(definition: Definition, preview: Preview, values: Values, resource: str) -> Seen:
    """Read the target. Raises TargetRefused with a sentence, NotThere, or TargetUnavailable."""
    made = requests.make(definition, preview.request, values)
    answer = calling.understood(calling.read(definition, made))
    if answer.status in preview.missing:
        raise NotThere(f"{definition.origin} has no {resource}.")
    if answer.status not in preview.found:
        raise TargetUnavailable(f"{definition.origin} answered {answer.status} when it was read.")
    if answer.body is classing.NOTHING:
        raise TargetUnavailable(f"{definition.origin} was read, and did not answer with JSON.")
    return Seen(
        fields={name: field(answer, name, at) for name, at in preview.fields.items()},
        objects=count(answer, preview.measures.objects, "objects"),
        people=count(answer, preview.measures.people, "people"),
        amount=amount(answer, preview.measures.amount),
    )


def field(answer: Read, name: str, pointer: str) -> Any:
    """One value of the before-image, exactly; what cannot be kept as it is is refused."""
    found = answer.at(pointer)
    kept = calling.held(found)
    if kept is classing.NOTHING:
        raise TargetRefused(f"What was read has no single value at {pointer} for {name}.")
    if isinstance(kept, str) and (kept != str(found) or len(kept) > LONGEST_FIELD):
        raise TargetRefused(f"The value at {pointer} for {name} cannot be kept as it is.")
    return kept


def require(preview: Preview, fields: dict[str, Any]) -> None:
    """Raise TargetRefused, in a sentence, for the first field that is not as it must be."""
    for name, accepted in preview.requires.items():
        if not any(same(fields[name], one) for one in accepted):
            wanted = " or ".join(told(one) for one in accepted)
            raise TargetRefused(f"{name} is {told(fields[name])}, and it must be {wanted}.")


def told(value: Any) -> str:
    words = {None: "null", True: "true", False: "false", "": "empty"}
    if value is None or isinstance(value, bool) or value == "":
        return words[value]
    return text.plain(value, 60)


def count(answer: Read, at: CountAt | None, what: str) -> int | None:
    if at is None:
        return None
    found = answer.at(at.pointer)
    if isinstance(found, list):
        found = len(found)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise TargetRefused(f"What was read has no number of {what} at {at.pointer}.")
    if at.at_most is not None and found > at.at_most:
        raise TargetRefused(f"It would touch {found} {what}, and at most {at.at_most} are allowed.")
    return found


def amount(answer: Read, at: AmountAt | None) -> Money | None:
    """The money at stake as the target has it. Never guessed: what is unclear is refused."""
    if at is None:
        return None
    currency = at.currency or answer.at(at.currency_pointer)
    found = answer.at(at.pointer)
    try:
        code = str(currency).upper()
        number = Decimal(str(found)) if isinstance(found, str | int | float) else Decimal("NaN")
        if at.unit == "minor":
            digits = at.minor_digits.get(code, currencies.digits_of(code))
            number = number.scaleb(-digits)
        currencies.digits_of(code)
    except (InvalidOperation, LookupError):
        number = Decimal("NaN")
    if isinstance(found, bool) or not number.is_finite() or number < 0:
        raise TargetRefused(f"What was read has no amount of a known currency at {at.pointer}.")
    if at.at_most and number > Decimal(at.at_most):
        raise TargetRefused(f"It is about {number:f} {code}, and at most {at.at_most} is allowed.")
    return Money(number, code)
