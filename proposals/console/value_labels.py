"""Labels of stored values as somebody types them: a line for each, value, equals sign, label."""

import re
from collections.abc import Mapping

from proposals import text
from proposals.actions.mailing import one_line
from proposals.actions.tables import (
    LONGEST_LABEL,
    LONGEST_LABELLED,
    MOST_LABELS,
    SPELLED,
    can_be_labelled,
)

LINE = re.compile(r"\r\n|\r|\n")  # as they are seen, and no other character that may end one
LONGEST = 12_000
TOLD = 5  # further faults are told once these are mended
SPELLING = {
    "integer": "a whole number as it is stored, such as 3",
    "boolean": "true or false",
}


class BadLines(ValueError):
    """Lines that cannot be understood, each told by its number in a sentence."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = faults[:TOLD]


def parsed(typed: str, kind: str) -> dict[str, str]:
    """The labels by stored value; lines that are empty say nothing. All of them, or BadLines."""
    lines = [(at, line) for at, line in enumerate(LINE.split(typed), 1) if line.strip()]
    if lines and kind not in SPELLED:
        raise BadLines([f"Values of kind {kind} are shown as they are: labels are for others."])
    if len(lines) > MOST_LABELS:
        raise BadLines([f"These are {len(lines)} lines; {MOST_LABELS} values can have a label."])
    found: dict[str, str] = {}
    at_line: dict[str, int] = {}
    faults = []
    for at, line in lines:
        value, equals, label = (part.strip() for part in line.partition("="))
        if fault := fault_of(value, equals, label, kind):
            faults.append(f"Line {at}: {fault}.")
        elif value in found:
            faults.append(f"Line {at}: this value has a label already, in line {at_line[value]}.")
        else:
            found[value], at_line[value] = label, at
    if faults:
        raise BadLines(faults)
    return found


def fault_of(value: str, equals: str, label: str, kind: str) -> str:
    """What is wrong with one line; empty if nothing is."""
    if not equals:
        return "there is no = between a value and its label"
    if not value or not label:
        return f"there is no {'label after' if value else 'value before'} the ="
    if len(value) > LONGEST_LABELLED or len(label) > LONGEST_LABEL:
        return (
            f"a value of at most {LONGEST_LABELLED} characters and a label of at most "
            f"{LONGEST_LABEL}"
        )
    if not can_be_labelled(kind, value):
        return f"{text.plain(value, 40)} is not {SPELLING[kind]}"
    try:
        one_line(value + label)
    except ValueError as error:
        return str(error)
    return ""


def typed(labels: Mapping[str, str]) -> str:
    """The same labels as they are typed."""
    return "\n".join(f"{value} = {label}" for value, label in labels.items())
