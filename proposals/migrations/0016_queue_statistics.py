"""How common each tier is among what waits, for PostgreSQL.

It would multiply how common each is by itself, take high tier for ten times rarer among what is
pending than it is, and read and sort all of it where the first 500 in the index are the answer.
"""

from django.db import migrations


def know(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE STATISTICS proposal_tier_by_status (mcv) ON status, tier FROM proposals_proposal"
        )


def forget(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP STATISTICS IF EXISTS proposal_tier_by_status")


class Migration(migrations.Migration):

    dependencies = [("proposals", "0015_field_comments")]

    operations = [migrations.RunPython(know, forget)]
