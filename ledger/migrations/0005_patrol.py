"""What the clock found altered, going round all that is sealed."""

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
        migrations.AddField("walk", "ended_at", models.DateTimeField(null=True)),
    ]
