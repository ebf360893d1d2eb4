"""What a verification found."""

from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

SHOWN = 20
NOT_TRUTH = "Whether what the entries say was true when they were written."
NOT_NEWEST = (
    "Whether this is the newest state: an older copy of the whole database would look intact. "
    "Pass a checkpoint that was kept elsewhere (--checkpoint)."
)
NOT_KEY = (
    "Whether the public key is the right one: it lies in this installation's data folder. Pass a "
    "copy that was kept elsewhere (--key)."
)


class Result(IntEnum):
    """What was found; the value is the exit status."""

    INTACT = 0
    TAMPERED = 1
    INCOMPLETE = 2


class Problem(NamedTuple):
    """Evidence of tampering, at an entry; `id` is None where no entry is left to point at.

    `place` says what is wrong where that is no entry: a checkpoint, a leaf.
    """

    stream: str
    number: int
    id: int | None
    why: str
    place: str = ""

    def __str__(self) -> str:
        if self.place:
            return f"{self.place}: {self.why}."
        where = f"Entry {self.id}" if self.id else "An entry that is gone"
        return f"{where} ({self.stream}, number {self.number}): {self.why}."


@dataclass
class Report:
    """What was read, what was found, and what was not looked at."""

    entries: int = 0
    streams: int = 0
    sealed: int = 0
    checkpoints: int = 0
    unsealed: int = 0
    newest_checkpoint: str = ""
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    first_bad: Problem | None = None
    guards_missing: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)
    unreadable: str = ""
    is_key_pinned: bool = False
    is_checkpoint_pinned: bool = False
    seconds: float = 0.0

    @property
    def result(self) -> Result:
        if self.first_bad:
            return Result.TAMPERED
        if self.guards_missing or self.unproven or self.unreadable:
            return Result.INCOMPLETE
        return Result.INTACT

    @property
    def not_checked(self) -> list[str]:
        """What this verification does not show, so that nobody believes it does."""
        said = []
        if self.unsealed:
            said.append(
                f"The {self.unsealed:,} entries that are not sealed yet: whoever owns the "
                "database could have changed them together with their hashes and heads."
            )
        if self.checkpoints and not self.is_key_pinned:
            said.append(NOT_KEY)
        if not self.is_checkpoint_pinned:
            said.append(NOT_NEWEST)
        return [*said, NOT_TRUTH]

    def add(self, problem: Problem) -> None:
        """Count a problem, and remember the one at the oldest entry."""
        self.problem_count += 1
        if len(self.problems) < SHOWN:
            self.problems.append(problem)
        if self.first_bad is None or _age(problem) < _age(self.first_bad):
            self.first_bad = problem

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "result": self.result.name.lower(),
            "not_checked": self.not_checked,
            "problems": [problem._asdict() for problem in self.problems],
            "first_bad": self.first_bad._asdict() if self.first_bad else None,
        }


def _age(problem: Problem) -> tuple[bool, int]:
    """Order by entry; what is gone comes last, as a cut tail has no younger entry."""
    return problem.id is None, problem.id or 0
