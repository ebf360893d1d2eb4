"""The index that lists find entries by. What entries there are is filled in; `index_ledger` adds
what only their bodies tell (action, tier, flags, reasons, digests and keys)."""

import django.db.models.deletion
from django.db import migrations, models

FILL_FACETS = """
    INSERT INTO ledger_facet (entry_id, at, kind, actor, origin, agent, action, tier, flag, reason)
    SELECT id, at, kind, actor,
        CASE WHEN actor LIKE 'agent:%' THEN 'agent' WHEN actor LIKE 'user:%' THEN 'person'
             WHEN actor IN ('system:clock', 'system:sealer') THEN 'clock'
             WHEN actor IN ('system:operator', 'system:demonstration') THEN 'command'
             ELSE 'worker' END,
        agent, '', '', '', ''
    FROM ledger_ledgerentry
"""
FILL_MENTIONS = """
    INSERT INTO ledger_mention (name, value, at, entry_id)
    SELECT 'object', object, at, id FROM ledger_ledgerentry WHERE object <> ''
"""
# A stored column and not an index on an expression: only of a column does PostgreSQL know how
# common each word is, and it walks back in time for common ones instead of gathering all.
WORDS = (
    "ALTER TABLE ledger_facet ADD COLUMN words tsvector "
    "GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, reason)) STORED",
    "CREATE INDEX facet_words ON ledger_facet USING gin (words) WHERE reason <> ''",
)


def index_words(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for statement in WORDS:
            schema_editor.execute(statement)


def drop_words(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE ledger_facet DROP COLUMN IF EXISTS words")


def index_on(name, *columns, **more):
    return migrations.AddIndex("facet", models.Index(fields=[*columns], name=name, **more))


class Migration(migrations.Migration):

    dependencies = [("ledger", "0002_seals")]

    operations = [
        migrations.CreateModel(
            name="Access",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True)),
                ("actor", models.CharField(max_length=100)),
                ("actor_name", models.CharField(blank=True, max_length=200)),
                ("what", models.CharField(max_length=20)),
                ("query", models.CharField(blank=True, max_length=1000)),
            ],
            options={
                "verbose_name_plural": "access log",
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["actor", "-id"], name="access_by_actor")],
            },
        ),
        migrations.CreateModel(
            name="Facet",
            fields=[
                ("entry", models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name="facet", serialize=False, to="ledger.ledgerentry")),
                ("at", models.DateTimeField()),
                ("kind", models.CharField(max_length=100)),
                ("actor", models.CharField(max_length=100)),
                ("origin", models.CharField(max_length=10)),
                ("agent", models.CharField(blank=True, max_length=64)),
                ("action", models.CharField(blank=True, max_length=128)),
                ("tier", models.CharField(blank=True, max_length=10)),
                ("flag", models.CharField(blank=True, max_length=10)),
                ("revision", models.PositiveIntegerField(null=True)),
                ("reason", models.TextField(blank=True)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Mention",
            fields=[
                ("pk", models.CompositePrimaryKey("name", "value", "at", "entry_id", blank=True, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=10)),
                ("value", models.CharField(max_length=500)),
                ("at", models.DateTimeField()),
                ("entry", models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name="mentions", to="ledger.ledgerentry")),
            ],
            options={"default_permissions": ()},
        ),
        migrations.RunSQL(FILL_FACETS, migrations.RunSQL.noop),
        migrations.RunSQL(FILL_MENTIONS, migrations.RunSQL.noop),
        index_on("facet_at", "at", "entry"),
        *(index_on(f"facet_{column}", column, "at", "entry") for column in ("kind", "actor", "origin")),
        *(
            index_on(f"facet_{column}", column, "at", "entry", condition=models.Q(**{f"{column}__gt": ""}))
            for column in ("agent", "action", "tier", "flag")
        ),
        migrations.RunPython(index_words, drop_words),
        migrations.AlterModelOptions(
            name="ledgerentry",
            options={"default_permissions": ("view",), "permissions": [("export_ledger", "Can export the ledger")], "verbose_name_plural": "ledger entries"},
        ),
        *(migrations.RemoveIndex("ledgerentry", f"ledger_{column}") for column in ("agent", "actor", "object", "at")),
    ]
