"""Who can be signed in at all: people whose account is active. An agent's account never is."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth import get_user_model


class PeopleOnly(AuthenticationBackend):
    """Refuses what is no active person, in the words for a wrong password.

    Asked again at every request, so deactivating somebody shuts the pages they have open.
    """

    def user_can_authenticate(self, user: Any) -> bool:
        return super().user_can_authenticate(user) and not hasattr(user, "agent")

    def get_user(self, user_id: Any) -> Any:
        found = get_user_model()._default_manager.select_related("agent").filter(pk=user_id).first()
        return found if found is not None and self.user_can_authenticate(found) else None

    @classmethod
    def _stash_user(cls, user: Any) -> None:
        """allauth would tell a person with the right password that they are inactive."""
