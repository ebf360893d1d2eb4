"""How many entries each day has. Of the entries that are there, the clock counts them in steps."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("ledger", "0003_search")]

    operations = [
        migrations.CreateModel(
            name="DayCount",
            fields=[
                ("pk", models.CompositePrimaryKey("day", "kind", "tier", blank=True, editable=False, primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("kind", models.CharField(max_length=100)),
                ("tier", models.CharField(blank=True, max_length=10)),
                ("count", models.PositiveBigIntegerField()),
            ],
            options={"default_permissions": ()},
        ),
        migrations.CreateModel(
            name="Walk",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("position", models.PositiveBigIntegerField(default=0)),
                ("sealed", models.PositiveBigIntegerField(default=0)),
            ],
            options={"default_permissions": ()},
        ),
    ]
