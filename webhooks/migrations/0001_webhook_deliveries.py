import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

# The key of a webhook's campaign, checked once a statement (decision 0039): the end of a campaign adds thousands of rows
# in one. `refuse_another_key` is made by the contacts' migration.
CHECK_CAMPAIGN = """
CREATE FUNCTION webhook_has_its_campaign() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE missing uuid;
BEGIN
    SELECT named.id INTO missing FROM (SELECT DISTINCT campaign_id AS id FROM added ORDER BY 1) AS named
    WHERE NOT EXISTS (SELECT FROM campaigns_campaign WHERE id = named.id FOR KEY SHARE) LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING
            CONSTRAINT = 'webhook_has_its_campaign', TABLE = 'webhooks_webhookdelivery', COLUMN = 'campaign_id',
            MESSAGE = format(
                'webhook_has_its_campaign: webhooks_webhookdelivery.campaign_id = %s is not in campaigns_campaign', missing
            );
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER webhook_has_its_campaign AFTER INSERT ON webhooks_webhookdelivery REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION webhook_has_its_campaign();

CREATE FUNCTION webhook_has_its_campaign_still() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM webhooks_webhookdelivery WHERE campaign_id = OLD.id) THEN
        RAISE foreign_key_violation USING CONSTRAINT = 'webhook_has_its_campaign', TABLE = 'campaigns_campaign',
            MESSAGE = format(
                'webhook_has_its_campaign: campaigns_campaign = %s is still named by webhooks_webhookdelivery', OLD.id
            );
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER webhook_has_its_campaign_still AFTER DELETE ON campaigns_campaign
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION webhook_has_its_campaign_still();

CREATE TRIGGER webhook_has_its_campaign_forever BEFORE UPDATE OF campaign_id ON webhooks_webhookdelivery
    FOR EACH ROW WHEN (OLD.campaign_id <> NEW.campaign_id) EXECUTE FUNCTION refuse_another_key();
CREATE TRIGGER webhook_has_its_campaign_with_its_id BEFORE UPDATE OF id ON campaigns_campaign
    FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION refuse_another_key();
"""
CHECK_NO_CAMPAIGN = """
DROP TRIGGER webhook_has_its_campaign_with_its_id ON campaigns_campaign;
DROP FUNCTION webhook_has_its_campaign CASCADE;
DROP FUNCTION webhook_has_its_campaign_still CASCADE;
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_accounts_keys_caller_ids_trunks'),
        ('campaigns', '0001_campaigns_calls_flows_tally'),
        ('contacts', '0001_contacts_lists_csv_uploads'),
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
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_deliveries', to='accounts.account')),
                ('campaign', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_deliveries', to='campaigns.campaign')),
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
        migrations.RunSQL(CHECK_CAMPAIGN, CHECK_NO_CAMPAIGN),
    ]
