from django.db import migrations, models


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
    ]
