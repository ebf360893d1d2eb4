"""The language of conditions: CEL, bounded by its engine and by what is declared here.

The engine answers errors as values, and only `True` and `False` may pass for an answer; so
everything else becomes a `ConditionFailed`. It bounds iterations, but neither memory nor what one
comparison costs, and so these are kept from it on purpose: its strings extension (eight chained
replacements took 13 s and 2 GB), conditions beyond 2,000 characters, a fourth loop, a sum within
a condition that loops (25 doublings of a text took 1 GB), and facts nested deeper than 64, which
end the whole process instead of raising.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from itertools import product
from typing import Any

from cel_expr_python import cel

MAX_LENGTH = 2000
MAX_DEPTH = 64
MAX_LOOPS = 3

MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
NAMES = {
    "params": MAP,
    "before": MAP,
    "after": MAP,
    "impact": MAP,
    "agent": MAP,
    "run": MAP,
    "history": MAP,
    "action": cel.Type.STRING,
    "resource": cel.Type.STRING,
    "tier": cel.Type.STRING,
    "now": cel.Type.TIMESTAMP,
}

# Words, wherever they stand: leaving out literals would need the engine's own idea of a literal.
LOOP = re.compile(r"\b(?:all|exists|exists_one|existsOne|map|filter)\b")
FAULT = re.compile(r"<input>:(\d+):(\d+): (.*)")
STATUS_WORD = re.compile(r"^(?:[A-Z_]+: )+|\s*\[[A-Z_]+\]$")


class InvalidCondition(Exception):
    """A condition that cannot be a rule's; says where (both from 1) and why."""

    def __init__(self, line: int, column: int, sentence: str) -> None:
        super().__init__(f"Line {line}, column {column}: {sentence}")
        self.line = line
        self.column = column
        self.sentence = sentence


class ConditionFailed(Exception):
    """A condition gave no yes or no for these facts."""


def compile_condition(source: str) -> None:
    """Refuse, with InvalidCondition, what could not be evaluated. Empty means always."""
    if source:
        _program(source)


def bind(facts: Mapping[str, Any]) -> Any:
    """Facts made ready for `holds`. Raises ConditionFailed for facts that are nested too deep."""
    return _environment().Activation(_bindable(dict(facts), MAX_DEPTH))


def holds(source: str, bound: Any) -> bool:
    """Whether the condition is true of facts from `bind`. Raises ConditionFailed for the rest."""
    try:
        answer = _program(source).eval(bound).value()
    except InvalidCondition as error:
        raise ConditionFailed(str(error)) from error
    except Exception as error:  # the engine's own: budgets exceeded, text it cannot take
        raise ConditionFailed(STATUS_WORD.sub("", str(error))) from error
    if answer is True or answer is False:
        return answer
    raise ConditionFailed(STATUS_WORD.sub("", str(answer)))


def number(value: str | int | float) -> float:
    """`number("12.50")`: money and other decimals arrive as text."""
    return float(_finite(value))


def relative_change(before: str | int | float, after: str | int | float) -> float:
    """`relative_change("10.00", "16.00")` is 0.6; from zero to anything else is infinite."""
    old, new = _finite(before), _finite(after)
    if old == new:
        return 0.0
    return float(abs(new - old) / abs(old)) if old else float("inf")


def _finite(value: str | int | float) -> Decimal:
    try:
        found = Decimal(value)
    except ArithmeticError:
        found = Decimal("NaN")
    if not found.is_finite():
        raise ValueError("This is not a number.")
    return found


@cache
def _environment() -> Any:
    return cel.NewEnv(
        variables=NAMES, functions=[_function(number, 1), _function(relative_change, 2)]
    )


def _function(implementation: Callable[..., float], arguments: int) -> Any:
    """One overload per kind of argument: the engine finds none for a parameter declared dynamic.

    The result is dynamic, or `number(x) > 100` would be refused for comparing with an integer.
    """
    kinds = (cel.Type.STRING, cel.Type.INT, cel.Type.DOUBLE)
    overloads = [
        cel.Overload(
            "_".join([implementation.__name__, *(kind.name() for kind in chosen)]),
            cel.Type.DYN,
            list(chosen),
            False,
            implementation,
        )
        for chosen in product(kinds, repeat=arguments)
    ]
    return cel.FunctionDecl(implementation.__name__, overloads)


@lru_cache(maxsize=1024)
def _program(source: str) -> Any:
    _bound(source)
    try:
        program = _environment().compile(source)
    except Exception as error:  # one type for everything, a status word around the sentence
        raise _explained(str(error)) from error
    if program.return_type() != cel.Type.BOOL:
        raise InvalidCondition(
            1, 1, "This is not a yes or no; compare it with something, such as == true."
        )
    return program


def _bound(source: str) -> None:
    """Refuse what would cost too much before the engine sees it."""
    if len(source) > MAX_LENGTH:
        raise InvalidCondition(1, MAX_LENGTH + 1, f"Longer than {MAX_LENGTH:,} characters.")
    if unreadable := re.search("[\x00\ud800-\udfff]", source):
        raise _at(source, unreadable.start(), "This character cannot be stored.")
    loops = list(LOOP.finditer(source))
    if len(loops) > MAX_LOOPS:
        raise _at(source, loops[MAX_LOOPS].start(), f"More than {MAX_LOOPS} loops; make two rules.")
    if loops and "+" in source:
        raise _at(
            source, source.index("+"), "A condition that loops may not add; subtract instead."
        )


def _at(source: str, index: int, sentence: str) -> InvalidCondition:
    line_start = source.rfind("\n", 0, index) + 1
    return InvalidCondition(source.count("\n", 0, index) + 1, index - line_start + 1, sentence)


def _explained(fault: str) -> InvalidCondition:
    found = FAULT.search(fault)
    if found is None:
        return InvalidCondition(1, 1, STATUS_WORD.sub("", fault).strip() or "Cannot be read.")
    sentence = STATUS_WORD.sub("", found[3]).replace(" (in container '')", "")
    sentence = sentence.split(" expecting ")[0].replace("mismatched input '<EOF>'", "it ends early")
    if sentence.startswith("undeclared reference"):
        sentence += f"; a condition may speak of {', '.join(NAMES)}"
    return InvalidCondition(int(found[1]), int(found[2]), f"{sentence[:1].upper()}{sentence[1:]}.")


def _bindable(value: Any, depth: int) -> Any:
    """Decimals as text, and tuples as lists. What else the engine cannot take, it names itself."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == 0:
        raise ConditionFailed(f"The facts are nested deeper than {MAX_DEPTH}.")
    if isinstance(value, Mapping):
        return {key: _bindable(inner, depth - 1) for key, inner in value.items()}
    return [_bindable(inner, depth - 1) for inner in value]
