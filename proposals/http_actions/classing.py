"""What an answer means: applied, not applied, not taken, stale; or unknown, which is the default.

Only what the definition lists means anything. A redirection, an answer of the 500s but a listed
503, and a success that cannot be read or lacks its reference say nothing about what was done. Pure.
"""

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proposals.http_actions.definition import Answers, Match, Probe, Write

REFERENCE = re.compile(r"[!-~]{1,200}")
NOTHING: Any = object()  # what a pointer finds where there is nothing
WITHOUT_A_BODY = (204, 205)


class Class(StrEnum):
    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    NOT_TAKEN = "not_taken"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Read:
    """An answer as it was understood: its status, and its JSON where it is some."""

    status: int
    body: Any = NOTHING

    def at(self, pointer: str) -> Any:
        return at(self.body, pointer)


@dataclass(frozen=True)
class Meaning:
    """What an answer says was done, and the sentence for people where it is not clear."""

    kind: Class
    reference: str = ""
    why: str = ""


def parsed(status: int, body: bytes, *, is_cut: bool) -> Read:
    """An answer, with its JSON where the whole of it is JSON."""
    if is_cut:
        return Read(status)
    try:
        return Read(status, json.loads(body, parse_constant=no_number))
    except (ValueError, RecursionError):
        return Read(status)


def no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def at(value: Any, pointer: str) -> Any:
    """What a JSON pointer finds; NOTHING where there is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name, NOTHING)
        elif isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 7:
            value = value[int(name)] if int(name) < len(value) else NOTHING
        else:
            return NOTHING
    return value


def same(one: Any, other: Any) -> bool:
    """Equal, and of one type: true is not 1."""
    return type(one) is type(other) and one == other


def fits(match: Match, answer: Read) -> bool:
    if match.status != answer.status:
        return False
    if not match.pointer:
        return True
    found = answer.at(match.pointer)
    return any(same(found, accepted) for accepted in match.equals)


def listed(answers: Answers, answer: Read, *, with_pointer: bool) -> set[Class]:
    """The classes that list this answer, by value or by status alone."""
    return {
        kind
        for kind in Class
        for match in getattr(answers, kind)
        if bool(match.pointer) is with_pointer and fits(match, answer)
    }


def mean(write: Write, answer: Read) -> Meaning:
    """What an answer to a write says. What names a value goes before what names a status alone."""
    found = listed(write.answers, answer, with_pointer=True)
    found = found or listed(write.answers, answer, with_pointer=False)
    if len(found) != 1:
        told = "which the definition does not list" if not found else "which means several things"
        return Meaning(Class.UNKNOWN, why=f"It answered {answer.status}, {told}.")
    kind = found.pop()
    if kind is Class.UNKNOWN:
        return Meaning(kind, why=f"It answered {answer.status}, which leaves it open.")
    if kind is Class.APPLIED:
        return applied(write, answer)
    return Meaning(kind)


def applied(write: Write, answer: Read) -> Meaning:
    """A success counts only with all that it has to carry."""
    is_readable = answer.body is not NOTHING or answer.status in WITHOUT_A_BODY
    if write.answers.body == "json" and not is_readable:
        why = f"It answered {answer.status}, with a body that cannot be read."
        return Meaning(Class.UNKNOWN, why=why)
    if not write.reference:
        return Meaning(Class.APPLIED)
    reference = reference_at(answer.body, write.reference)
    if not reference:
        why = f"It answered {answer.status} without a reference at {write.reference}."
        return Meaning(Class.UNKNOWN, why=why)
    return Meaning(Class.APPLIED, reference)


def reference_at(value: Any, pointer: str) -> str:
    """The provider's own name for what it did; empty where there is none that can be kept."""
    found = at(value, pointer)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return ""
    return str(found) if REFERENCE.fullmatch(str(found)) else ""


def found_by(probe: Probe, answer: Read, wanted: str) -> Any:
    """Of a probe's answer, the value that is about our write; None where it says there is none.

    NOTHING where it says neither. `wanted` is what an item of a list must hold to be ours.
    """
    is_found = any(fits(match, answer) for match in probe.found)
    is_absent = any(fits(match, answer) for match in probe.absent)
    if is_found == is_absent:
        return NOTHING
    if is_absent:
        return None
    if probe.items is None:
        return answer.body if has_what_it_must(probe, answer.body) else NOTHING
    items = at(answer.body, probe.items.list)
    if not isinstance(items, list):
        return NOTHING
    ours = [item for item in items if same(at(item, probe.items.pointer), wanted)]
    if len(ours) == 1:
        return ours[0] if has_what_it_must(probe, ours[0]) else NOTHING
    # More pages may hold it; and two are no answer.
    has_more = probe.items.more and at(answer.body, probe.items.more) is not False
    return NOTHING if ours or has_more else None


def has_what_it_must(probe: Probe, value: Any) -> bool:
    return isinstance(value, dict) and (
        not probe.reference or bool(reference_at(value, probe.reference))
    )
