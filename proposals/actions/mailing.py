"""The mails that exist for actions at all: templates that people wrote, domains that they listed.

`proposals.targets.wiring` brings here what is in force (docs/mail.md). An agent chooses a template
and fills in its fields, each of a declared kind; it adds no header, no recipient and no other text.
"""

import dataclasses
import re
import unicodedata
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic import Field as Limits
from pydantic.dataclasses import dataclass

from ledger.canonical import digest
from proposals import text
from proposals.actions.tables import absent
from proposals.exceptions import InvalidRequest
from proposals.registry import Tier, faults, pointer

Word = Annotated[StrictStr, Limits(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
# Names of parameters, and of pages beside those of templates.
RESERVED = frozenset({"to", "fields", "template", "add"})


def slug(value: str) -> str:
    if value in RESERVED or not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", value):
        raise ValueError("a name of lower-case letters, digits and hyphens, a letter first")
    return value


STRICT = ConfigDict(extra="forbid")
PLACE = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]{0,39})\}|[{}]")
MOST_FIELDS = 20
LONGEST_SUBJECT, LONGEST_TEXT = 250, 50_000


class Kind(StrEnum):
    """What a field of a template may hold."""

    LINE = "line"
    PARAGRAPH = "paragraph"
    INTEGER = "integer"
    MONEY = "money"
    DATE = "date"
    CHOICE = "choice"


# How many characters a value takes at most, where its kind says so and not the template.
WIDTHS = {Kind.INTEGER: 17, Kind.MONEY: 25, Kind.DATE: 10}


@dataclass(frozen=True, config=STRICT)
class Field:
    """One gap of a template that an agent fills in."""

    name: Word
    kind: Kind = Kind.LINE
    label: Annotated[StrictStr, Limits(max_length=200)] = ""
    max_length: Annotated[StrictInt, Limits(ge=1, le=5000)] = 200
    choices: tuple[StrictStr, ...] = ()

    @model_validator(mode="after")
    def options_fit_the_kind(self) -> "Field":
        if (self.kind is Kind.CHOICE) != bool(self.choices):
            raise ValueError("a choice lists its values, and nothing else does")
        if len(set(self.choices)) != len(self.choices):
            raise ValueError("every choice once")
        for choice in self.choices:
            if not choice.strip() or len(choice) > 200:
                raise ValueError("a choice has 1 to 200 characters")
            one_line(choice)
        one_line(self.label)
        return self

    @property
    def width(self) -> int:
        """How many characters its longest value takes."""
        if self.kind is Kind.CHOICE:
            return max(map(len, self.choices))
        return WIDTHS.get(self.kind, self.max_length)

    @property
    def words(self) -> str:
        """What people call it."""
        return self.label or self.name.replace("_", " ")


@dataclass(frozen=True, config=STRICT)
class Template:
    """One mail with gaps. What surrounds them is the operator's, and always plain text."""

    name: Annotated[StrictStr, AfterValidator(slug)]
    subject: Annotated[StrictStr, Limits(min_length=1, max_length=LONGEST_SUBJECT)]
    body: Annotated[StrictStr, Limits(min_length=1, max_length=10_000)]
    label: Annotated[StrictStr, Limits(max_length=60)] = ""
    fields: Annotated[tuple[Field, ...], Limits(max_length=MOST_FIELDS)] = ()
    tier: Tier = Tier.MEDIUM

    @model_validator(mode="after")
    def parts_fit_together(self) -> "Template":
        if self.tier is Tier.LOW:
            raise ValueError("a mail leaves the building for good, so its tier is never low")
        one_line(self.label)
        one_line(self.subject)
        paragraph(self.body)
        if self.subject != self.subject.strip():
            raise ValueError("the subject begins and ends with something to read")
        if not self.body.strip():
            raise ValueError("the text says something")
        self.require_fields()
        for what, part, most in (
            ("subject", self.subject, LONGEST_SUBJECT),
            ("text", self.body, LONGEST_TEXT),
        ):
            longest = self.width(part)
            if longest > most:
                raise ValueError(
                    f"with the longest values the {what} has {longest} characters; at most {most}"
                )
        return self

    def require_fields(self) -> None:
        """Every gap is declared once, and every field is a gap."""
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError("every field once")
        used = gaps(self.subject) | gaps(self.body)
        if missing := sorted(used - set(names)):
            raise ValueError(f"{{{missing[0]}}} is no declared field")
        if unused := sorted(set(names) - used):
            raise ValueError(f"the field {unused[0]} is nowhere in subject or text")
        long = {field.name for field in self.fields if field.kind is Kind.PARAGRAPH}
        if gaps(self.subject) & long:
            raise ValueError("a paragraph cannot stand in the subject")

    def width(self, part: str) -> int:
        """How long a part becomes with the longest values."""
        return len(self.filled(part, {field.name: "x" * field.width for field in self.fields}))

    def filled(self, part: str, values: dict[str, str]) -> str:
        """A part with its gaps filled, literally and in one pass: a value opens no other gap."""

        def put(match: re.Match[str]) -> str:
            return values[match[1]] if match[1] else match[0][0]

        return PLACE.sub(put, part)

    @property
    def words(self) -> str:
        """What reviewers call a mail made from it."""
        return self.label or self.name.replace("-", " ")


def gaps(part: str) -> set[str]:
    """The names between braces. Raises ValueError for a brace that means nothing."""
    found = list(PLACE.finditer(part))
    if any(match[0] in {"{", "}"} for match in found):
        raise ValueError("a brace stands for a field, such as {order}; a plain one is {{ or }}")
    return {match[1] for match in found if match[1]}


def one_line(value: str) -> str:
    """A text of one line with nothing hidden in it. Raises ValueError naming the character."""
    for character in value:
        if unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}:
            raise ValueError(f"one line of plain text; this holds {text.name_of(character)}")
    return unhidden(value)


def paragraph(value: str) -> str:
    """A text whose lines end with line feeds, with nothing hidden in it. Raises ValueError."""
    for character in value:
        if character != "\n" and unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"}:
            raise ValueError(
                "plain text whose lines end with a line feed alone; this holds "
                f"{text.name_of(character)}"
            )
    return unhidden(value)


def unhidden(value: str) -> str:
    """Refuse what a recipient could not see, or would see in another order."""
    if hidden := text.alarming(value):
        raise ValueError(f"text without what hides or reorders it; this holds {hidden[0]}")
    return value


@dataclasses.dataclass(frozen=True, eq=False)
class Mailing:
    """One state of what may be sent; equal to nothing but itself, so that caches can go by it."""

    templates: dict[str, Template] = dataclasses.field(default_factory=dict)
    # Why a template cannot be used now, and what names each one as it is now.
    closed: dict[str, str] = dataclasses.field(default_factory=dict)
    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    domains: tuple[str, ...] = ()


_wired = Mailing()


def install(wired: Mailing) -> None:
    """Let exactly this be what may be sent, from now on, in this process."""
    global _wired
    _wired = wired


def current() -> Mailing:
    """What may be sent as this process knows it."""
    return _wired


def definition_of(name: str, settings: list[str]) -> str:
    """Names a template and the domains as they are now, and what the settings add to a mail.

    The first part is what the rows say, in every process alike, and its change alone sends back
    what waits for people: machines with different settings would do so to each other for ever.
    """
    rows = _wired.digests.get(full_name(name))
    if rows is None:
        return absent(full_name(name))
    return f"{rows}+{digest(settings, 'mail-settings').removeprefix('sha256:')[:32]}"


def words_of(name: str) -> str:
    """What people call a template; of one that is not in force, its name."""
    template = _wired.templates.get(name)
    return template.words if template else name.replace("-", " ")


def full_name(name: str) -> str:
    return f"mail/{name}"


def get(name: str) -> Template:
    """The template of this name. Raises LookupError with why there is none."""
    try:
        return _wired.templates[name]
    except KeyError:
        raise LookupError(_wired.closed.get(name, f"There is no mail template {name!r}.")) from None


def described_by(name: str, definition: Any) -> Template:
    """The template that a definition describes. Raises InvalidRequest with a pointer per fault."""
    try:
        return TypeAdapter(Template).validate_python({**definition, "name": name})
    except ValidationError as error:
        errors = [pointer(fault) for fault in faults(error)]
        told = errors[0]["detail"]
        raise InvalidRequest(f"{told[:1].upper()}{told[1:]}.", errors=errors) from None
