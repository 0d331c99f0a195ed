import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

# A call counts from the moment at which its carrier is asked, unless its attempt is given back. Quarters of an hour,
# because they begin a day in every time zone. Deleted attempts were placed all the same.
USAGE = """
CREATE FUNCTION count_usage() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dialer_usagechange (account_id, at, calls, seconds)
    SELECT account_id, date_bin('15 minutes', placing_at, TIMESTAMPTZ '2000-01-01 00:00Z'), sum(calls), sum(seconds)
    FROM (
        SELECT account_id, placing_at, (status <> 'canceled')::int AS calls, coalesce(duration_seconds, 0) AS seconds
        FROM added WHERE placing_at IS NOT NULL
        UNION ALL
        SELECT account_id, placing_at, -(status <> 'canceled')::int, -coalesce(duration_seconds, 0)
        FROM removed WHERE placing_at IS NOT NULL
    ) AS changed GROUP BY 1, 2 HAVING sum(calls) <> 0 OR sum(seconds) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER usage_changed AFTER UPDATE ON dialer_callattempt REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_usage();
"""
NO_USAGE = "DROP FUNCTION count_usage CASCADE"

# The attempts that have ended, by the hour in which they were placed, by the clock of their account. In most statements
# none has ended, which costs a look at the new rows. They are summed up before campaigns and accounts are joined: those
# are few, and attempts are hundreds. `dialer/hour_tally.py` counts in the same way, and a test compares the two.
TALKS = "ARRAY[0, 6, 15, 30, 60, 120, 300]"
ENDED = "status IN ('completed', 'busy', 'no-answer', 'failed')"
ATTEMPT = f"""
    account_id, campaign_id, date_bin('15 minutes', placing_at, TIMESTAMPTZ '2000-01-01 00:00Z') AS quarter, status, number,
    CASE WHEN length(digits) > 3 THEN 'more' ELSE digits END AS digits,
    CASE WHEN status = 'completed' THEN ({TALKS})[width_bucket(duration_seconds, {TALKS})] END AS talk_from
"""
HOURS = f"""
CREATE FUNCTION tally_hours() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM added WHERE {ENDED}) THEN
        RETURN NULL;
    END IF;
    INSERT INTO dialer_hourtally
        (account_id, campaign_id, caller_id_id, hour, outcome, number, digits, talk_from, attempts, seconds)
    SELECT summed.account_id, campaign_id, campaign.caller_id_id, date_trunc('hour', quarter, account.time_zone),
        summed.status, number, digits, talk_from, attempts, seconds
    FROM (
        SELECT account_id, campaign_id, quarter, status, number, digits, talk_from,
            sum(attempts) AS attempts, sum(seconds) AS seconds
        FROM (
            SELECT {ATTEMPT}, 1 AS attempts, coalesce(duration_seconds, 0) AS seconds FROM added WHERE {ENDED}
            UNION ALL
            SELECT {ATTEMPT}, -1, -coalesce(duration_seconds, 0) FROM removed WHERE {ENDED}
        ) AS changed GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(attempts) <> 0 OR sum(seconds) <> 0
    ) AS summed
    JOIN campaigns_campaign AS campaign ON campaign.id = campaign_id
    JOIN accounts_account AS account ON account.id = summed.account_id;
    RETURN NULL;
END $$;
CREATE TRIGGER hours_changed AFTER UPDATE ON dialer_callattempt REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION tally_hours();
"""  # noqa: S608 -- made of constants
NO_HOURS = "DROP FUNCTION tally_hours CASCADE"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_accounts_keys_caller_ids_trunks'),
        ('campaigns', '0001_campaigns_calls_flows_tally'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrunkHealth',
            fields=[
                ('trunk', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='health', serialize=False, to='accounts.trunk')),
                ('failures', models.PositiveIntegerField(default=0, help_text='Rests in a row, without a call taken in between.')),
                ('down_since', models.DateTimeField(blank=True, null=True)),
                ('resting_until', models.DateTimeField(blank=True, null=True)),
                ('next_try_at', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=255)),
            ],
            options={
                'verbose_name_plural': 'trunk health',
            },
        ),
        migrations.CreateModel(
            name='CallerIdHealth',
            fields=[
                ('caller_id', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='health', serialize=False, to='accounts.callerid')),
                ('failures', models.PositiveIntegerField(default=0, help_text='Rests in a row, without a call taken in between.')),
                ('down_since', models.DateTimeField(blank=True, null=True)),
                ('resting_until', models.DateTimeField(blank=True, null=True)),
                ('next_try_at', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=255)),
                ('refused_numbers', models.JSONField(blank=True, default=list)),
                ('refused_since', models.DateTimeField(blank=True, null=True)),
                ('failing_numbers', models.JSONField(blank=True, default=list)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name_plural': 'caller ID health',
            },
        ),
        migrations.CreateModel(
            name='RouteHealth',
            fields=[
                ('route', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='health', serialize=False, to='accounts.route')),
                ('failures', models.PositiveIntegerField(default=0, help_text='Rests in a row, without a call taken in between.')),
                ('down_since', models.DateTimeField(blank=True, null=True)),
                ('resting_until', models.DateTimeField(blank=True, null=True)),
                ('next_try_at', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.CharField(blank=True, max_length=255)),
                ('refused_numbers', models.JSONField(blank=True, default=list)),
                ('refused_since', models.DateTimeField(blank=True, null=True)),
                ('failing_numbers', models.JSONField(blank=True, default=list)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name_plural': 'route health',
            },
        ),
        migrations.CreateModel(
            name='CallAttempt',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveSmallIntegerField(help_text='1 for the first attempt that counts.', verbose_name='attempt number')),
                ('status', models.CharField(choices=[('claimed', 'claimed'), ('placing', 'placing'), ('in-progress', 'in progress'), ('unknown', 'unknown: the carrier is being asked'), ('completed', 'completed'), ('busy', 'busy'), ('no-answer', 'no-answer'), ('failed', 'failed'), ('canceled', 'canceled')], default='claimed', editable=False, max_length=16)),
                ('carrier_ref', models.CharField(blank=True, max_length=64, verbose_name="carrier's id")),
                ('ref_is_guess', models.BooleanField(db_default=False, default=False, help_text='The call was found by its number.', verbose_name="carrier's id is a guess")),
                ('ref_is_repeated', models.BooleanField(db_default=False, default=False, help_text='Another call had it before.', verbose_name="carrier's id is repeated")),
                ('claimed_at', models.DateTimeField()),
                ('placing_at', models.DateTimeField(blank=True, null=True)),
                ('heard_at', models.DateTimeField(blank=True, null=True)),
                ('rang_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('answered_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('duration_seconds', models.PositiveIntegerField(blank=True, help_text='The conversation, in seconds.', null=True)),
                ('answered_by', models.CharField(blank=True, choices=[('human', 'human'), ('machine', 'machine'), ('unknown', 'unknown')], db_default='', default='', help_text='By the carrier, where it tells machines from people.', max_length=8)),
                ('digits', models.CharField(blank=True, help_text='The keys that the callee pressed.', max_length=255)),
                ('recording_url', models.CharField(blank=True, max_length=2048)),
                ('wish', models.CharField(blank=True, choices=[('refusal', 'refusal: no more calls about this'), ('opt-out', 'opt-out: no more calls')], db_default='', default='', help_text='What the callee asked for about further calls.', max_length=8)),
                ('http_status', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='HTTP status')),
                ('reason', models.CharField(blank=True, max_length=255)),
                ('was_refused', models.BooleanField(db_default=False, default=False, help_text='Given back after a refusal that may concern our account there.')),
                ('callee', models.CharField(help_text='The number that is dialed.', max_length=16)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('carrier_account', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.carrieraccount')),
                ('call', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='campaigns.call')),
                ('campaign', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='attempts', to='campaigns.campaign')),
                ('trunk', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='attempts', to='accounts.trunk')),
            ],
        ),
        migrations.CreateModel(
            name='Transfer',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('place', models.CharField(help_text='In the flow.', max_length=400)),
                ('number', models.CharField(max_length=16)),
                ('to_person', models.BooleanField(db_default=True, default=True, help_text="The number was none of the account's agents: rules count the call.")),
                ('started_at', models.DateTimeField(help_text='When the flow came to it.')),
                ('placing_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('outcome', models.CharField(blank=True, choices=[('completed', 'completed'), ('busy', 'busy'), ('no-answer', 'no-answer'), ('failed', 'failed'), ('canceled', 'canceled')], max_length=16)),
                ('talk_seconds', models.PositiveIntegerField(blank=True, null=True)),
                ('rule', models.CharField(blank=True, db_default='', default='', max_length=32)),
                ('reason', models.CharField(blank=True, db_default='', default='', max_length=255)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('attempt', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='transfers', to='dialer.callattempt')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('ended_at', None)), fields=['attempt'], name='transfer_open'), models.Index(condition=models.Q(('ended_at', None), ('to_person', True)), fields=['account', 'number'], name='transfer_to_person_open'), models.Index(condition=models.Q(('to_person', True)), fields=['account', 'number', 'placing_at'], name='transfer_to_person')],
                'constraints': [models.UniqueConstraint(fields=('attempt', 'place'), name='transfer_rings_once_for_its_place'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('outcome', '')), models.Q(('ended_at__isnull', False), models.Q(('outcome', ''), _negated=True)), _connector='OR'), name='transfer_has_an_outcome_exactly_when_ended'), models.CheckConstraint(condition=models.Q(models.Q(('placing_at__isnull', False), ('rule', '')), ('outcome__in', ['', 'failed', 'canceled']), _connector='OR'), name='transfer_that_rang_was_placed')],
            },
        ),
        migrations.CreateModel(
            name='Recording',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('place', models.CharField(help_text='In the flow.', max_length=400)),
                ('url', models.CharField(help_text='Where it is heard: here, or at the carrier.', max_length=2048)),
                ('file', models.CharField(blank=True, help_text='Its name in the storage of recordings; empty where the carrier keeps it.', max_length=255)),
                ('seconds', models.PositiveIntegerField()),
                ('recorded_at', models.DateTimeField(help_text='When it ended.')),
                ('is_cut', models.BooleanField(db_default=False, default=False, help_text='Its end is missing: the gateway died, or its disk was full.', verbose_name='cut')),
                ('attempt', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='recordings', to='dialer.callattempt')),
            ],
            options={
                'indexes': [models.Index(fields=['recorded_at'], name='recording_by_age')],
                'constraints': [models.UniqueConstraint(fields=('attempt', 'place'), name='recording_is_made_once_for_its_place')],
            },
        ),
        migrations.CreateModel(
            name='UsageChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('account_id', models.BigIntegerField()),
                ('at', models.DateTimeField(help_text='When the calls were placed: the beginning of the quarter of an hour.')),
                ('calls', models.BigIntegerField()),
                ('seconds', models.BigIntegerField()),
                ('is_sum', models.BooleanField(db_default=False, default=False, help_text='Whether the row replaced others.')),
            ],
            options={
                'indexes': [models.Index(fields=['account_id', 'at'], name='usage_of_account'), models.Index(condition=models.Q(('is_sum', False)), fields=['id'], name='usage_to_add_up')],
            },
        ),
        migrations.CreateModel(
            name='HourTally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('account_id', models.BigIntegerField()),
                ('campaign_id', models.UUIDField()),
                ('caller_id_id', models.BigIntegerField()),
                ('hour', models.DateTimeField(help_text='When the hour began, by the clock of the account.')),
                ('outcome', models.CharField(choices=[('completed', 'completed'), ('busy', 'busy'), ('no-answer', 'no-answer'), ('failed', 'failed'), ('canceled', 'canceled')], max_length=16)),
                ('number', models.PositiveSmallIntegerField(verbose_name='attempt number')),
                ('digits', models.CharField(blank=True, help_text='The keys pressed, up to three; more: just so.', max_length=4)),
                ('talk_from', models.PositiveSmallIntegerField(help_text='The talk lasted so many seconds at least: one of hour_tally.TALK_BOUNDS.', null=True)),
                ('attempts', models.BigIntegerField()),
                ('seconds', models.BigIntegerField(help_text='Talked in these attempts.')),
                ('is_sum', models.BooleanField(db_default=False, default=False, help_text='Whether the row replaced others.')),
            ],
            options={
                'indexes': [models.Index(fields=['account_id', 'hour'], name='hours_of_account'), models.Index(fields=['campaign_id', 'hour'], name='hours_of_campaign'), models.Index(condition=models.Q(('is_sum', False)), fields=['id'], name='hours_to_add_up')],
            },
        ),
        migrations.CreateModel(
            name='AttemptHistory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('from_status', models.CharField(max_length=16)),
                ('to_status', models.CharField(max_length=16)),
                ('reason', models.CharField(blank=True, max_length=255)),
                ('at', models.DateTimeField()),
                ('subject', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='history', to='dialer.callattempt')),
            ],
            options={
                'verbose_name_plural': 'attempt history',
            },
        ),
        migrations.CreateModel(
            name='CarrierEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt_id', models.UUIDField(db_index=True)),
                ('carrier', models.CharField(max_length=16)),
                ('payload', models.JSONField(help_text='Empty some days after the event was handled.', null=True)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
                ('handled_at', models.DateTimeField(blank=True, null=True)),
                ('error', models.CharField(blank=True, help_text='Why it could not be handled.', max_length=1000)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('handled_at', None)), fields=['id'], name='event_not_handled')],
            },
        ),
        migrations.AddIndex(
            model_name='callattempt',
            index=models.Index(condition=models.Q(('status__in', ['claimed', 'placing', 'in-progress', 'unknown'])), fields=['status', 'claimed_at'], name='attempt_unfinished'),
        ),
        migrations.AddIndex(
            model_name='callattempt',
            index=models.Index(condition=models.Q(('ref_is_repeated', True)), fields=['carrier_account', 'carrier_ref'], name='attempt_with_a_repeated_id'),
        ),
        migrations.AddIndex(
            model_name='callattempt',
            index=models.Index(condition=models.Q(('status__in', ['completed', 'busy', 'no-answer', 'failed'])), fields=['account', 'callee', 'placing_at'], name='attempt_to_number'),
        ),
        migrations.AddIndex(
            model_name='callattempt',
            index=models.Index(fields=['campaign', 'claimed_at', 'id'], name='attempt_listed'),
        ),
        migrations.AddIndex(
            model_name='callattempt',
            index=models.Index(condition=models.Q(('wish', ''), _negated=True), fields=['campaign'], name='attempt_with_a_wish'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['claimed', 'placing', 'in-progress', 'unknown'])), fields=('call',), name='call_has_at_most_one_unfinished_attempt'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['claimed', 'placing', 'in-progress', 'unknown'])), fields=('account', 'callee'), name='number_has_one_attempt_under_way'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'canceled'), _negated=True), fields=('call', 'number'), name='attempt_number_is_unique_in_its_call'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('carrier_ref', ''), _negated=True), ('ref_is_repeated', False)), fields=('carrier_account', 'carrier_ref'), name='carrier_ref_belongs_to_one_attempt'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status__in', ['claimed', 'placing', 'in-progress', 'unknown'])), models.Q(('ended_at__isnull', False), ('status__in', ['completed', 'busy', 'no-answer', 'failed', 'canceled'])), _connector='OR'), name='attempt_has_an_end_exactly_when_ended'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.CheckConstraint(condition=models.Q(('placing_at__isnull', False), ('status__in', ['claimed', 'canceled']), _connector='OR'), name='attempt_that_rings_was_placed'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.CheckConstraint(condition=models.Q(('placing_at', None), ('carrier_account__isnull', False), _connector='OR'), name='attempt_that_was_placed_has_a_carrier_account'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='attempt_numbers_start_at_one'),
        ),
        migrations.RunSQL(USAGE, NO_USAGE),
        migrations.RunSQL(HOURS, NO_HOURS),
    ]
