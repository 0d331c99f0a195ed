import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_accounts_keys_caller_ids_trunks'),
        ('campaigns', '0001_campaigns_calls_flows_tally'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('webhook_id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, help_text='The same in every try, so that a receiver can tell a repeat.', unique=True, verbose_name='webhook ID')),
                ('kind', models.CharField(choices=[('call-status', 'call status: an attempt has ended'), ('call-schedule', 'call schedule: a number has ended, its retries included'), ('campaign-status', 'campaign status: it has started or ended')], max_length=16)),
                ('url', models.CharField(max_length=2048, verbose_name='address')),
                ('payload', models.JSONField()),
                ('receiver', models.UUIDField(editable=False)),
                ('stream', models.UUIDField(editable=False)),
                ('queue', models.UUIDField(editable=False)),
                ('created_at', models.DateTimeField()),
                ('queued_at', models.DateTimeField()),
                ('next_try_at', models.DateTimeField(help_text='Empty once it is delivered or given up.', null=True)),
                ('sending_until', models.DateTimeField(editable=False, null=True)),
                ('has_failed', models.BooleanField(default=False, editable=False)),
                ('tries', models.PositiveIntegerField(default=0, help_text='Tries begun since it was queued.')),
                ('delivered_at', models.DateTimeField(null=True)),
                ('given_up_at', models.DateTimeField(null=True)),
                ('last_status', models.PositiveSmallIntegerField(null=True, verbose_name='last HTTP status')),
                ('last_error', models.CharField(blank=True, max_length=255)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_deliveries', to='accounts.account')),
                ('campaign', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_deliveries', to='campaigns.campaign')),
            ],
            options={
                'verbose_name_plural': 'webhook deliveries',
            },
        ),
        migrations.CreateModel(
            name='WebhookTry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text='When the try began.')),
                ('duration_ms', models.PositiveIntegerField(help_text='Until the response or the error, in milliseconds.', verbose_name='duration')),
                ('http_status', models.PositiveSmallIntegerField(null=True, verbose_name='HTTP status')),
                ('error', models.CharField(blank=True, max_length=255)),
                ('response', models.TextField(blank=True, help_text="The beginning of the receiver's response.")),
                ('delivery', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='log', to='webhooks.webhookdelivery')),
            ],
            options={
                'verbose_name_plural': 'webhook tries',
            },
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('next_try_at__isnull', False)), fields=['receiver', 'next_try_at', 'id'], name='webhook_due'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('next_try_at__isnull', False)), fields=['queue', 'id'], name='webhook_pending'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('next_try_at__isnull', False)), fields=['stream', 'has_failed', 'id'], name='webhook_stream'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('sending_until__isnull', False)), fields=['sending_until'], name='webhook_sending'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['account', 'id'], name='webhook_of_account'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(fields=['campaign', 'id'], name='webhook_of_campaign'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('next_try_at', None)), fields=['created_at'], name='webhook_by_age'),
        ),
        migrations.AddIndex(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('given_up_at__isnull', False)), fields=['given_up_at'], name='webhook_given_up'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('delivered_at', None), ('given_up_at', None), ('next_try_at__isnull', False)), models.Q(('delivered_at__isnull', False), ('given_up_at', None), ('next_try_at', None)), models.Q(('delivered_at', None), ('given_up_at__isnull', False), ('next_try_at', None)), _connector='OR'), name='webhook_is_pending_delivered_or_given_up'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['call-status', 'call-schedule', 'campaign-status'])), name='webhook_is_of_a_known_kind'),
        ),
    ]
