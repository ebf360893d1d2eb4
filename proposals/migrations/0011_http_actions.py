"""Actions over HTTP that people define, and the names of the secrets they use."""

import django.core.validators
import django.db.models.deletion
import ledger.canonical
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('proposals', '0010_outcomes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HttpAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='As noun.verb, such as payments.refund. It stays.', max_length=100, unique=True)),
                ('definition', ledger.canonical.CanonicalJSONField()),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'verbose_name': 'HTTP action',
                'ordering': ['name'],
                'permissions': [('configure_actions', 'Can define HTTP actions, their secrets and mail templates')],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='NamedSecret',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, unique=True, validators=[django.core.validators.RegexValidator('\\A[a-z][a-z0-9_-]*\\Z', 'Lower-case letters, digits, - and _, a letter first.')])),
                ('origin', models.CharField(help_text='The only place it is sent to, such as https://api.example.com.', max_length=300)),
                ('version', models.PositiveIntegerField(default=0, editable=False, help_text='How often it was entered or forgotten.')),
                ('is_kept', models.BooleanField(default=False, help_text='Whether there is a value.')),
                ('changed_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['name'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='HistoricalHttpAction',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(db_index=True, help_text='As noun.verb, such as payments.refund. It stays.', max_length=100)),
                ('definition', ledger.canonical.CanonicalJSONField()),
                ('is_enabled', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(blank=True, editable=False)),
                ('updated_at', models.DateTimeField(blank=True, editable=False)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical HTTP action',
                'verbose_name_plural': 'historical HTTP actions',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalNamedSecret',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(db_index=True, max_length=40, validators=[django.core.validators.RegexValidator('\\A[a-z][a-z0-9_-]*\\Z', 'Lower-case letters, digits, - and _, a letter first.')])),
                ('origin', models.CharField(help_text='The only place it is sent to, such as https://api.example.com.', max_length=300)),
                ('version', models.PositiveIntegerField(default=0, editable=False, help_text='How often it was entered or forgotten.')),
                ('is_kept', models.BooleanField(default=False, help_text='Whether there is a value.')),
                ('changed_at', models.DateTimeField(blank=True, editable=False)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical named secret',
                'verbose_name_plural': 'historical named secrets',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
    ]
