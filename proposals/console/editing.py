"""Proposing other values: the parameters of a call as a form, for whoever may decide on it."""

from copy import deepcopy
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from proposals import services
from proposals.console import param_fields
from proposals.console.admission import Request, find, people_only
from proposals.console.forms import Refusable
from proposals.console.lists import Place
from proposals.console.pages import Page
from proposals.console.param_fields import PREFIX, Slot
from proposals.exceptions import (
    IllegalTransition,
    InvalidRequest,
    NotFound,
    ProposalError,
    StaleDigest,
)
from proposals.models import Proposal
from proposals.registry import Tier, registry
from proposals.services import reasons, revising

DONE = "Revision {number} was stored in your name; it is being checked."
MOVED = (
    "It changed after you opened this page, so nothing was stored. What you typed is kept; beside "
    "each field is what it holds now. Look again, then propose your values anew."
)
ALONE = "At this tier you may approve it yourself; the ledger then says that both were you."
OTHERS = "At high tier nobody approves what they wrote, so you will not be able to approve it."


class ValuesForm(Refusable):
    """One field for each value that can be other than it is, and why."""

    reason = forms.CharField(
        label="Reason",
        max_length=reasons.LONGEST_IN_FULL,
        help_text="Why these values are better. Kept in the ledger; the agent is not told.",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say why, so that others can follow."},
    )

    def __init__(self, slots: list[Slot], base: dict[str, Any], data: Any) -> None:
        super().__init__(data, initial={slot.name: slot.shown for slot in slots})
        self.slots, self.base = {slot.name: slot for slot in slots}, base
        self.fields = {slot.name: slot.field() for slot in slots} | self.fields

    @property
    def values(self) -> list[tuple[Slot, forms.BoundField]]:
        return [(slot, self[name]) for name, slot in self.slots.items()]

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        for name, slot in self.slots.items():
            if name in given:
                try:
                    given[name] = slot.read(given[name])
                except ValueError as error:
                    self.add_error(name, str(error))
        return given

    def params(self) -> Any:
        """The parameters with what was typed in the place of what was there."""
        found: Any = deepcopy(self.base)
        for name, slot in self.slots.items():
            if not slot.path:
                return self.cleaned_data[name]
            param_fields.put(found, slot.path, self.cleaned_data[name])
        return found

    def refuse(self, refusal: InvalidRequest) -> None:
        """Each fault at its field, or at the field of what it is inside of."""
        for fault in refusal.errors:
            self.add_error(self.place_of(fault["pointer"].split("/")[1:]), fault["detail"])
        if not refusal.errors:
            self.add_error(None, str(refusal))

    def place_of(self, parts: list[str]) -> str | None:
        """`/params/set/status`; a pointer may also name which alternative was tried before."""
        if parts[:1] != ["params"]:
            return parts[0] if parts and parts[0] in self.fields else None
        for inner in (parts[1:], parts[2:]):
            for length in range(len(inner), -1, -1):
                if (name := ".".join((PREFIX, *inner[:length]))) in self.fields:
                    return name
        return None


class EditPage(Page):
    """What can be other than it is, and why it cannot be edited where it cannot."""

    def __init__(self, found: Proposal, user: Any, place: Place, data: Any = None) -> None:
        super().__init__(found, user, place)
        self.refused = self._objection()
        self.form = ValuesForm(self._slots(), self.revision.params, data)
        tier = self.check.tier if self.check else ""
        self.consequence = ALONE if tier in {Tier.LOW, Tier.MEDIUM} else OTHERS

    def _objection(self) -> str:
        if self.proposal.status not in revising.EDITABLE:
            state = self.proposal.get_status_display().lower()
            return f"It is {state}; other values can be proposed while it waits for people."
        if self.check is None:
            return revising.UNCHECKED
        return revising.objection(self.user, self.proposal, self.check)

    def _slots(self) -> list[Slot]:
        try:
            schema = registry.get(self.proposal.action).schema()
        except LookupError:
            self.refused = self.refused or revising.UNKNOWN
            schema = {}
        return param_fields.slots(schema, self.revision.params)

    @property
    def digest(self) -> str:
        return self.check.digest if self.check else ""


@require_http_methods(["GET", "POST"])
@people_only
def edit(request: Request, proposal_id: UUID) -> HttpResponse:
    """What else should it be? And, by POST, propose that."""
    is_sent = request.method == "POST"
    place = Place.of(request.POST.get("list", "") if is_sent else request.GET, request.user)
    data = request.POST if is_sent else None
    page = EditPage(find(proposal_id, request.user), request.user, place, data)
    refusal, status = "", 422 if is_sent else 200
    if is_sent and page.form.is_valid():
        try:
            return propose(request, page)
        except NotFound as error:
            raise Http404 from error
        except InvalidRequest as error:
            page.form.refuse(error)
        except (StaleDigest, IllegalTransition) as error:
            refusal = MOVED if isinstance(error, StaleDigest) else str(error)
            status = 409
            page = EditPage(find(proposal_id, request.user), request.user, place, data)
        except ProposalError as error:
            refusal, status = str(error), 409
    context = {"page": page, "proposal": page.proposal, "refusal": refusal}
    return render(request, "console/edit.html", context, status=status)


def propose(request: Request, page: EditPage) -> HttpResponse:
    """Store the revision and go back to the proposal, where it is being checked."""
    revised = services.revise_as_reviewer(
        proposal_id=page.proposal.pk,
        person=request.user,
        digest=request.POST.get("digest", ""),
        params=page.form.params(),
        reason=page.form.cleaned_data["reason"],
    )
    messages.success(request, DONE.format(number=revised.revision_number))
    return redirect(page.url)
