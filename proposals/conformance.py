"""Whether an action keeps what every action promises. Tried out, and not only declared.

Runs against the action's own example parameters, on a target that is there to try things on: it
writes, and takes back what it wrote. Each examination is one sentence, which holds or not.
"""

import copy
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ledger.canonical import canonical
from proposals import touched
from proposals.exceptions import (
    ActionError,
    InvalidParams,
    StaleTarget,
    VoidedKey,
)
from proposals.registry import Action, Call, Delivery, Outcome, Preview, registry

MARK = "APPROVE THIS \u202e AT ONCE"
HAS_RECEIPTS = {Delivery.TRANSACTIONAL, Delivery.KEYED}


@dataclass(frozen=True)
class Finding:
    """One sentence about an action. `holds` is None where it does not apply, with the reason."""

    sentence: str
    holds: bool | None
    why: str = ""


class Broken(Exception):
    """The sentence under examination does not hold; says how it was seen."""


class Inapplicable(Exception):
    """The sentence says nothing about this action; says why."""


def examine(action: Action, params: dict[str, Any] | None = None) -> Iterator[Finding]:
    """Every sentence in turn, up to the first that does not hold."""
    try:
        tried = params if params is not None else action.example()
    except NotImplementedError:
        told = "It has no example(): parameters to try it with, on a target meant for that."
        yield Finding("It has an example to be tried with.", False, told)
        return
    except ActionError as error:
        yield Finding("It has an example to be tried with.", False, str(error))
        return
    except Exception as error:
        yield Finding("It has an example to be tried with.", False, f"example() raised {error!r}.")
        return
    trial = Trial(action, tried)
    for examination in EXAMINATIONS:
        sentence = (examination.__doc__ or "").strip()
        try:
            examination(trial)
        except Broken as error:
            yield Finding(sentence, False, str(error))
            return
        except Inapplicable as error:
            yield Finding(sentence, None, str(error))
        except Exception as error:
            yield Finding(sentence, False, f"It raised {type(error).__name__}: {error}")
            return
        else:
            yield Finding(sentence, True)


@dataclass
class Trial:
    """One action with the parameters that it is tried with."""

    action: Action
    given: dict[str, Any]

    def __post_init__(self) -> None:
        self.prefix = f"conformance-{secrets.token_hex(8)}"
        self.count = 0

    @property
    def params(self) -> dict[str, Any]:
        return self.action.validate(copy.deepcopy(self.given))

    def new_key(self) -> str:
        self.count += 1
        return f"{self.prefix}-{self.count}"

    def preview(self) -> Preview:
        return self.action.preview(self.params)

    def observed(self) -> bytes:
        return canonical(self.action.observed(self.params))

    def apply(self, key: str, expected: dict[str, Any] | None = None) -> Outcome:
        before = self.preview().before if expected is None else expected
        return applied(self.action, self.params, key, before)

    def take_back(self, outcome: Outcome) -> None:
        """Apply the compensation that an outcome names, as the product would."""
        call = outcome.compensation
        if call is None:
            raise Broken("The outcome names no compensation, although the preview did.")
        action, params = understood(call)
        found = action.preview(params)
        if found.conflicts:
            raise Broken(f"Its compensation conflicts at once: {found.conflicts[0]}.")
        applied(action, params, self.new_key(), found.before)


def applied(action: Action, params: dict[str, Any], key: str, expected: dict[str, Any]) -> Outcome:
    """Write as the product does: outside a transaction, the comparison comes before the intent."""
    if action.delivery is not Delivery.TRANSACTIONAL:
        action.prepare(params, expected=expected)
    return action.apply(params, key=key, expected=expected)


def understood(call: Call) -> tuple[Action, dict[str, Any]]:
    try:
        action = registry.get(call.action)
    except LookupError:
        raise Broken(f"Its compensation {call.action} is no registered action.") from None
    try:
        return action, action.validate(json.loads(canonical(call.params)))
    except InvalidParams as error:
        raise Broken(f"Its compensation does not fit {call.action}: {faults_in(error)}") from None


def told(preview: Preview) -> bytes:
    """All that a preview says, as bytes."""
    compensation = preview.compensation.as_json() if preview.compensation else None
    return canonical(
        [preview.before, preview.after, preview.impact.as_json(), preview.tier, compensation]
    )


def describes_every_parameter(trial: Trial) -> None:
    """Its schema describes every parameter."""
    schema = trial.action.schema()
    if missing := sorted(set(undescribed(schema))):
        raise Broken(f"No description: {', '.join(missing)}.")
    if not trial.action.description:
        raise Broken("The action itself has no description.")


def undescribed(schema: Any, name: str = "") -> Iterator[str]:
    """The properties without a description, wherever in the schema they are."""
    if isinstance(schema, list):
        for part in schema:
            yield from undescribed(part, name)
    if not isinstance(schema, dict):
        return
    for part, inner in (schema.get("properties") or {}).items():
        place = f"{name}.{part}" if name else part
        if not inner.get("description"):
            yield place
        yield from undescribed(inner, place)
    for key, inner in schema.items():
        if key == "$defs":
            for definition in inner.values():
                yield from undescribed(definition, name)
        elif key in {"items", "oneOf", "anyOf", "allOf", "additionalProperties"}:
            yield from undescribed(inner, name)


def takes_what_it_is_tried_with_and_no_unknown_parameter(trial: Trial) -> None:
    """It takes what it is tried with, and refuses a parameter that it does not know."""
    try:
        canonical(trial.params)
    except InvalidParams as error:
        raise Broken(f"What it is tried with does not fit: {faults_in(error)}") from None
    try:
        trial.action.validate({**copy.deepcopy(trial.given), "unknown_to_all": 1})
    except InvalidParams:
        return
    raise Broken('It took {"unknown_to_all": 1}: forbid extra fields, or typing errors pass.')


def faults_in(error: InvalidParams) -> str:
    """Each field that does not fit, and why."""
    told = [
        f"{fault['pointer'].removeprefix('/params') or '/'}: {fault['detail']}"
        for fault in error.errors
    ]
    return "; ".join(told) or str(error)


def speaks_in_the_systems_words(trial: Trial) -> None:
    """Its title renders, and repeats no text that an agent is free to choose."""
    sentence = trial.action.sentence(trial.params)
    if not sentence.strip() or "{" in sentence:
        raise Broken(f"The title reads {sentence!r}.")
    for place, changed in with_text_replaced(trial.given):
        try:
            params = trial.action.validate(changed)
        except InvalidParams:
            continue
        if MARK in trial.action.sentence(params):
            raise Broken(f"The title repeats {place}, in which an agent may write anything.")


def with_text_replaced(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The value once for every text in it, with that text replaced by one that no system wrote."""
    if isinstance(value, str):
        yield place, MARK
    elif isinstance(value, dict):
        for key, inner in value.items():
            for where, changed in with_text_replaced(inner, f"{place}/{key}"):
                yield where, {**value, key: changed}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for where, changed in with_text_replaced(inner, f"{place}/{index}"):
                yield where, [*value[:index], changed, *value[index + 1 :]]


def says_what_it_touches(trial: Trial) -> None:
    """It names its resource, its delivery and its impact as the product needs them."""
    resource = trial.action.resource(trial.params)
    if not isinstance(resource, str) or not resource or len(resource) > 255:
        raise Broken(f"resource() must be a text of 1 to 255 characters, not {resource!r:.100}.")
    if not isinstance(trial.action.delivery, Delivery):
        raise Broken(f"delivery must be a Delivery, not {trial.action.delivery!r}.")
    preview = trial.preview()
    named, impact = trial.action.objects(trial.params, preview.after), preview.impact
    if not all(touched.fits(name) for name in named):
        raise Broken(f"objects() must be texts of 1 to {touched.LONGEST} characters, not {named}.")
    if impact.objects < 1 or not impact.reasons:
        raise Broken("The impact must count at least one object and give a reason.")


def previews_without_writing(trial: Trial) -> None:
    """Previewing writes nothing: two previews are equal, and the target is as it was."""
    before = trial.observed()
    first, second = trial.preview(), trial.preview()
    if told(first) != told(second):
        raise Broken(f"The second preview differs: {first.before} became {second.before}.")
    if trial.observed() != before:
        raise Broken("The target changed while it was previewed.")


def refuses_a_moved_target(trial: Trial) -> None:
    """It writes nothing over a value that moved since the preview: `expected` protects."""
    expected = moved(trial.preview().before)
    if expected is None:
        raise Inapplicable("Nothing was there before, so nothing can have moved.")
    before, key = trial.observed(), trial.new_key()
    try:
        trial.apply(key, expected)
    except StaleTarget:
        pass
    except ActionError as error:
        raise Broken(f"It raised {type(error).__name__} instead of StaleTarget.") from None
    else:
        raise Broken("It wrote, although the target holds something else than was approved.")
    if trial.observed() != before:
        raise Broken("It raised StaleTarget, and had written all the same.")


def moved(before: dict[str, dict[str, Any] | None]) -> dict[str, Any] | None:
    """The before-image as if somebody had changed one value since; None if it holds none."""
    for key, image in before.items():
        for name, value in (image or {}).items():
            return {**before, key: {**(image or {}), name: other_than(value)}}
    return None


def other_than(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value} moved" if isinstance(value, str) else "moved"


def writes_what_was_seen_and_takes_it_back(trial: Trial) -> None:
    """Applying writes what the preview showed, and its compensation restores it exactly."""
    before, shown = trial.observed(), trial.preview()
    outcome = trial.apply(trial.new_key())
    canonical([outcome.result, outcome.after])
    if shown.compensation is None:
        if trial.action.is_reversible and outcome.compensation is not None:
            raise Broken("The preview said that it cannot be undone; the outcome says it can.")
        raise Inapplicable("It cannot be undone, and says so.")
    if trial.observed() == before:
        raise Broken("Applying changed nothing that observed() or preview() would see.")
    trial.take_back(outcome)
    if trial.observed() != before:
        left = json.loads(trial.observed())
        raise Broken(f"After apply and compensation the target holds {left!r:.300}.")


def has_one_effect_per_key(trial: Trial) -> None:
    """The same key twice has one effect, and returns the first outcome."""
    if trial.action.delivery not in HAS_RECEIPTS:
        raise Inapplicable(f"{trial.action.delivery} delivery promises no more than one attempt.")
    expected, key = trial.preview().before, trial.new_key()
    first = trial.apply(key, expected)
    if first.compensation is not None:
        trial.take_back(first)
    between = trial.observed()
    second = trial.apply(key, expected)
    if trial.observed() != between:
        raise Broken("The second apply under the same key had an effect of its own.")
    if canonical([first.result, first.after]) != canonical([second.result, second.after]):
        raise Broken("The second apply under the same key returned another outcome.")


def never_applies_a_voided_key(trial: Trial) -> None:
    """A key that was voided never applies, and voiding one that was applied says so."""
    if trial.action.delivery is not Delivery.TRANSACTIONAL:
        raise Inapplicable(f"{trial.action.delivery} delivery cannot void.")
    before, key = trial.observed(), trial.new_key()
    expected = trial.preview().before
    if trial.action.void(trial.params, key=key) is not None:
        raise Broken("Voiding a key that was never applied returned an outcome.")
    try:
        trial.apply(key, expected)
    except VoidedKey:
        pass
    else:
        raise Broken("It applied under a key that had been voided.")
    if trial.observed() != before:
        raise Broken("It raised VoidedKey, and had written all the same.")
    applied = trial.new_key()
    first = trial.apply(applied, expected)
    found = trial.action.void(trial.params, key=applied)
    if first.compensation is not None:
        trial.take_back(first)
    if found is None:
        raise Broken("Voiding a key that was applied returned no outcome: it would be lost.")


def answers_what_became_of_a_key(trial: Trial) -> None:
    """Asked about a key that it never saw, the target says that there was none."""
    if trial.action.delivery is not Delivery.QUERYABLE:
        raise Inapplicable(f"{trial.action.delivery} delivery is not asked.")
    expected = trial.action.preview(trial.params).before
    if trial.action.probe(trial.params, key=trial.new_key(), expected=expected) is not None:
        raise Broken("probe() found an outcome for a key that was never used.")


EXAMINATIONS: tuple[Callable[[Trial], None], ...] = (
    describes_every_parameter,
    takes_what_it_is_tried_with_and_no_unknown_parameter,
    speaks_in_the_systems_words,
    previews_without_writing,  # before anything else previews, or its traces would look old
    says_what_it_touches,
    refuses_a_moved_target,
    writes_what_was_seen_and_takes_it_back,
    has_one_effect_per_key,
    never_applies_a_voided_key,
    answers_what_became_of_a_key,
)
