"""Letters to people. A mail server that fails is logged, and fails nothing else."""

import logging
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)


def send(template: str, address: str, context: dict[str, Any]) -> bool:
    """Whether the letter was handed to a mail server; without one configured, it is not.

    The first line of the template is the subject.
    """
    if not settings.MAIL_IS_ON:
        return False
    subject, _, body = render_to_string(f"mail/{template}.txt", context).strip().partition("\n")
    try:
        return bool(send_mail(subject.strip(), body.strip() + "\n", None, [address]))
    except OSError:  # smtplib's errors among them
        logger.exception("A mail could not be sent")
        return False
