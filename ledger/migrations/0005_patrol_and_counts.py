"""What the clock found altered, going round all that is sealed; and what it counts exactly."""

import ledger.canonical
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("ledger", "0004_days")]

    operations = [
        migrations.CreateModel(
            name="Broken",
            fields=[
                ("entry_id", models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ("why", models.CharField(max_length=300)),
                ("found_at", models.DateTimeField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="ExactCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=71, unique=True)),
                ("asked", ledger.canonical.CanonicalJSONField()),
                ("actor_name", models.CharField(blank=True, max_length=200)),
                ("asked_at", models.DateTimeField()),
                ("upto", models.PositiveBigIntegerField()),
                ("position", models.PositiveBigIntegerField(default=0)),
                ("count", models.PositiveBigIntegerField(default=0)),
                ("finished_at", models.DateTimeField(null=True)),
                ("error", models.CharField(blank=True, max_length=200)),
            ],
            options={"default_permissions": ()},
        ),
        migrations.AddField("walk", "ended_at", models.DateTimeField(null=True)),
    ]
