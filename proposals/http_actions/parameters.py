"""What an agent may fill in: a small, closed set of kinds, each strict. Pure.

Values of every kind but text are closed: a number, a choice, a key of a strict alphabet. Only these
may stand in sentences and names of resources, for free text there could speak to reviewers.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from typing_extensions import TypedDict

from proposals.http_actions import currencies
from proposals.http_actions.templating import LEFT_OUT
from proposals.registry import Money

SAFE_INTEGER = 2**53 - 1
AMOUNT = r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?"
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:@+=~-]*", re.ASCII)
ONE_LINE = re.compile(r"[^\x00-\x1f\x7f\u2028\u2029]*")
SEVERAL_LINES = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")
STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
KINDS = ("text", "identifier", "choice", "integer", "boolean", "decimal", "money")
PARTS_OF_MONEY = ("amount", "minor", "currency", "currency_lower")

Description = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Pattern = Annotated[str, StringConstraints(max_length=200)]
AmountText = Annotated[str, StringConstraints(pattern=f"^{AMOUNT}$")]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]


class Described(BaseModel):
    """What all kinds have in common."""

    model_config = STRICT

    description: Description
    required: bool = True

    @property
    def is_closed(self) -> bool:
        return True

    def parts(self) -> tuple[str, ...]:
        """What a template may say after its name; "" for the name alone."""
        return ("",)

    def type(self) -> Any:
        """What pydantic validates a value with."""
        raise NotImplementedError

    def values(self, value: Any) -> dict[str, Any]:
        """What each part of a valid value is. Raises ValueError for what has no such part."""
        return {"": value}

    def words(self, value: Any) -> str:
        """A value in a sentence."""
        return str(value)


class Patterned(Described):
    pattern: Pattern = ""

    @model_validator(mode="after")
    def pattern_is_one(self) -> "Patterned":
        # Alone first: only then can it not end the group that it is put into.
        for tried in (self.pattern, self.whole_pattern):
            try:
                TypeAdapter(Annotated[str, StringConstraints(pattern=tried)])
            except Exception as error:
                raise ValueError(f"the pattern is not understood: {error}") from None
        return self

    @property
    def whole_pattern(self) -> str:
        """The pattern for the whole value; matched in linear time, whatever it says."""
        return f"^(?:{self.pattern})$" if self.pattern else ""

    def text(self, max_length: int, *checks: Any) -> Any:
        limits = StringConstraints(strict=True, min_length=1, max_length=max_length)
        pattern = [Field(pattern=self.whole_pattern)] if self.pattern else []
        return Annotated[(str, limits, *pattern, *checks)]  # type: ignore[return-value]


class Text(Patterned):
    """Anything the agent writes; never shown in the system's sentences."""

    kind: Literal["text"]
    max_length: int = Field(default=500, ge=1, le=10_000)
    multiline: bool = False

    @property
    def is_closed(self) -> bool:
        return False

    def type(self) -> Any:
        allowed = SEVERAL_LINES if self.multiline else ONE_LINE
        return self.text(self.max_length, AfterValidator(only(allowed)))


class Identifier(Patterned):
    """A key of the other system: letters, digits and a few signs."""

    kind: Literal["identifier"]
    max_length: int = Field(default=64, ge=1, le=100)

    def type(self) -> Any:
        # Of two patterns pydantic keeps one, so the alphabet is looked at apart.
        shown = [] if self.pattern else [Field(pattern=f"^{IDENTIFIER.pattern}$")]
        return self.text(self.max_length, *shown, AfterValidator(self.in_alphabet))

    def in_alphabet(self, value: str) -> str:
        if not IDENTIFIER.fullmatch(value):
            raise ValueError("Letters, digits and . _ : @ + = ~ - only, the first no sign.")
        return value


class Choice(Described):
    kind: Literal["choice"]
    choices: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]] = Field(
        min_length=1, max_length=50
    )

    def type(self) -> Any:
        return Literal[tuple(self.choices)]


class Integer(Described):
    kind: Literal["integer"]
    minimum: int = Field(default=0, ge=-SAFE_INTEGER, le=SAFE_INTEGER)
    maximum: int = Field(ge=-SAFE_INTEGER, le=SAFE_INTEGER)

    def type(self) -> Any:
        return Annotated[int, Field(strict=True, ge=self.minimum, le=self.maximum)]


class Boolean(Described):
    kind: Literal["boolean"]

    def type(self) -> Any:
        return Annotated[bool, Field(strict=True)]

    def words(self, value: Any) -> str:
        return "yes" if value else "no"


class DecimalText(Described):
    """A decimal number as text, always with the same digits; money where it has a currency."""

    kind: Literal["decimal"]
    digits: int = Field(default=2, ge=0, le=4)
    minimum: AmountText = "0"
    maximum: AmountText
    currency: Currency | Literal[""] = ""
    minor_digits: int | None = Field(default=None, ge=0, le=4)

    @model_validator(mode="after")
    def fits_its_currency(self) -> "DecimalText":
        require_currency(self.currency)
        if self.currency and self.digits != currencies.digits_of(self.currency):
            raise ValueError(f"{self.currency} has {currencies.digits_of(self.currency)} digits")
        return self

    def parts(self) -> tuple[str, ...]:
        return ("", "minor") if self.currency else ("",)

    def type(self) -> Any:
        return Annotated[
            str,
            Field(strict=True, pattern=pattern_of(self.digits)),
            AfterValidator(within(Decimal(self.minimum), Decimal(self.maximum))),
            AfterValidator(self.countable),
        ]

    def countable(self, value: str) -> str:
        self.values(value)
        return value

    def values(self, value: Any) -> dict[str, Any]:
        if not self.currency:
            return {"": value}
        digits = self.digits if self.minor_digits is None else self.minor_digits
        return {"": value, "minor": currencies.in_minor_units(Decimal(value), digits)}

    def money(self, value: Any) -> Money | None:
        return Money(Decimal(value), self.currency) if self.currency else None

    def words(self, value: Any) -> str:
        return f"{value} {self.currency}".strip()


class MoneyAmount(Described):
    """An amount with its currency: {"amount": "12.00", "currency": "EUR"}."""

    kind: Literal["money"]
    currencies: list[Currency] = Field(min_length=1, max_length=200)
    maximum: AmountText
    # Where the provider counts in other units than ISO 4217 has, such as UGX with two digits.
    minor_digits: dict[Currency, Annotated[int, Field(ge=0, le=4)]] = {}

    @model_validator(mode="after")
    def currencies_are_known(self) -> "MoneyAmount":
        for currency in (*self.currencies, *self.minor_digits):
            require_currency(currency)
        return self

    def parts(self) -> tuple[str, ...]:
        return PARTS_OF_MONEY

    def type(self) -> Any:
        amount = Field(
            strict=True,
            pattern=f"^{AMOUNT}$",
            description="In major units, with all the digits of its currency.",
        )
        currency = Field(description="As ISO 4217 has it.")
        parts = {
            "amount": Annotated[str, amount],
            "currency": Annotated[Literal[tuple(self.currencies)], currency],
        }
        shape = strict_dict("MoneyAmount", parts)
        return Annotated[shape, AfterValidator(self.fitting)]

    def fitting(self, value: dict[str, str]) -> dict[str, str]:
        digits = currencies.digits_of(value["currency"])
        if not re.fullmatch(pattern_of(digits)[1:-1], value["amount"], re.ASCII):
            raise ValueError(f"{value['currency']} has {digits} digits after the point.")
        within(Decimal(0), Decimal(self.maximum), is_above=True)(value["amount"])
        self.values(value)
        return value

    def values(self, value: Any) -> dict[str, Any]:
        currency = value["currency"]
        digits = self.minor_digits.get(currency, currencies.digits_of(currency))
        return {
            "amount": value["amount"],
            "minor": currencies.in_minor_units(Decimal(value["amount"]), digits),
            "currency": currency,
            "currency_lower": currency.lower(),
        }

    def money(self, value: Any) -> Money | None:
        return Money(Decimal(value["amount"]), value["currency"])

    def words(self, value: Any) -> str:
        return f"{value['amount']} {value['currency']}"


Parameter = Annotated[
    Text | Identifier | Choice | Integer | Boolean | DecimalText | MoneyAmount,
    Field(discriminator="kind"),
]
Parameters = dict[Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,39}$")], Parameter]


def adapter_of(parameters: dict[str, Any], title: str) -> TypeAdapter:
    """What validates a whole set of parameters: strict, and no others than these."""
    fields: dict[str, Any] = {}
    for name, parameter in parameters.items():
        described: Any = Annotated[parameter.type(), Field(description=parameter.description)]
        fields[name] = described if parameter.required else NotRequired[described]
    return TypeAdapter(strict_dict(title, fields))


def strict_dict(title: str, fields: dict[str, Any]) -> Any:
    """A dictionary with these keys and no others. No class: names of methods are names too."""
    make: Any = TypedDict
    shape = make(title, fields)
    shape.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    return shape


def values_of(parameters: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """What every slot stands for, by name; LEFT_OUT for what was not given."""
    found: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name in params:
            values = parameter.values(params[name])
        else:
            values = dict.fromkeys(parameter.parts(), LEFT_OUT)
        found |= {f"{name}.{part}".rstrip("."): value for part, value in values.items()}
    return found


def words_of(parameters: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """What every closed parameter is called in a sentence."""
    return {
        name: parameter.words(params[name]) if name in params else LEFT_OUT
        for name, parameter in parameters.items()
        if parameter.is_closed
    }


def only(allowed: re.Pattern[str]) -> Any:
    def check(value: str) -> str:
        if not allowed.fullmatch(value):
            raise ValueError("Control characters and line breaks are not allowed here.")
        return value

    return check


def within(least: Decimal, most: Decimal, *, is_above: bool = False) -> Any:
    def check(value: str) -> str:
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise ValueError("This is no decimal number.") from None
        if not least <= number <= most or (is_above and number == least):
            raise ValueError(f"It must be {'more than' if is_above else 'from'} {least} to {most}.")
        return value

    return check


def pattern_of(digits: int) -> str:
    """One way to write each number: two texts are two amounts."""
    return r"^(0|[1-9][0-9]{0,14})" + (rf"\.[0-9]{{{digits}}}$" if digits else "$")


def require_currency(currency: str) -> None:
    if currency and currency not in currencies.DIGITS:
        raise ValueError(f"{currency} is not a currency of ISO 4217")
