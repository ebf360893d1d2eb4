"""Rules in words, what each did in the last week, and what another version would have done."""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Max
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from ledger.canonical import digest
from proposals import drafting, gate, replay, rights, rule_hits, services, text
from proposals.console import presenters
from proposals.console.admission import Request, find, owners_too, people_only
from proposals.console.forms import LARGEST_KEY
from proposals.exceptions import InvalidRequest, ProposalError
from proposals.lifecycle import Status
from proposals.models import Proposal, Rule
from proposals.policy import Effect, Verdict
from proposals.replay import Flip, Replay
from proposals.rule_hits import Hits
from proposals.services import rulemaking

MOST_SHOWN = 50
SYSTEM = "the installation"


# The list


@dataclass(frozen=True)
class Line:
    """One rule in words."""

    rule: Rule
    hits: Hits
    changed_by: str
    change_url: str

    @property
    def covers(self) -> str:
        return "Every action" if self.rule.action == "*" else self.rule.action

    @property
    def does(self) -> str:
        return effect_words(self.rule)


def effect_words(rule: Rule) -> str:
    """What a rule does when it matches."""
    if rule.effect == Effect.REVIEW:
        people = "one person" if rule.approvals == 1 else f"{rule.approvals} people"
        return f"Asks {people} of {rule.group}"
    if rule.effect == Effect.RAISE:
        return f"Raises the tier to {rule.tier}"
    return {
        Effect.ALLOW: "Lets it through: no approval required",
        Effect.DENY: "Denies it",
    }[Effect(rule.effect)]


class RulesPage:
    """Every rule, those in force first."""

    def __init__(self, user: Any) -> None:
        self.may_change = rights.has(user, rights.CHANGE_RULES)
        self.may_try = rights.may_view(user)  # a trial shows proposals of every agent
        edits = self.may_change and user.is_staff
        self.add_url = reverse("admin:proposals_rule_add") if edits else ""
        self.week = rule_hits.week()
        by = last_changed()
        self.lines = [
            Line(
                rule=rule,
                hits=self.week.of(rule),
                changed_by=by.get(rule.pk, SYSTEM),
                change_url=reverse("admin:proposals_rule_change", args=[rule.pk]) if edits else "",
            )
            for rule in Rule.objects.order_by("-is_active", "pk")
        ]
        self.in_force = [line for line in self.lines if line.rule.is_active]


def last_changed() -> dict[int, str]:
    """Who changed each rule last, in one statement."""
    versions: Any = Rule.history.model.objects
    latest = versions.order_by().values("id").annotate(latest=Max("history_id"))
    rows = versions.filter(history_id__in=latest.values("latest")).select_related("history_user")
    return {
        row.id: presenters.name_of(row.history_user) if row.history_user else SYSTEM for row in rows
    }


@require_GET
@owners_too
def rules(request: Request) -> HttpResponse:
    """Which rules exist, who changed them, and what did they do last week?"""
    context = {"place": "rules", "page": RulesPage(request.user)}
    return render(request, "console/rules.html", context)


# What would have flipped


@dataclass(frozen=True)
class Flipped:
    """One proposal that would have been decided otherwise, in words."""

    proposal: Proposal
    sentence: str
    who: str
    was: str
    becomes: str
    is_rejected: bool


class ReplayView:
    """What would have flipped, and what became of those proposals in fact."""

    def __init__(self, found: Replay) -> None:
        self.found = found
        let_through, others = found.let_through, found.others
        self.let_through = [flipped(one) for one in let_through[:MOST_SHOWN]]
        self.others = [flipped(one) for one in others[:MOST_SHOWN]]
        self.let_through_count, self.others_count = len(let_through), len(others)
        self.unlisted = len(let_through) + len(others) - len(self.let_through) - len(self.others)
        fates = Counter(Status(one.proposal.status) for one in let_through)
        self.fates = [
            (words[fates[status] != 1], fates[status])
            for status, words in FATES.items()
            if fates[status]
        ]
        self.rejected = fates[Status.REJECTED] + fates[Status.DENIED]


FATES = {
    Status.PENDING: ("waits for people now", "wait for people now"),
    Status.APPROVED: ("is approved", "are approved"),
    Status.COMMITTED: ("was written", "were written"),
    Status.REJECTED: ("was rejected by a person", "were rejected by people"),
    Status.DENIED: ("was denied", "were denied"),
}


def flipped(flip: Flip) -> Flipped:
    return Flipped(
        proposal=flip.proposal,
        sentence=flip.case.check.sentence,
        who=presenters.proposed_by(flip.proposal),
        was=verdict_words(flip.was),
        becomes=verdict_words(flip.becomes),
        is_rejected=flip.proposal.status in {Status.REJECTED, Status.DENIED},
    )


def verdict_words(verdict: Verdict) -> str:
    """A verdict in a few words, with its tier."""
    if verdict.effect is Effect.REVIEW:
        groups = " or ".join(verdict.groups)
        return f"{verdict.approvals} of {groups}, {verdict.tier} tier"
    word = "denied" if verdict.effect is Effect.DENY else "no approval required"
    return f"{word}, {verdict.tier} tier"


# Trying an edit


class RuleForm(forms.ModelForm):
    """What both pages have in common: lines end in one way, and what was shown is what is saved."""

    def clean_condition(self) -> str:
        return str(self.cleaned_data["condition"]).replace("\r\n", "\n")


def seen(rule: Rule, exceptions: dict[int, int] | None = None) -> str:
    """Names what a replay was shown for, so that nothing else is saved unseen."""
    content = [str(getattr(rule, name)) for name in rulemaking.FIELDS]
    return digest([content, sorted((exceptions or {}).items())])


class TryForm(RuleForm):
    """A rule as it might be. The groups are those that exist."""

    version = forms.IntegerField(widget=forms.HiddenInput, min_value=1, max_value=LARGEST_KEY)

    class Meta:
        model = Rule
        fields = rulemaking.FIELDS
        widgets = {"condition": forms.Textarea(attrs={"rows": 5, "spellcheck": "false"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = {*Group.objects.values_list("name", flat=True), self.instance.group} - {""}
        self.fields["group"] = forms.ChoiceField(
            choices=[("", "None"), *((name, name) for name in sorted(names))],
            required=False,
            help_text=self.fields["group"].help_text,
        )
        self.fields["version"].initial = self.instance.version
        described(self)


class AllowForm(RuleForm):
    """A rule that allows what is like a proposal."""

    class Meta:
        model = Rule
        fields = ("name", "action", "condition", "message")
        widgets = {"condition": forms.Textarea(attrs={"rows": 12, "spellcheck": "false"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        described(self)


def described(form: forms.ModelForm) -> None:
    """Tie each control to its hint and to what is wrong with it, for those who listen."""
    for name, field in form.fields.items():
        hint = f"id_{name}-hint" if field.help_text else ""
        fault = f"id_{name}-error" if form.is_bound and name in form.errors else ""
        if told := " ".join(filter(None, [hint, fault])):
            field.widget.attrs["aria-describedby"] = told
        if fault:
            field.widget.attrs["aria-invalid"] = "true"


def refuse(form: forms.ModelForm, refusal: Exception) -> None:
    """Show what a verb refused at the field it names, and otherwise above the form."""
    if isinstance(refusal, ValidationError):
        for name, faults in refusal.message_dict.items():
            form.add_error(name if name in form.fields else None, faults)
    elif isinstance(refusal, InvalidRequest) and refusal.errors:
        for fault in refusal.errors:
            name = fault["pointer"].removeprefix("/")
            form.add_error(name if name in form.fields else None, fault["detail"])
    else:
        form.add_error(None, str(refusal))
    described(form)


@require_http_methods(["GET", "POST"])
@people_only
def try_rule(request: Request, rule_id: int) -> HttpResponse:
    """What would this rule, as edited, have decided in the last 30 days? And, if asked, save it."""
    if rule_id > LARGEST_KEY:
        raise Http404
    rule = get_object_or_404(Rule, pk=rule_id)
    now = gate.rules()
    form = TryForm(request.POST or None, instance=rule)
    found = None
    if request.method == "POST" and form.is_valid():
        edited: Rule = form.instance
        if "save" in request.POST and request.POST.get("seen") != seen(edited):
            form.add_error(None, UNSEEN)
        elif "save" in request.POST:
            fields = {name: form.cleaned_data[name] for name in rulemaking.FIELDS}
            version = form.cleaned_data["version"]
            try:
                services.change_rule(
                    rule_id=rule.pk, version=version, person=request.user, fields=fields
                )
            except (ProposalError, ValidationError) as refusal:
                refuse(form, refusal)
            else:
                messages.success(request, f"Saved: {text.plain(edited.name)}. {RECHECKED}")
                return redirect("rules")
        found = ReplayView(replay.replay(now, drafting.in_force_with(edited)))
    context = {
        "place": "rules",
        "rule": Rule.objects.get(pk=rule.pk),
        "form": form,
        "replay": found,
        "may_save": rights.has(request.user, rights.CHANGE_RULES),
        "is_wide": found and danger_of(form.instance),
        "seen": seen(form.instance) if found else "",
    }
    return render(request, "console/rule_try.html", context, status=422 if form.errors else 200)


def danger_of(rule: Rule) -> str:
    """What to warn of, for a rule that allows: see `replay.danger`."""
    if rule.effect != Effect.ALLOW or not rule.is_active:
        return ""
    cases, _, _ = replay.recent([rule.action], [rule.data()])
    return replay.danger(rule.data(), cases)


# Always allow this


class AllowPage:
    """The draft of a rule from one proposal, and what it would have let through."""

    def __init__(self, proposal: Proposal, data: Any) -> None:
        case = replay.case_of(proposal)
        self.proposal, self.sentence = proposal, case.check.sentence
        draft = drafting.draft(case)
        self.left_open = draft.left_open
        self.denying = drafting.denying(case)
        self.form = AllowForm(data, instance=draft.rule)
        self.in_the_way = draft.in_the_way
        chosen = data.getlist("except") if data is not None else []
        self.exceptions = {
            one.pk: one.version
            for one in draft.in_the_way
            if data is None or f"{one.pk}:{one.version}" in chosen
        }
        self.outdated = data is not None and any(
            one not in {f"{each.pk}:{each.version}" for each in draft.in_the_way} for one in chosen
        )
        self.replay: ReplayView | None = None

    @property
    def seen(self) -> str:
        return seen(self.form.instance, self.exceptions)

    @property
    def exception_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "rule": one,
                "value": f"{one.pk}:{one.version}",
                "is_chosen": one.pk in self.exceptions,
                "does": effect_words(one),
            }
            for one in self.in_the_way
        ]

    def try_it(self) -> None:
        """Replay with the rule as it stands in the form, and the chosen exceptions."""
        rule: Rule = self.form.instance
        changed = [one for one in self.in_the_way if one.pk in self.exceptions]
        for one in changed:
            rulemaking.narrow(one, rule)
        then = drafting.in_force_with(rule, *changed)
        self.replay = ReplayView(replay.replay(gate.rules(), then))


@require_http_methods(["GET", "POST"])
@people_only
def always_allow(request: Request, proposal_id: UUID) -> HttpResponse:
    """A rule that would let through what is like this: shown, tried, and saved only when asked."""
    found = find(proposal_id, request.user)
    context: dict[str, Any] = {"place": "rules", "proposal": found}
    if not rulemaking.may_allow(request.user):
        context["refused"] = rulemaking.NO_RIGHT
    elif why := drafting.refusal(found):
        context["refused"] = why
    if "refused" in context:
        return render(request, "console/always_allow.html", context, status=403)
    page = AllowPage(found, request.POST if request.method == "POST" else None)
    context["page"] = page
    try:
        if request.method == "POST" and page.form.is_valid() and "save" in request.POST:
            if page.outdated or request.POST.get("seen") != page.seen:
                raise InvalidRequest(OUTDATED if page.outdated else UNSEEN)
            saved = services.allow_always(
                proposal_id=found.pk,
                person=request.user,
                rule=page.form.instance,
                exceptions=page.exceptions,
            )
            messages.success(request, f"Saved: {text.plain(saved.name)}. {KEEPS_WAITING}")
            return redirect("rules")
        if not page.form.is_bound or page.form.is_valid():
            page.try_it()
    except (ProposalError, ValidationError) as refusal:
        refuse(page.form, refusal)
        if page.replay is None and str(refusal) in {OUTDATED, UNSEEN}:
            page.try_it()
    is_refused = page.form.is_bound and bool(page.form.errors)
    return render(request, "console/always_allow.html", context, status=422 if is_refused else 200)


RECHECKED = "What waits for people is checked again by it; no open proposal gets looser treatment."
KEEPS_WAITING = "It holds for what comes from now on; what waits for people already keeps waiting."
UNSEEN = (
    "It was edited since it was tried. This is what it would have done; save it if that is right."
)
OUTDATED = "A rule that you chose an exception from was changed meanwhile. Look at it again."
