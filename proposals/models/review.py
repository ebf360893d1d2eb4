"""What people decided, and what of it they took back."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q

from ledger.append_only import AppendOnly, AppendOnlyQuerySet


class ReviewQuerySet(AppendOnlyQuerySet):
    def not_taken_back(self) -> "ReviewQuerySet":
        """Verdicts and comments, without those that were withdrawn."""
        return self.filter(decision__in=Review.VERDICTS, withdrawal=None)

    def decisive(self) -> "ReviewQuerySet":
        """What moves or holds a proposal; not what was said beside, nor what was taken back."""
        return self.filter(decision__in=Review.DECISIVE, withdrawal=None)

    def standing_approvals(self) -> "ReviewQuerySet":
        """Approvals that their reviewer neither withdrew nor overruled on the same digest since."""
        return self.filter(standing_approval())

    def weighing(self) -> "ReviewQuerySet":
        """What decides whether people have approved: standing approvals, and open objections."""
        return self.filter(standing_approval() | Q(blocks=True, resolution=None))


def standing_approval() -> Q:
    overruled = Review.objects.filter(
        proposal=OuterRef("proposal"),
        digest=OuterRef("digest"),
        reviewer=OuterRef("reviewer"),
        decision__in=[Review.Decision.REQUEST_CHANGES, Review.Decision.REJECT],
        id__gt=OuterRef("id"),
    )
    return Q(decision=Review.Decision.APPROVE, withdrawal=None) & ~Q(Exists(overruled))


LONGEST_OBJECT, LONGEST_FIELD = 255, 255


class Review(AppendOnly):
    """One person's decision on exactly what they were shown: a check's digest.

    Or that they take such a decision back: a row of its own, because no row is ever changed.
    A comment may be about one field of one object, and may block approval until it is resolved.
    """

    class Decision(models.TextChoices):
        APPROVE = "approve", "Approve"
        REQUEST_CHANGES = "request_changes", "Request changes"
        REJECT = "reject", "Reject"
        COMMENT = "comment", "Comment only"
        WITHDRAW = "withdraw", "Decision withdrawn"

    class ReasonCode(models.TextChoices):
        WRONG_TARGET = "wrong_target", "Wrong target"
        WRONG_VALUE = "wrong_value", "Wrong value"
        DUPLICATE = "duplicate", "Duplicate"
        NOT_PERMITTED = "not_permitted", "Not permitted"
        NOT_NOW = "not_now", "Not now"
        LOOKS_MANIPULATED = "looks_manipulated", "Looks manipulated"

    DECISIVE = (Decision.APPROVE, Decision.REQUEST_CHANGES, Decision.REJECT)
    # The four verbs. To withdraw is none of them: it answers no question, it takes an answer back.
    VERDICTS = (*DECISIVE, Decision.COMMENT)

    proposal = models.ForeignKey(
        "proposals.Proposal", on_delete=models.PROTECT, related_name="reviews"
    )
    # "check" is a method of every Django model, hence the longer name.
    on_check = models.ForeignKey(
        "proposals.Check", on_delete=models.PROTECT, related_name="reviews"
    )
    digest = models.CharField(max_length=71)
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews"
    )
    reviewer_name = models.CharField(max_length=150)
    decision = models.CharField(max_length=16, choices=Decision.choices)
    reason_code = models.CharField(max_length=20, choices=ReasonCode.choices, blank=True)
    reason = models.TextField(blank=True, max_length=2000)
    is_for_agent = models.BooleanField(default=False)
    takes_back = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="withdrawal"
    )
    object = models.CharField(max_length=LONGEST_OBJECT, blank=True)
    field = models.CharField(max_length=LONGEST_FIELD, blank=True)
    blocks = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    objects: ClassVar[Any] = ReviewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["on_check", "reviewer"],
                condition=models.Q(decision="approve"),
                name="review_one_approval_per_person_and_check",
            ),
            models.CheckConstraint(
                condition=models.Q(decision="withdraw", takes_back__isnull=False)
                | (~models.Q(decision="withdraw") & models.Q(takes_back__isnull=True)),
                name="review_withdrawal_takes_one_back",
            ),
            models.CheckConstraint(
                condition=models.Q(decision="comment")
                | models.Q(object="", field="", blocks=False),
                name="review_only_a_comment_has_a_place_or_blocks",
            ),
        ]
        indexes = [models.Index(fields=["reviewer", "-id"], name="review_by_reviewer")]

    def __str__(self) -> str:
        return f"review {self.pk}"

    @property
    def where(self) -> str:
        """What the comment is about: colour of bear. Empty if it is about the whole.

        May hold what an agent chose: show it through `proposals.text`.
        """
        return f"{self.field} of {self.object}" if self.field else ""

    @property
    def ended(self) -> "Resolution | None":
        """How a blocking comment was resolved, if it was."""
        return getattr(self, "resolution", None)


class Resolution(AppendOnly):
    """The end of a comment that blocked approval."""

    review = models.OneToOneField(Review, on_delete=models.PROTECT, related_name="resolution")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    person_name = models.CharField(max_length=150)
    reason = models.TextField(blank=True, max_length=500)
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"resolution {self.pk}"
