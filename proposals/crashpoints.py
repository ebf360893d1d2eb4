"""Named places in the commit protocol at which a crash is worth trying.

The product only names them: `reach` does nothing unless a chaos harness has put a hook there. The
harness kills or pauses the process in its hook, and then looks whether every promise still holds.
"""

from collections.abc import Callable

POINTS = (
    "submit.stored",  # in the transaction of the submission, just before it commits
    "check.previewed",  # the target was read, nothing is stored
    "check.landed",  # the check is stored and, where nobody needs to look, an execution queued
    "claim.taken",  # in the transaction of the claim, just before it commits
    "claim.done",  # the claim has committed, there is no intent yet
    "intent.done",  # the intent has committed, nothing is sent
    "apply.written",  # in the target's transaction, effect and receipt written, not committed
    "apply.done",  # the target has committed, nothing is recorded here
    "void.done",  # the key is voided at the target, nothing is recorded here
    "settle.written",  # in the transaction of the settlement, just before it commits
    "settle.done",  # all is recorded
)

# The same for targets that share no transaction with their receipts.
OUTSIDE_POINTS = (
    "prepare.done",  # all that can be known before the intent is known
    "request.written",  # in an action: the request has left, no answer was read
    "inquiry.begun",  # a resend or a probe is durable, nothing is sent
    "inquiry.done",  # what it brought is recorded
)

hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Say that a named point is reached."""
    if hook is not None:
        hook(point)
