"""Rules: edited by policy administrators, each edit a new version with its ledger entry."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest

from proposals import services
from proposals.admin.base import EditableAdmin, moment
from proposals.models import Rule


class RuleForm(forms.ModelForm):
    """A rule names a group that exists; one that was since removed stays choosable, and shown."""

    class Meta:
        model = Rule
        fields = (
            "name",
            "action",
            "condition",
            "effect",
            "approvals",
            "group",
            "tier",
            "message",
            "is_active",
        )
        widgets = {"condition": forms.Textarea(attrs={"rows": 6, "spellcheck": "false"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "group" in self.fields:
            names = {*Group.objects.values_list("name", flat=True), self.instance.group} - {""}
            self.fields["group"] = forms.ChoiceField(
                choices=[("", "---------"), *((name, name) for name in sorted(names))],
                required=False,
                help_text=self.fields["group"].help_text,
            )


@admin.register(Rule)
class RuleAdmin(EditableAdmin):
    form = RuleForm
    list_display = (
        "name",
        "action",
        "effect",
        "approvals",
        "group",
        "tier",
        "is_active",
        "version",
        "updated",
    )
    list_filter = ("effect", "is_active")
    fieldsets = (
        (
            None,
            {
                "fields": (*RuleForm.Meta.fields, "version", "updated"),
                "description": "The strictest of all rules that match decides. Where none matches, "
                "or one fails, a person must look. Rules are switched off, never deleted.",
            },
        ),
    )
    readonly_fields = ("version", "updated")
    history_list_display = ("version", "effect", "is_active")

    updated = moment("updated_at", "updated")

    def save_model(self, request: HttpRequest, obj: Rule, form: Any, change: bool) -> None:
        """A saved form that changes nothing makes no version."""
        if form.changed_data or not change:
            services.save_rule(rule=obj, person=request.user, is_new=not change)
