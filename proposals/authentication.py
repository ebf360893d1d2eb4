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

    def _authenticate_by_username(self, username: str, password: str) -> Any:
        """The name as it is written first: two that differ by case alone would shut both out."""
        exact = get_user_model().objects.filter(username=username).first()
        if exact is None:
            return super()._authenticate_by_username(username, password)
        return self._check_password(exact, password)

    @classmethod
    def _stash_user(cls, user: Any) -> None:
        """allauth would tell a person with the right password that they are inactive."""
