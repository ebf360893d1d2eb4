"""Walk every state that a model can reach, and find the shortest way to a bad one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Move(NamedTuple):
    """One step. `kind` is "system" for what workers, clock and network do by themselves."""

    label: str
    kind: str
    after: Any


@dataclass
class Found:
    """What a search saw. `wrong` is empty when every state kept every promise."""

    wrong: str = ""
    path: list[str] = field(default_factory=list)
    states: int = 0
    steps: int = 0
    seen: set[Any] = field(default_factory=set)

    def __str__(self) -> str:
        lines = [f"{number:3}. {label}" for number, label in enumerate(self.path, start=1)]
        return "\n".join([f"{self.wrong} after", *lines])


class Search:
    """Breadth first, so that the first bad state has the shortest history.

    `note` says what is worth remembering about a step; all its answers end up in `Found.seen`.
    """

    def __init__(
        self,
        *,
        moves: Callable[[Any], Iterable[Move]],
        wrong: Callable[[Any], str],
        rests: Callable[[Any], bool],
        note: Callable[[Any, Move], Any] = lambda state, move: None,
    ) -> None:
        self.moves, self.wrong, self.rests, self.note = moves, wrong, rests, note
        self.numbers: dict[Any, int] = {}
        self.parents: list[tuple[int, str]] = []
        self.onward: list[list[int]] = []  # by state: where the system goes on by itself
        self.queue: deque[Any] = deque()
        self.found = Found()

    def run(self, starts: Iterable[Any]) -> Found:
        for start in starts:
            self.meet(start, -1, "")
        while self.queue and not self.found.wrong:
            self.expand(self.queue.popleft())
        if not self.found.wrong:
            self.require_rest()
        self.found.states = len(self.numbers)
        return self.found

    def expand(self, state: Any) -> None:
        here = self.numbers[state]
        for move in self.moves(state):
            self.found.steps += 1
            self.found.seen.add(self.note(state, move))
            if move.after == state:
                continue
            there = self.numbers.get(move.after, -1)
            if there < 0:
                there = self.meet(move.after, here, move.label)
                if reason := self.wrong(move.after):
                    self.report(reason, there)
                    return
            if move.kind == "system":
                self.onward[here].append(there)
        if not self.onward[here] and not self.rests(state):
            self.report("nothing goes on by itself, and nobody is waited for", here)

    def meet(self, state: Any, parent: int, label: str) -> int:
        number = self.numbers[state] = len(self.parents)
        self.parents.append((parent, label))
        self.onward.append([])
        self.queue.append(state)
        return number

    def report(self, reason: str, number: int) -> None:
        self.found.wrong = reason
        self.found.path = list(self.history(number))[::-1]

    def history(self, number: int) -> Iterator[str]:
        while (parent := self.parents[number])[0] >= 0:
            yield parent[1]
            number = parent[0]

    def require_rest(self) -> None:
        """No circle among the system's own steps: with the last fault behind it, each run ends.

        Whatever remains at the end was required to rest when it was expanded.
        """
        waiting = [len(onward) for onward in self.onward]
        before: list[list[int]] = [[] for _ in self.onward]
        for here, onward in enumerate(self.onward):
            for there in onward:
                before[there].append(here)
        done = deque(here for here, count in enumerate(waiting) if not count)
        while done:
            for here in before[done.popleft()]:
                waiting[here] -= 1
                if not waiting[here]:
                    done.append(here)
        circling = next((here for here, count in enumerate(waiting) if count), None)
        if circling is not None:
            self.report("the system may go in a circle for ever", circling)
