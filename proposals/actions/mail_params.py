"""Parameters of `email.send`: pydantic models made from the templates in force.

One model per template, told apart by `template`, so that the JSON Schema an agent reads lists
exactly the templates, fields and recipients there are.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    TypeAdapter,
    WithJsonSchema,
    create_model,
)

from proposals.actions import addresses
from proposals.actions.mailing import Field as Gap
from proposals.actions.mailing import Kind, Mailing, Template, current, one_line, paragraph
from proposals.actions.record_params import Strict, day
from proposals.actions.tables import SAFE_INTEGER

AMOUNT = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,4})?$"


class Amount(Strict):
    """Money, as everywhere in this interface."""

    amount: Annotated[
        str, Field(pattern=AMOUNT, description="In major units, as text, such as 12.50")
    ]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217, such as EUR")]


class NoTemplate(Strict):
    """No template is in force, so nothing fits."""

    template: Annotated[
        Literal["(no mail template is in force)"], Field(description="There is none yet")
    ]


PLAIN_TYPES: dict[Kind, Any] = {
    Kind.INTEGER: Annotated[int, Field(ge=-SAFE_INTEGER, le=SAFE_INTEGER)],
    Kind.MONEY: Amount,
    Kind.DATE: Annotated[
        str, AfterValidator(day), WithJsonSchema({"type": "string", "format": "date"})
    ],
}


def adapter() -> TypeAdapter:
    return adapter_of(current())


@lru_cache(maxsize=2)
def adapter_of(mailing: Mailing) -> TypeAdapter:
    models = [model_of(template, mailing.domains) for template in mailing.templates.values()]
    if not models:
        return TypeAdapter(NoTemplate)
    if len(models) == 1:
        return TypeAdapter(models[0])
    either: Any = Union[tuple(models)]  # noqa: UP007
    return TypeAdapter(Annotated[either, Field(discriminator="template")])


def model_of(template: Template, domains: tuple[str, ...]) -> type[BaseModel]:
    """The parameters of one template."""
    name = template.name.replace("-", "_")
    # The field's own name is prefixed: a gap may be called `json` or `copy`.
    gaps: dict[str, Any] = {
        f"gap_{gap.name}": (value_type(gap), Field(alias=gap.name, description=gap.words))
        for gap in template.fields
    }
    filled: Any = create_model(f"Fields_{name}", __base__=Strict, **gaps)
    told = "What fills the gaps of the template, literally"
    parts: dict[str, Any] = {
        "template": (Literal[template.name], Field(description=template.words.capitalize())),
        "to": (recipient(domains), Field(description=whom(domains), examples=someone(domains))),
        "fields": (filled, Field(... if gaps else {}, description=told)),
    }
    return create_model(f"Send_{name}", __base__=Strict, **parts)


def someone(domains: tuple[str, ...]) -> list[str]:
    """An address that would be taken, for whoever reads the schema."""
    return [f"somebody@{domain}" for domain in sorted(domains)[:1]]


def value_type(gap: Gap) -> Any:
    """What may fill a gap, in JSON."""
    if gap.kind is Kind.CHOICE:
        return Literal[gap.choices]
    if gap.kind in PLAIN_TYPES:
        return PLAIN_TYPES[gap.kind]
    plain = one_line if gap.kind is Kind.LINE else paragraph
    limits = Field(min_length=1, max_length=gap.max_length)
    return Annotated[str, limits, AfterValidator(plain), AfterValidator(visible)]


def visible(value: str) -> str:
    if not value.strip():
        raise ValueError("something to read, and not only blanks")
    return value


def recipient(domains: tuple[str, ...]) -> Any:
    """One address of a listed domain: exactly that domain, and nothing above or below it."""
    return Annotated[
        str, Field(max_length=addresses.LONGEST), AfterValidator(one_of(frozenset(domains)))
    ]


def one_of(domains: frozenset[str]) -> Callable[[str], str]:
    def listed(value: str) -> str:
        addresses.address(value)
        if addresses.domain_of(value) not in domains:
            raise ValueError("an address of a domain that a person listed; this one is not")
        return value

    return listed


def whom(domains: tuple[str, ...]) -> str:
    if not domains:
        return "One address. No domain is listed yet, so none is taken"
    return f"One address, of one of these domains exactly: {', '.join(domains)}"


def as_written(gap: Gap, value: Any) -> str:
    """A value as the mail says it."""
    if gap.kind is Kind.MONEY:
        return f"{value['amount']} {value['currency']}"
    return str(value)


def sample(gap: Gap) -> Any:
    """Something to fill a gap with, for examples."""
    if gap.kind is Kind.CHOICE:
        return gap.choices[0]
    if gap.kind in SAMPLES:
        return SAMPLES[gap.kind]
    words = f"({gap.words})"
    return (words if gap.kind is Kind.LINE else f"{words}\n{words}")[: gap.max_length]


SAMPLES: dict[Kind, Any] = {
    Kind.INTEGER: 42,
    Kind.MONEY: {"amount": "120.00", "currency": "EUR"},
    Kind.DATE: "2026-01-31",
}
