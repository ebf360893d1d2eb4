"""Other systems: each time they were reached for, when one is left alone, what people vouch for.

Lists hold what the system knows. What a target answered, and what people typed, is on the page of
one row.
"""

from django.contrib import admin

from proposals.admin.base import ledger_link, line, link, moment, whole
from proposals.admin.records import RecordAdmin, section
from proposals.models import Attestation, Breaker, Exchange


@admin.register(Exchange)
class ExchangeAdmin(RecordAdmin):
    list_display = ("id", "execution_link", "purpose", "end", "target_shown", "started", "ended")
    list_filter = ("purpose", "end")
    looked_up = {"execution": "execution_id", "proposal": "execution__proposal_id", "id": "pk"}
    bare = ("execution", "id")
    fieldsets = (
        section("id execution_link target_shown purpose fence key started ended end"),
        section(
            "detail_shown evidence_shown",
            "What the target said",
            "Written by a stranger. Characters that would not be seen are written out.",
        ),
    )

    execution_link = link("execution", "attempt")
    target_shown = line("target")
    started, ended = moment("started_at", "started"), moment("ended_at", "ended")
    detail_shown, evidence_shown = whole("detail"), whole("evidence")


@admin.register(Breaker)
class BreakerAdmin(RecordAdmin):
    list_display = ("id", "target_shown", "is_open", "opened", "retry")
    looked_up = {"target": "target", "id": "pk"}
    bare = ("target", "id")
    fieldsets = (
        section(
            "id target_shown opened reason_shown unclear_in_a_row retry trial pause_seconds ledger"
        ),
    )

    target_shown, reason_shown = line("target"), line("reason")
    opened, retry = moment("opened_at", "left alone since"), moment("retry_at", "next try")
    trial = moment("trial_until", "being tried until")

    @admin.display(description="left alone", boolean=True)
    def is_open(self, breaker: Breaker) -> bool:
        return breaker.is_open

    @admin.display(description="ledger")
    def ledger(self, breaker: Breaker) -> str:
        return ledger_link("breaker", breaker.pk)


@admin.register(Attestation)
class AttestationAdmin(RecordAdmin):
    list_display = ("id", "execution_link", "finding", "person", "made")
    list_filter = ("finding",)
    list_select_related = ("person",)
    looked_up = {
        "execution": "execution_id",
        "proposal": "execution__proposal_id",
        "person": "person__username",
        "id": "pk",
    }
    bare = ("execution", "id")
    fieldsets = (
        section("id execution_link finding person made"),
        section("reference_shown evidence_shown", "What they saw"),
    )

    execution_link = link("execution", "attempt")
    made = moment("created_at", "made")
    reference_shown, evidence_shown = whole("reference"), whole("evidence")
