"""What allauth asks of us: who may come in, in which words, and how its secrets are kept."""

import base64
import hashlib
import logging
import secrets
from ipaddress import ip_address
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.encoding import force_bytes

from proposals import sign_ins
from proposals.services.decisions import is_recent

logger = logging.getLogger(__name__)
NO_WAY_IN = "This account cannot sign in."


class Accounts(DefaultAccountAdapter):
    """Nobody signs up, only active people sign in, and a failing mail server fails nobody."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "username_password_mismatch": "Please enter a correct username and password.",
        "too_many_login_attempts": "Too many failed attempts. Wait five minutes, then try again.",
        "incorrect_password": "That is not your password.",
        "enter_current_password": "That is not your password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: Any, **facts: Any) -> Any:
        if hasattr(user, "agent"):
            return self.respond_user_inactive(request, user)
        return super().pre_login(request, user, **facts)

    def respond_user_inactive(self, request: HttpRequest, user: Any) -> HttpResponse:
        messages.error(request, NO_WAY_IN)
        return redirect("sign-in")

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """One measure of a recent sign-in for all: the first one of a session counts as well."""
        return not is_recent(sign_ins.last_proof(context.request))

    def validation_error(self, code: str, *args: Any) -> ValidationError:
        """Every limit on attempts speaks through here."""
        if code == "too_many_login_attempts":
            sign_ins.locked_out(context.request)
        return super().validation_error(code, *args)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        if not settings.MAIL_IS_ON:
            return
        try:
            super().send_mail(template_prefix, email, context)
        except OSError:  # smtplib's errors among them
            logger.exception("A mail could not be sent")


class Factors(DefaultMFAAdapter):
    """Second factors: secrets are stored encrypted, under a key made of the secret key."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "That code is not right, too old, or was used already.",
    }

    def encrypt(self, text: str) -> str:
        return box().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Under another secret key nothing opens, and then no code may match either."""
        try:
            return box().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            logger.error("A second factor was stored under another SECRET_KEY, and cannot be used")
            return base64.b32encode(secrets.token_bytes(20)).decode()

    def generate_authenticator_name(self, user: Any, type: Any) -> str:
        held = user.authenticator_set.filter(type=type).count()
        return f"Passkey {held + 1}" if held else "Passkey"

    def _get_site_name(self) -> str:
        return "Countersign"


def box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet(
        [
            Fernet(
                base64.urlsafe_b64encode(
                    hashlib.sha256(b"countersign.factors" + force_bytes(key)).digest()
                )
            )
            for key in keys
        ]
    )


def passkeys_work(request: HttpRequest) -> bool:
    """Browsers tie a passkey to a name, never to a number, and want TLS except on localhost."""
    host = request.get_host().rpartition(":")[0] or request.get_host()
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return request.is_secure() or host == "localhost" or host.endswith(".localhost")
    return False
