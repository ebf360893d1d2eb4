"""Agents that are only observed, and proposals that remember it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("proposals", "0007_notices"),
    ]

    operations = [
        migrations.AddField(
            model_name=model,
            name="is_observed",
            field=models.BooleanField(
                default=False,
                help_text="What it proposes is checked and judged; nothing is written, nobody is asked.",
                verbose_name="observe only",
            ),
        )
        for model in ("agent", "historicalagent")
    ] + [
        migrations.AddField(
            model_name=model,
            name="is_observed",
            field=models.BooleanField(
                default=False, help_text="Its agent was only observed when it was proposed."
            ),
        )
        for model in ("proposal", "historicalproposal")
    ] + [
        migrations.AddField(
            model_name="agenttoken",
            name="is_replaced",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddIndex(
            model_name="proposal",
            index=models.Index(
                condition=models.Q(("is_observed", True)),
                fields=["agent", "-id"],
                name="proposal_observed",
            ),
        ),
        migrations.AddConstraint(
            model_name="proposal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("is_observed", False),
                    ("status__in", ["expired", "submitted", "withdrawn"]),
                    _connector="OR",
                ),
                name="proposal_observed_is_never_approved",
            ),
        ),
    ]
