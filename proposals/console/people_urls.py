"""Addresses of signing in, of one's own account, and of managing people.

allauth's own list is not included: what is not named here cannot be reached. It looks its pages up
by the names it gave them, so two of ours have two names.
"""

from allauth.account import views as accounts
from allauth.mfa.base import views as factors
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from django.db import transaction
from django.urls import path, re_path
from django.views.decorators.http import require_POST

from proposals.console import entrance, people
from proposals.console.account import account, own, signed_in_only

sign_out = require_POST(accounts.logout)
NEW_PASSWORD = r"^sign-in/new-password/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[0-9A-Za-z-]+)/$"

urlpatterns = [
    path("setup/", entrance.setup, name="setup"),
    path("join/<str:secret>/", entrance.join, name="join"),
    path("sign-in/", entrance.sign_in, name="sign-in"),
    path("sign-in/", entrance.sign_in, name="account_login"),
    path("sign-in/code/", factors.authenticate, name="mfa_authenticate"),
    path("sign-in/passkey/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("sign-in/forgotten/", entrance.forgotten, name="account_reset_password"),
    path(
        "sign-in/forgotten/sent/", accounts.password_reset_done, name="account_reset_password_done"
    ),
    re_path(
        NEW_PASSWORD,
        transaction.atomic(entrance.new_password),
        name="account_reset_password_from_key",
    ),
    path("sign-in-again/", signed_in_only(accounts.reauthenticate), name="account_reauthenticate"),
    path("sign-in-again/code/", signed_in_only(factors.reauthenticate), name="mfa_reauthenticate"),
    path(
        "sign-in-again/passkey/",
        signed_in_only(passkeys.reauthenticate_webauthn),
        name="mfa_reauthenticate_webauthn",
    ),
    path("sign-out/", sign_out, name="sign-out"),
    path("sign-out/", sign_out, name="account_logout"),
    path("account/", account, name="account"),
    path("account/", account, name="mfa_index"),
    path("account/password/", own(accounts.password_change), name="account_change_password"),
    path("account/password/set/", own(accounts.password_set), name="account_set_password"),
    path("account/authenticator/", own(totp.activate_totp), name="mfa_activate_totp"),
    path("account/authenticator/remove/", own(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("account/recovery-codes/", own(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path(
        "account/recovery-codes/new/",
        own(codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "account/recovery-codes/file/",
        own(codes.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
    path("account/passkeys/", own(passkeys.list_webauthn), name="mfa_list_webauthn"),
    path("account/passkeys/add/", own(passkeys.add_webauthn), name="mfa_add_webauthn"),
    path("account/passkeys/<int:pk>/", own(passkeys.edit_webauthn), name="mfa_edit_webauthn"),
    path(
        "account/passkeys/<int:pk>/remove/",
        own(passkeys.remove_webauthn),
        name="mfa_remove_webauthn",
    ),
    path("people/", people.everybody, name="people"),
    path("people/invite/", people.invite, name="invite"),
    path("people/invitations/<int:invitation_id>/revoke/", people.revoke, name="revoke-invitation"),
    path("people/<int:person_id>/", people.person, name="person"),
    path("people/<int:person_id>/groups/", people.groups, name="person-groups"),
    path("people/<int:person_id>/deactivate/", people.deactivate, name="deactivate"),
    path("people/<int:person_id>/reactivate/", people.reactivate, name="reactivate"),
    path("people/<int:person_id>/new-password/", people.new_password, name="person-new-password"),
    path("people/<int:person_id>/remove-factors/", people.remove_factors, name="remove-factors"),
]
