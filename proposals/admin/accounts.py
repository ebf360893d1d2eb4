"""People and groups: Django's own pages, with a ledger entry for every change of rights."""

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from proposals import services
from proposals.models import Agent

RIGHTS = ("username", "is_active", "is_staff", "is_superuser")


def codenames(permissions: Any) -> list[str]:
    found = permissions.values_list("content_type__app_label", "codename")
    return sorted(f"{app}.{codename}" for app, codename in found)


def rights_of_user(pk: Any) -> dict[str, Any]:
    """What this account may do, as stored. Never a password, nor what is only personal."""
    user = User.objects.filter(pk=pk).first()
    if user is None:
        return {}
    return {name: getattr(user, name) for name in RIGHTS} | {
        "groups": sorted(user.groups.values_list("name", flat=True)),
        "permissions": codenames(user.user_permissions),
    }


def rights_of_group(pk: Any) -> dict[str, Any]:
    group = Group.objects.filter(pk=pk).first()
    return {"name": group.name, "permissions": codenames(group.permissions)} if group else {}


def changes(was: dict[str, Any], becomes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"was": was.get(name), "becomes": value}
        for name, value in becomes.items()
        if was.get(name) != value
    }


class RecordedAdmin(admin.ModelAdmin):
    """Compares the rights before and after a save, in the transaction of the save."""

    actions = None
    noun = ""

    def rights(self, pk: Any) -> dict[str, Any]:
        raise NotImplementedError

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        form.former_rights = self.rights(obj.pk)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        subject = form.instance
        found = changes(form.former_rights, self.rights(subject.pk))
        others = self.others(form)
        if found or others:
            self.record(request, subject, "changed" if change else "created", found, others)

    def others(self, form: Any) -> list[str]:
        """Names of changed fields whose values are nobody's business later."""
        return []

    def record(
        self,
        request: HttpRequest,
        subject: Any,
        what: str,
        found: dict[str, Any],
        others: list[str],
    ) -> None:
        services.record_change(
            stream="auth",
            kind=f"{self.noun}.{what}",
            person=request.user,
            body={self.noun: subject.pk, "name": str(subject), "changes": found, "also": others},
        )


# What people sign in with is theirs: these pages would show secrets, and change them untold.
for unneeded in (User, Group, EmailAddress, Authenticator):
    if admin.site.is_registered(unneeded):
        admin.site.unregister(unneeded)
OWN_RIGHTS = ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class PersonAdmin(RecordedAdmin, UserAdmin):
    """Service accounts of agents can be looked at and not changed: none of them ever signs in."""

    noun = "user"

    def rights(self, pk: Any) -> dict[str, Any]:
        return rights_of_user(pk)

    def others(self, form: Any) -> list[str]:
        personal = ("first_name", "last_name", "email")
        return [name for name in personal if name in form.changed_data]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Nobody gives themselves a group or a right."""
        fixed = super().get_readonly_fields(request, obj)
        return (*fixed, *OWN_RIGHTS) if obj is not None and obj.pk == request.user.pk else fixed

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.former_rights.get("is_active") and not obj.is_active:
            services.end_sessions(obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and Agent.objects.filter(user=obj).exists():
            return False
        return super().has_change_permission(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        """Whoever sets another's password could sign in as them, so that it was set is told."""
        with transaction.atomic():
            former = self.stored_password(request, id)
            response: HttpResponse = super().user_change_password(request, id, form_url)
            if former is not None and self.stored_password(request, id) != former:
                user = self.get_object(request, id)
                self.record(request, user, "changed", {}, ["password"])
        return response

    def stored_password(self, request: HttpRequest, id: str) -> str | None:
        user = self.get_object(request, id)
        return user.password if user else None


@admin.register(Group)
class RecordedGroupAdmin(RecordedAdmin, GroupAdmin):
    noun = "group"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A right given to one's own group would be given to oneself."""
        if obj is not None and request.user.groups.filter(pk=obj.pk).exists():
            return False
        return super().has_change_permission(request, obj)

    def rights(self, pk: Any) -> dict[str, Any]:
        return rights_of_group(pk)
