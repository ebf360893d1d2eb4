from django.db import migrations, models
from django.db.migrations.exceptions import IrreversibleError
from django.db.models.functions import Length

FORMER_LENGTH = 500


def refuse_to_cut(apps, schema_editor):
    """PostgreSQL would cut what no longer fits without a word, and no digest would fit any more."""
    checks = apps.get_model("proposals", "Check").objects.using(schema_editor.connection.alias)
    longer = checks.annotate(length=Length("groups")).filter(length__gt=FORMER_LENGTH).count()
    if longer:
        raise IrreversibleError(
            f"{longer} check{'s name' if longer > 1 else ' names'} more groups than the "
            f"{FORMER_LENGTH} characters of before hold. Nothing was changed; going back would "
            "cut them."
        )


class Migration(migrations.Migration):

    dependencies = [
        ('proposals', '0020_known_issuers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='check',
            name='groups',
            field=models.TextField(blank=True, help_text='As ,one,two, for look-ups.'),
        ),
        # The last here is the first on the way back.
        migrations.RunPython(migrations.RunPython.noop, refuse_to_cut),
    ]
