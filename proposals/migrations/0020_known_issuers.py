import json

from django.db import migrations


def find_out(apps, schema_editor):
    """Who issued the tokens that are there already, as the ledger tells; of the others, nobody did."""
    tokens = apps.get_model("proposals", "AgentToken").objects
    people = set(apps.get_model("auth", "User").objects.values_list("pk", flat=True))
    told = apps.get_model("ledger", "LedgerEntry").objects.filter(
        kind="token.issued", actor__startswith="user:"
    )
    for actor, canonical in told.order_by("pk").values_list("actor", "canonical").iterator():
        issuer = int(actor.removeprefix("user:"))
        key_id = json.loads(bytes(canonical))["body"]["key_id"]
        if issuer in people:
            tokens.filter(key_id=key_id, issued_by=None).update(issued_by=issuer)


class Migration(migrations.Migration):

    dependencies = [
        ('proposals', '0019_token_issuers'),
        ('ledger', '0005_patrol_and_counts'),
    ]

    operations = [
        migrations.RunPython(find_out, migrations.RunPython.noop, elidable=True),
    ]
