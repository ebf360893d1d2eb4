"""What people read beside a stored value: a word for it, or the name of what it refers to. Pure.

Display only. What is hashed, compared and decided on is the stored value, and none of this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BOOLEANS = {"true": "yes", "false": "no"}
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Meaning:
    """How people read one field of a target.

    `values` are labels by stored value, spelled as `stored` does. `refers_to` is the place whose
    objects the field names by their keys; `Action.called` is asked what people call those.
    `currency` is the field that says in which currency this amount is.
    """

    label: str = ""
    kind: str = ""  # "timestamp" for a moment, which each person reads in their own time zone
    values: Mapping[str, str] = field(default_factory=dict)
    refers_to: str = ""
    currency: str = ""


@dataclass(frozen=True)
class Rendering:
    """What somebody else would read once this is written, for pages to show in a frame as text.

    `lines` are what stands above the text, such as who it is from. Strangers' text, all of it.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    text: str


@dataclass(frozen=True)
class Beside:
    """A word that stands for a stored value, or the name of what it refers to; often neither."""

    word: str = ""
    name: str = ""

    @property
    def is_any(self) -> bool:
        return bool(self.word or self.name)


def stored(value: Any) -> str:
    """How labels and keys spell a stored value; empty for what neither can be of."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | str) else ""


def in_words(shown: str, found: Beside) -> str:
    """A value on one line of plain text, where `shown` is how it is stored."""
    if found.word:
        return f"{found.word} ({shown})"
    return f"{shown} ({found.name})" if found.name else shown


def beside(
    value: Any, labels: Mapping[str, str] = NOTHING, names: Mapping[str, str] = NOTHING
) -> Beside:
    """What is read with this value: a label before a plain yes or no, and either before a name."""
    spelled = stored(value)
    word = labels.get(spelled, "") if spelled else ""
    if not word and isinstance(value, bool):
        word = BOOLEANS[spelled]
    return Beside(word=word, name="" if word else names.get(spelled, ""))
