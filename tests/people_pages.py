"""The pages of coming in, of one's account and of managing people, each with something on it."""

from typing import Any

from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.urls import reverse

from proposals import services
from tests.factories import make_person


def paula() -> Any:
    """She manages people."""
    return make_person("paula", groups=["policy-administrators"])


def own_pages(person: Any) -> dict[str, str]:
    """Of whoever is signed in and manages people."""
    rita = make_person("rita")
    services.invite(email="nina@example.com", groups=rita.groups.all(), person=person)
    gone, _ = services.invite(email="gone@example.com", groups=[], person=person)
    services.revoke_invitation(invitation_id=gone.pk, person=person)
    services.deactivate(user_id=make_person("zoe").pk, person=person)
    return {
        "account": reverse("account"),
        "people": reverse("people"),
        "a person": reverse("person", args=[rita.pk]),
        "sign in again": reverse("account_reauthenticate"),
    }


def more_own_pages(person: Any) -> dict[str, str]:
    """The rest of one's own pages; the person gets a second factor."""
    TOTP.activate(person, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(person)
    zoe = make_person("zoe")
    return {
        "account with a factor": reverse("account"),
        "myself": reverse("person", args=[person.pk]),
        "somebody deactivated": reverse("person", args=[zoe.pk]),
        "change password": reverse("account_change_password"),
        "remove the app": reverse("mfa_deactivate_totp"),
        "recovery codes": reverse("mfa_view_recovery_codes"),
        "new recovery codes": reverse("mfa_generate_recovery_codes"),
        "passkeys": reverse("mfa_list_webauthn"),
        "add a passkey": reverse("mfa_add_webauthn"),
        "sign in again with a code": reverse("mfa_reauthenticate"),
    }


def entrances() -> dict[str, str]:
    """Of whoever is not signed in yet."""
    _, secret = services.invite(email="noah@example.com", groups=[], person=paula())
    return {
        "sign-in": reverse("sign-in"),
        "first set-up": reverse("setup"),
        "invitation": reverse("join", args=[secret]),
    }


def more_entrances() -> dict[str, str]:
    rita = make_person("rita")
    _, token = services.offer_new_password(user_id=rita.pk, person=paula())
    parts = [user_pk_to_url_str(rita), token]
    return {
        "invitation that does not work": reverse("join", args=["nothing"]),
        "forgotten password": reverse("account_reset_password"),
        "look at your mail": reverse("account_reset_password_done"),
        "new password": reverse("account_reset_password_from_key", args=parts),
        "new password by a bad link": reverse("account_reset_password_from_key", args=["1", "x"]),
    }
