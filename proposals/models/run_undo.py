"""Taking back a whole run: the rows are the queue, and the clock works through them."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from ledger.canonical import CanonicalJSONField
from ledger.identifiers import uuid7


class RunUndo(models.Model):
    """Somebody asked to take back everything that a run wrote. Open until no step can move."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    run = models.ForeignKey("proposals.Run", on_delete=models.PROTECT, related_name="undos")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(max_length=2000)
    withdraws_open = models.BooleanField(default=False)
    note = models.CharField(max_length=500, blank=True, help_text="What holds it up now.")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(help_text="When the clock looks at it next.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["run"], condition=Q(finished_at=None), name="run_undo_one_open_per_run"
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], name="run_undo_open", condition=Q(finished_at=None))
        ]

    def __str__(self) -> str:
        return f"undo of run {self.run_id}"


class RunUndoStep(models.Model):
    """One proposal of the run, and what came of taking it back. Position 1 is the newest."""

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting its turn"
        ASKED = "asked", "Undo asked for"
        DONE = "done", "Undone"
        NOTHING = "nothing", "Nothing was written"
        CONFLICT = "conflict", "Conflict"
        FAILED = "failed", "Failed"
        IMPOSSIBLE = "impossible", "Cannot be undone"
        BLOCKED = "blocked", "Kept behind a newer write"

    undoing = models.ForeignKey(RunUndo, on_delete=models.PROTECT, related_name="steps")
    position = models.PositiveIntegerField()
    proposal = models.ForeignKey("proposals.Proposal", on_delete=models.PROTECT, related_name="+")
    undo = models.ForeignKey(
        "proposals.Proposal", null=True, on_delete=models.PROTECT, related_name="+"
    )
    objects_touched = CanonicalJSONField(default=list)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ()
        ordering = ["undoing", "position"]
        constraints = [
            models.UniqueConstraint(
                fields=["undoing", "position"], name="run_undo_step_numbered_once"
            ),
            models.UniqueConstraint(
                fields=["undoing", "proposal"], name="run_undo_step_once_per_proposal"
            ),
        ]

    def __str__(self) -> str:
        return f"step {self.pk}"
