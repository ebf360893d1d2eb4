"""Switching what agents may use off: a stop, which waits for intents that are under way."""

import threading

import pytest
from django.db import connection, connections, transaction

from proposals import freezing, services
from proposals.models import MailTemplate
from tests.mail_fixture import write
from tests.target_fixture import paula


@pytest.mark.django_db(transaction=True)
def test_switching_off_waits_for_an_intent_that_is_under_way(templates):
    """SQLite has one writer at a time, so there is nothing to wait for but that."""
    if connection.vendor != "postgresql":
        pytest.skip("Only PostgreSQL writes an intent while somebody switches.")
    write()
    person = paula()

    def switch_off() -> None:
        services.switch_mail_template(name="order-shipped", is_enabled=False, person=person)
        connections.close_all()

    switching = threading.Thread(target=switch_off)
    with transaction.atomic():
        freezing.hold_gate()  # as every intent does
        switching.start()
        switching.join(timeout=0.5)
        assert switching.is_alive()
        assert MailTemplate.objects.get(name="order-shipped").is_enabled
    switching.join(timeout=10)
    assert not MailTemplate.objects.get(name="order-shipped").is_enabled
