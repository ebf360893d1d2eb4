"""Who can be signed in at all: people whose account is active. An agent's account never is."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend


class PeopleOnly(AuthenticationBackend):
    """Refuses what is no active person, in the words for a wrong password.

    Asked again at every request, so deactivating somebody shuts the pages they have open.
    """

    def user_can_authenticate(self, user: Any) -> bool:
        return super().user_can_authenticate(user) and not hasattr(user, "agent")

    @classmethod
    def _stash_user(cls, user: Any) -> None:
        """allauth would tell a person with the right password that they are inactive."""
