"""`index_ledger`: what lists find entries by, made anew from the entries."""

from typing import Any

from django.core.management.base import BaseCommand

from ledger import index


class Command(BaseCommand):
    help = "Make the index of the ledger's lists anew. It is derived, and proves nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Indexed {index.rebuild():,} entries.")
