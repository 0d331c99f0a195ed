import uuid

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import accounts.calling_rules.preset_file

# Statement triggers with transition tables: a statement adds one row per campaign and status, however many calls it
# changes. For an UPDATE the old rows are subtracted and the new ones added. Calls that failed because their number is on
# the do-not-call list are counted apart.
STATUS = "CASE WHEN status = 'failed' AND rule = 'do-not-call' THEN 'failed-dnd' ELSE status END"
TALLY = f"""
CREATE FUNCTION tally_calls() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO campaigns_calltally (campaign_id, status, tried, calls, attempts)
        SELECT campaign_id, {STATUS}, attempts_made > 0, count(*), sum(attempts_made) FROM added GROUP BY 1, 2, 3;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO campaigns_calltally (campaign_id, status, tried, calls, attempts)
        SELECT campaign_id, {STATUS}, attempts_made > 0, -count(*), -sum(attempts_made) FROM removed GROUP BY 1, 2, 3;
    ELSE
        INSERT INTO campaigns_calltally (campaign_id, status, tried, calls, attempts)
        SELECT campaign_id, status, tried, sum(calls), sum(attempts) FROM (
            SELECT campaign_id, {STATUS} AS status, attempts_made > 0 AS tried, 1 AS calls, attempts_made AS attempts
            FROM added
            UNION ALL
            SELECT campaign_id, {STATUS}, attempts_made > 0, -1, -attempts_made FROM removed
        ) AS changed GROUP BY 1, 2, 3 HAVING sum(calls) <> 0 OR sum(attempts) <> 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tally_added AFTER INSERT ON campaigns_call REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION tally_calls();
CREATE TRIGGER tally_changed AFTER UPDATE ON campaigns_call REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION tally_calls();
CREATE TRIGGER tally_removed AFTER DELETE ON campaigns_call REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION tally_calls();
"""  # noqa: S608 -- made of constants
NO_TALLY = "DROP FUNCTION tally_calls CASCADE"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_accounts_keys_caller_ids_trunks'),
    ]

    operations = [
        migrations.CreateModel(
            name='Call',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(max_length=16, validators=[django.core.validators.RegexValidator('\\A\\+[1-9][0-9]{6,14}\\Z', 'Use E.164: a plus, the country code, the number.')])),
                ('name', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('variables', models.JSONField(blank=True, help_text="Of a dynamic campaign: the values of this call's row, by column.", null=True)),
                ('status', models.CharField(choices=[('created', 'created'), ('in-progress', 'in progress'), ('retrying', 'waiting for a retry'), ('completed', 'completed'), ('failed', 'failed'), ('canceled', 'canceled')], db_default='created', default='created', editable=False, max_length=16)),
                ('attempts_made', models.PositiveSmallIntegerField(db_default=0, default=0, help_text='Attempts that counted: all but those that were given back.')),
                ('last_outcome', models.CharField(blank=True, choices=[('completed', 'completed'), ('busy', 'busy'), ('no-answer', 'no-answer'), ('failed', 'failed'), ('canceled', 'canceled')], db_default='', default='', max_length=16)),
                ('was_placed', models.BooleanField(db_default=False, default=False)),
                ('http_status', models.PositiveSmallIntegerField(blank=True, help_text="Of the carrier's last response that refused the call.", null=True, verbose_name='HTTP status')),
                ('next_attempt_at', models.DateTimeField(blank=True, help_text='When the retry is due, or until when a rule holds the call.', null=True)),
                ('rule', models.CharField(blank=True, db_default='', default='', help_text='The rule for its number that holds the call or ended it. Up or answered: that it was taken out.', max_length=32)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('end_reason', models.CharField(blank=True, db_default='', default='', help_text='Why the call ended as it did.', max_length=255)),
            ],
        ),
        migrations.CreateModel(
            name='CallHistory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_status', models.CharField(max_length=16)),
                ('to_status', models.CharField(max_length=16)),
                ('reason', models.CharField(blank=True, max_length=255)),
                ('at', models.DateTimeField()),
                ('subject', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='history', to='campaigns.call')),
            ],
            options={
                'verbose_name_plural': 'call history',
            },
        ),
        migrations.CreateModel(
            name='CallTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('campaign_id', models.UUIDField()),
                ('status', models.CharField(help_text='Of these calls; failed-dnd: failed, as they must not be made.', max_length=16)),
                ('tried', models.BooleanField(help_text='Whether these calls had an attempt that counted.')),
                ('calls', models.BigIntegerField()),
                ('attempts', models.BigIntegerField(help_text='The attempts of these calls that counted.')),
                ('is_sum', models.BooleanField(db_default=False, default=False, help_text='Whether the row replaced others.')),
            ],
            options={
                'indexes': [models.Index(fields=['campaign_id'], name='tally_of_campaign'), models.Index(condition=models.Q(('is_sum', False)), fields=['id'], name='tally_to_add_up')],
            },
        ),
        migrations.CreateModel(
            name='Campaign',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('caller_id_given', models.CharField(help_text='The API returns the spelling that it was given.', max_length=32, verbose_name='caller ID as given')),
                ('type', models.CharField(choices=[('static', 'static: everybody hears the same'), ('dynamic', 'dynamic: each call has the values of its row in the list')], default='static', max_length=8)),
                ('list_ids', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), blank=True, default=list, help_text='The lists that its calls are from.', size=None)),
                ('flow_url', models.CharField(blank=True, help_text='As given; its last segment is the flow ID.', max_length=2048, verbose_name='flow address')),
                ('flow_type', models.CharField(blank=True, choices=[('ivr', 'ivr: read the text and wait for a key'), ('greeting', 'greeting: read the text')], max_length=8)),
                ('text', models.TextField(blank=True, verbose_name='text to read')),
                ('repeat_menu_attempts', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(9)])),
                ('call_duplicate_numbers', models.BooleanField(default=False)),
                ('parent', models.ForeignKey(blank=True, db_constraint=False, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='children', to='campaigns.campaign')),
                ('again', models.JSONField(blank=True, editable=False, help_text='Whom of its parent it calls: see campaigns.called_again.', null=True)),
                ('number_of_retries', models.PositiveSmallIntegerField(default=0, validators=[django.core.validators.MaxValueValidator(3)])),
                ('retry_interval_mins', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(43200)])),
                ('retry_mechanism', models.CharField(choices=[('linear', 'linear'), ('exponential', 'exponential')], default='linear', max_length=16)),
                ('retry_on_status', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), blank=True, default=list, size=None)),
                ('mode', models.CharField(choices=[('auto', "auto: a fair share of the account's channels and starts"), ('custom', 'custom: at most so many starts a minute')], default='auto', max_length=8)),
                ('throttle', models.PositiveIntegerField(blank=True, help_text='Call starts a minute, with mode custom.', null=True)),
                ('ring_timeout', models.PositiveSmallIntegerField(blank=True, help_text='Seconds for which a phone rings; empty: as the account says.', null=True, validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(120)])),
                ('machine_detection', models.CharField(choices=[('off', 'off: nobody listens for machines'), ('hang-up', 'hang up on a machine'), ('leave-message', 'leave a message: what the flow has for machines, or the text'), ('as-a-person', 'treat a machine as a person, and note it')], db_default='off', default='off', max_length=16)),
                ('send_at', models.DateTimeField()),
                ('end_at', models.DateTimeField(blank=True, help_text='As asked for; empty: 30 days after the start.', null=True)),
                ('expires_at', models.DateTimeField(help_text='No attempt starts from this moment on.')),
                ('call_status_callback', models.URLField(blank=True, max_length=2048)),
                ('call_schedule_callback', models.URLField(blank=True, max_length=2048)),
                ('status_callback', models.URLField(blank=True, max_length=2048)),
                ('status', models.CharField(choices=[('created', 'created'), ('in-progress', 'in progress'), ('paused', 'paused'), ('completed', 'completed'), ('failed', 'failed'), ('canceled', 'canceled'), ('deleted', 'deleted'), ('archived', 'archived')], default='created', editable=False, max_length=16)),
                ('started_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('ended_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('is_ending', models.BooleanField(db_default=False, default=False, editable=False)),
                ('is_loading', models.BooleanField(db_default=False, default=False, editable=False)),
                ('lists_taken', models.PositiveSmallIntegerField(db_default=0, default=0, editable=False)),
                ('entry_taken', models.BigIntegerField(db_default=0, default=0, editable=False)),
                ('entries_until', models.BigIntegerField(db_default=0, default=0, editable=False)),
                ('calls_expected', models.PositiveIntegerField(db_default=0, default=0, editable=False, help_text='While it is loading: the entries of its lists.')),
                ('loaded_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('is_purging', models.BooleanField(db_default=False, default=False, editable=False)),
                ('failure_http_status', models.PositiveSmallIntegerField(blank=True, editable=False, null=True, verbose_name='HTTP status of the failure')),
                ('idle_until', models.DateTimeField(blank=True, editable=False, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='campaigns', to='accounts.account')),
                ('caller_id', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='campaigns', to='accounts.callerid')),
                ('rules', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32, validators=[accounts.calling_rules.preset_file.validate_name]), blank=True, db_default=[], default=list, help_text='Rule sets for the people who are called, beside those of the account.', size=None)),
                ('waived_because', models.CharField(blank=True, db_default='', default='', editable=False, max_length=255)),
                ('waived_rules', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), blank=True, db_default=[], default=list, editable=False, help_text='Rule sets of the account that an operator took away from this campaign.', size=None)),
            ],
        ),
        migrations.AddField(
            model_name='call',
            name='campaign',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='calls', to='campaigns.campaign'),
        ),
        migrations.CreateModel(
            name='CampaignHistory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_status', models.CharField(max_length=16)),
                ('to_status', models.CharField(max_length=16)),
                ('reason', models.CharField(blank=True, max_length=255)),
                ('at', models.DateTimeField()),
                ('subject', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='history', to='campaigns.campaign')),
            ],
            options={
                'verbose_name_plural': 'campaign history',
            },
        ),
        migrations.CreateModel(
            name='CustomField',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('value', models.TextField()),
                ('campaign', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='custom_field', to='campaigns.campaign')),
            ],
        ),
        migrations.CreateModel(
            name='Flow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('flow_id', models.CharField(max_length=64, validators=[django.core.validators.RegexValidator('\\A[A-Za-z0-9_-]+\\Z', 'Use letters, digits, dash and underscore only.')], verbose_name='flow ID')),
                ('document', models.JSONField(help_text='Validated against campaigns/flow.schema.json.')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='flows', to='accounts.account')),
            ],
        ),
        migrations.AddField(
            model_name='campaign',
            name='flow',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='campaigns', to='campaigns.flow'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('status__in', ['created', 'in-progress', 'retrying'])), fields=['campaign', 'status', 'next_attempt_at', 'id'], name='call_open'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(models.Q(('rule', ''), _negated=True), ('next_attempt_at__isnull', False)), fields=['campaign', 'rule', 'next_attempt_at'], name='call_held'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('attempts_made', 0), ('status__in', ['failed', 'canceled']), models.Q(('rule', ''), _negated=True)), fields=['campaign', 'ended_at', 'id'], name='call_never_dialed'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['campaign', 'id'], name='call_of_campaign'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['number'], name='call_by_number'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status__in', ['created', 'in-progress', 'retrying'])), models.Q(('ended_at__isnull', False), ('status__in', ['completed', 'failed', 'canceled'])), _connector='OR'), name='call_has_an_end_exactly_when_ended'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('next_attempt_at__isnull', False), ('status', 'retrying')), ('status', 'created'), models.Q(models.Q(('status', 'retrying'), _negated=True), ('next_attempt_at', None)), _connector='OR'), name='call_waiting_for_a_retry_knows_when'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'created'), _negated=True), models.Q(('next_attempt_at', None), ('rule', '')), models.Q(('next_attempt_at__isnull', False), models.Q(('rule', ''), _negated=True)), _connector='OR'), name='call_not_attempted_waits_for_a_rule_only'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'created'), _negated=True), ('attempts_made', 0), _connector='OR'), name='call_created_was_never_attempted'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'canceled'), _negated=True), ('attempts_made', 0), ('rule__in', ['taken-out', 'contact-deleted']), _connector='OR'), name='call_canceled_after_attempts_was_taken_out'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'completed'), _negated=True), ('last_outcome', 'completed'), _connector='OR'), name='call_completed_was_answered'),
        ),
        migrations.AddConstraint(
            model_name='flow',
            constraint=models.UniqueConstraint(fields=('account', 'flow_id'), name='flow_id_is_unique_in_its_account'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('status', 'created')), fields=['send_at'], name='campaign_to_start'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('status__in', ['created', 'in-progress', 'paused'])), fields=['expires_at'], name='campaign_to_end'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('is_ending', True)), fields=['expires_at', 'id'], name='campaign_ending'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('is_loading', True)), fields=['account', 'created_at'], name='campaign_loading'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('loaded_at__isnull', False)), fields=['account', 'loaded_at'], name='campaign_loaded'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('status__in', ['created', 'in-progress', 'paused'])), fields=['account'], name='campaign_open'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('ended_at__isnull', False)), fields=['ended_at', 'id'], name='campaign_ended'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('is_purging', True)), fields=['ended_at', 'id'], name='campaign_purging'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('status', 'in-progress')), fields=['account', 'id'], name='campaign_in_progress'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(fields=['account', 'created_at', 'id'], name='campaign_listed'),
        ),
        migrations.AddIndex(
            model_name='campaign',
            index=models.Index(condition=models.Q(('parent__isnull', False)), fields=['parent'], name='campaign_children'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status__in', ['created', 'in-progress', 'paused'])), models.Q(('ended_at__isnull', False), models.Q(('status__in', ['created', 'in-progress', 'paused']), _negated=True)), _connector='OR'), name='campaign_has_an_end_exactly_when_ended'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'in-progress'), _negated=True), ('started_at__isnull', False), _connector='OR'), name='campaign_in_progress_has_started'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ['created', 'deleted']), _negated=True), ('started_at', None), _connector='OR'), name='campaign_not_started_stays_so'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('is_ending', False), models.Q(('status__in', ['canceled', 'archived']), _negated=True), _connector='OR'), name='campaign_is_ending_by_time_or_on_request'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('is_loading', False), models.Q(('is_ending', False), ('started_at', None), ('status__in', ['created', 'paused'])), _connector='OR'), name='campaign_is_loading_before_its_start'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('is_purging', False), models.Q(('ended_at__isnull', False), ('is_ending', False)), _connector='OR'), name='campaign_is_purged_after_its_end'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('send_at'))), name='campaign_ends_after_it_starts'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('end_at', None), ('end_at', models.F('expires_at')), _connector='OR'), name='campaign_keeps_its_own_end'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('number_of_retries__lte', 3)), name='campaign_has_at_most_three_retries'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('number_of_retries', 0), models.Q(('retry_interval_mins__gte', 1), ('retry_interval_mins__isnull', False)), _connector='OR'), name='campaign_with_retries_has_an_interval'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('retry_on_status__contained_by', ['busy', 'no-answer', 'failed'])), name='campaign_retries_on_failures_only'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('mode', 'custom'), _negated=True), models.Q(('throttle__gte', 1), ('throttle__isnull', False)), _connector='OR'), name='campaign_with_its_own_throttle_has_one'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('flow__isnull', False), ('flow_type', ''), ('text', ''), models.Q(('flow_url', ''), _negated=True)), models.Q(('flow', None), ('flow_type__in', ['ivr', 'greeting']), ('flow_url', ''), models.Q(('text', ''), _negated=True)), _connector='OR'), name='campaign_has_either_a_flow_or_a_text'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(('repeat_menu_attempts', None), models.Q(('flow_type', 'ivr'), ('repeat_menu_attempts__lte', 9)), _connector='OR'), name='campaign_repeats_a_menu_only'),
        ),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('list_ids__len__lte', 5), ('type', 'static')), models.Q(('list_ids__len', 1), ('type', 'dynamic')), _connector='OR'), name='campaign_has_five_lists_or_one_dynamic_list'),
        ),
        migrations.RunSQL(TALLY, NO_TALLY),
        migrations.AddConstraint(
            model_name='campaign',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('waived_because', ''), ('waived_rules__len', 0)), models.Q(('waived_rules__len__gt', 0), models.Q(('waived_because', ''), _negated=True)), _connector='OR'), name='campaign_waives_rules_for_a_reason'),
        ),
    ]
