"""What is said of stops, in the same words at every door of people."""

from proposals.models import Freeze

SCOPES = {
    Freeze.Scope.EVERYTHING: "Nothing is written, undo included, and new proposals are refused.",
    Freeze.Scope.AGENT: "Nothing it proposed is written. It may still propose.",
    Freeze.Scope.ACTION: "No agent writes in this way.",
    Freeze.Scope.RUN: "Nothing of this run is written. Its number is shown beside its proposals.",
}
BEGUN = "A write that has begun ends; none begins after."
UNDO_GOES_ON = "Undo asked for by people goes on."
NO_SUCH_ACTION = "There is no action of this name, and none that fits it as a pattern."
NOW_FROZEN = "No write of it begins from now on, until an operator lifts this."
WAS_FROZEN = "It was frozen already, for the reason below."
NOW_SUSPENDED = "Its proposals are refused, and what it has under way is held."
GOES_ON = "What was held goes on, unless something else stops it."
COMMAND_LINE = "an operator at the command line"


def target(freeze: Freeze) -> str:
    """What a freeze stops: a run by its number and agent, never by the name an agent gave it."""
    if freeze.run:
        return f"run {freeze.run_id} of agent {freeze.run.agent.name}"
    return freeze.target


def words(freeze: Freeze) -> str:
    return f"Frozen: {target(freeze)}"
