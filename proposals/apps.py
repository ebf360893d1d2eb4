"""Start of the product: finds the actions that installed apps register."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class ProposalsConfig(AppConfig):
    name = "proposals"
    verbose_name = "Proposals"

    def ready(self) -> None:
        autodiscover_modules("actions")
        from proposals import durability, proof, sessions, sign_ins
        from proposals.notices import outbox

        durability.connect()
        sessions.connect()
        proof.register()
        sign_ins.connect()
        outbox.connect()
