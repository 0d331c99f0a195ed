import datetime
import uuid

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import accounts.address_ranges
import accounts.audit_entry
import accounts.calling_rules.caps
import accounts.calling_rules.preset_file
import accounts.carriers
import accounts.models
import accounts.public_holidays
import accounts.webhook_secrets
import core.encryption

# Whatever changes a trunk, it is at the account that its columns name, and an account that it leaves keeps what is
# needed to ask for the calls that are still under way there.
PLACE_TRUNK = """
CREATE FUNCTION place_trunk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_carrieraccount (carrier, base_url, account_sid, api_key, api_token)
    VALUES (NEW.carrier, NEW.base_url, NEW.account_sid, '', '')
    ON CONFLICT (carrier, base_url, account_sid) DO UPDATE SET api_key = '', api_token = '', left_at = NULL
    RETURNING id INTO NEW.carrier_account_id;
    IF TG_OP = 'UPDATE' AND OLD.carrier_account_id <> NEW.carrier_account_id AND NOT EXISTS (
        SELECT FROM accounts_trunk WHERE carrier_account_id = OLD.carrier_account_id AND id <> OLD.id
    ) THEN
        UPDATE accounts_carrieraccount SET api_key = OLD.api_key, api_token = OLD.api_token, left_at = now()
        WHERE id = OLD.carrier_account_id;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER trunk_is_placed BEFORE INSERT OR UPDATE OF carrier, base_url, account_sid, carrier_account_id
    ON accounts_trunk FOR EACH ROW EXECUTE FUNCTION place_trunk();
CREATE FUNCTION refuse_another_carrier_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a carrier account keeps its carrier, address and SID: change the trunk instead'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER carrier_account_stays BEFORE UPDATE OF carrier, base_url, account_sid ON accounts_carrieraccount
    FOR EACH ROW WHEN ((OLD.carrier, OLD.base_url, OLD.account_sid) <> (NEW.carrier, NEW.base_url, NEW.account_sid))
    EXECUTE FUNCTION refuse_another_carrier_account();
"""
NO_PLACE_TRUNK = """
DROP FUNCTION place_trunk CASCADE;
DROP FUNCTION refuse_another_carrier_account CASCADE;
"""

# The record of who did what is for the day on which the program, or the person at it, was wrong.
KEEP_AUDIT_ENTRIES = """
CREATE FUNCTION keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.at < now() - interval '1 year' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'an audit entry is never changed, and not deleted within a year'
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION keep_audit_entry();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "sid",
                    models.CharField(
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[A-Za-z0-9_.-]+\\Z", "Use letters, digits, dot, dash and underscore only."
                            )
                        ],
                        verbose_name="SID",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True, help_text="An inactive account can't use the API and dials nothing."
                    ),
                ),
                (
                    "region",
                    models.CharField(
                        default="IN",
                        help_text="The country of numbers that are written without a country code.",
                        max_length=2,
                        validators=[accounts.models.validate_region],
                    ),
                ),
                (
                    "time_zone",
                    models.CharField(
                        default="Asia/Kolkata", max_length=64, validators=[accounts.models.validate_time_zone]
                    ),
                ),
                (
                    "opens_at",
                    models.TimeField(
                        default=datetime.time(10, 30), help_text="Nobody is called before this local time."
                    ),
                ),
                (
                    "closes_at",
                    models.TimeField(
                        default=datetime.time(21, 0),
                        help_text="Nobody is called from this local time on; 00:00 is the end of the day. A time before the opening is on the next day: 18:30 to 03:30.",
                    ),
                ),
                (
                    "channels",
                    models.PositiveIntegerField(
                        default=60,
                        help_text="The most calls at once.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "starts_per_minute",
                    models.PositiveIntegerField(
                        default=60,
                        help_text="The most calls started in any minute.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "ring_timeout",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="Seconds for which a phone rings, where a campaign does not say; empty: the server's.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(5),
                            django.core.validators.MaxValueValidator(120),
                        ],
                    ),
                ),
                (
                    "requests_per_minute",
                    models.PositiveIntegerField(
                        default=200,
                        help_text="The most API requests in any minute.",
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "daily_calls",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The most calls in a day of the time zone, retries too; empty: no limit.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "daily_minutes",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Minutes of conversation in a day after which nobody else is dialed; empty: no limit.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "allowed_countries",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=2, validators=[accounts.models.validate_region]),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Countries that may be called, such as IN,AE. Empty: the region and the caller IDs' countries.",
                        size=None,
                    ),
                ),
                (
                    "allowed_kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("mobile", "mobile"),
                                ("landline", "landline"),
                                ("voip", "VoIP"),
                                ("toll-free", "toll-free"),
                                ("shared-cost", "shared-cost"),
                                ("premium-rate", "premium-rate"),
                                ("personal", "personal (follow-me)"),
                                ("pager", "pager"),
                                ("uan", "company-wide (UAN)"),
                                ("voicemail", "voicemail"),
                            ],
                            max_length=16,
                        ),
                        default=accounts.models.usual_kinds,
                        help_text="Kinds of numbers that may be called. Others are refused, and never dialed.",
                        size=None,
                    ),
                ),
                (
                    "webhook_secret",
                    core.encryption.SecretField(default=accounts.webhook_secrets.new_secret, editable=False),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "agent_numbers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=16, validators=[accounts.models.validate_e164]),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Numbers of your own staff that flows may connect to at any hour, such as +912222222222. Rules hold for all others that they connect to.",
                        size=200,
                    ),
                ),
                (
                    "closed_on",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DateField(),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Nobody is called on these dates, such as 2026-12-24,2026-12-31.",
                        size=None,
                    ),
                ),
                (
                    "holidays_of",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=8, validators=[accounts.public_holidays.validate_calendar]
                        ),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Nobody is called on public holidays of these countries or states, such as IN,IN-TN or US-AL.",
                        size=None,
                    ),
                ),
                (
                    "number_caps",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=48, validators=[accounts.calling_rules.caps.validate_cap]
                        ),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="The most calls to a number, over all campaigns: 3 attempts in 24 hours,1 conversation in 7 days.",
                        size=None,
                    ),
                ),
                (
                    "number_gap_seconds",
                    models.PositiveIntegerField(
                        db_default=0,
                        default=0,
                        help_text="The shortest time between two calls to a number, in seconds.",
                    ),
                ),
                (
                    "rules",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            max_length=32, validators=[accounts.calling_rules.preset_file.validate_name]
                        ),
                        blank=True,
                        db_default=[],
                        default=list,
                        help_text="Rule sets for the people who are called, such as in-promotional,us. Empty: none.",
                        size=None,
                    ),
                ),
                (
                    "weekly_hours",
                    models.CharField(
                        blank=True,
                        db_default="",
                        default="",
                        help_text="In place of these two: Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00. Other days are closed.",
                        max_length=255,
                        validators=[accounts.models.validate_week],
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("channels__gte", 1)), name="account_has_a_channel"),
                    models.CheckConstraint(
                        condition=models.Q(("starts_per_minute__gte", 1)), name="account_may_start_calls"
                    ),
                    models.CheckConstraint(condition=models.Q(("requests_per_minute__gte", 1)), name="account_may_ask"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("daily_calls", None), ("daily_calls__gte", 1), _connector="OR"),
                            models.Q(("daily_minutes", None), ("daily_minutes__gte", 1), _connector="OR"),
                        ),
                        name="account_has_daily_limits_above_zero",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(blank=True, max_length=64)),
                ("key", models.CharField(max_length=64, unique=True)),
                ("token_digest", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, help_text="To the minute.", null=True)),
                (
                    "revoked_at",
                    models.DateTimeField(blank=True, help_text="From this moment on the key is refused.", null=True),
                ),
                (
                    "address_ranges",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=43, validators=[accounts.address_ranges.validate_range]),
                        blank=True,
                        default=list,
                        help_text="The only networks it may be used from: 192.0.2.0/24, 2001:db8::/32, with commas. Empty: anywhere.",
                        size=None,
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="api_keys", to="accounts.account"
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
            },
        ),
        migrations.CreateModel(
            name="CarrierAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("carrier", models.CharField(max_length=16)),
                ("base_url", models.CharField(blank=True, max_length=200, verbose_name="base URL")),
                ("account_sid", models.CharField(blank=True, max_length=64, verbose_name="account SID")),
                ("api_key", models.CharField(blank=True, max_length=128, verbose_name="API key")),
                ("api_token", core.encryption.SecretField(blank=True, verbose_name="API token")),
                (
                    "left_at",
                    models.DateTimeField(
                        blank=True, help_text="Until when a trunk was there; empty: one is.", null=True
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("carrier", "base_url", "account_sid"), name="carrier_account_is_one_row"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Trunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("carrier", models.CharField(choices=accounts.carriers.choices, max_length=16)),
                (
                    "base_url",
                    models.CharField(
                        blank=True,
                        help_text="The carrier's API, such as https://host, or sip:host:5060 of a SIP trunk; empty for the sandbox.",
                        max_length=200,
                        verbose_name="base URL",
                    ),
                ),
                ("account_sid", models.CharField(blank=True, max_length=64, verbose_name="account SID")),
                ("api_key", models.CharField(blank=True, max_length=128, verbose_name="API key")),
                ("api_token", core.encryption.SecretField(blank=True, verbose_name="API token")),
                (
                    "signing_key",
                    core.encryption.SecretField(
                        blank=True,
                        help_text="What the carrier's signatures are checked with, where it is another key.",
                        verbose_name="signing key",
                    ),
                ),
                (
                    "channels",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The most calls at once over this trunk, all accounts together; empty: no limit of its own.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "carrier_account",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trunks",
                        to="accounts.carrieraccount",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("channels__gte", 1), ("channels", None), _connector="OR"),
                        name="trunk_has_a_channel",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CallerId",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "number",
                    models.CharField(
                        max_length=16,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A\\+?[0-9]{3,15}\\Z", "Use digits, with the country code: +918012345678."
                            )
                        ],
                    ),
                ),
                (
                    "channels",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="The most calls at once from this number; empty: no limit of its own.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(default=True, help_text="Nothing is dialled from an inactive caller ID."),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="caller_ids", to="accounts.account"
                    ),
                ),
                (
                    "trunk",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="caller_ids", to="accounts.trunk"
                    ),
                ),
            ],
            options={
                "verbose_name": "caller ID",
                "constraints": [
                    models.UniqueConstraint(fields=("account", "number"), name="caller_id_is_unique_in_its_account"),
                    models.CheckConstraint(
                        condition=models.Q(("channels__gte", 1), ("channels", None), _connector="OR"),
                        name="caller_id_has_a_channel",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Route",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.PositiveSmallIntegerField(help_text="The lowest one that takes calls is used.")),
                (
                    "caller_id",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="routes", to="accounts.callerid"
                    ),
                ),
                (
                    "trunk",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="routes", to="accounts.trunk"
                    ),
                ),
            ],
            options={
                "ordering": ["place"],
                "constraints": [
                    models.UniqueConstraint(fields=("caller_id", "trunk"), name="route_names_a_trunk_once"),
                    models.UniqueConstraint(fields=("caller_id", "place"), name="route_has_a_place_of_its_own"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("viewer", "viewer: only looks"),
                            ("operator", "operator: runs campaigns"),
                            ("administrator", "administrator: also changes keys, flows and caller IDs"),
                        ],
                        default="viewer",
                        max_length=16,
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        help_text="Empty: all accounts. An administrator of all accounts also has trunks, people and periodic tasks.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="accounts.account",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("user", "account"),
                        name="membership_is_one_row_for_user_and_account",
                        nulls_distinct=False,
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ["viewer", "operator", "administrator"])),
                        name="membership_has_a_known_role",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                (
                    "actor_kind",
                    models.CharField(
                        choices=[
                            ("user", "person"),
                            ("api-key", "API key"),
                            ("system", "command line or program"),
                            ("unknown", "somebody unknown"),
                        ],
                        max_length=16,
                        verbose_name="kind of actor",
                    ),
                ),
                ("actor_id", models.CharField(blank=True, max_length=64, verbose_name="actor's ID")),
                ("actor_name", models.CharField(blank=True, max_length=255, verbose_name="actor")),
                ("account_sid", models.CharField(blank=True, max_length=64, verbose_name="SID of the account")),
                ("verb", models.CharField(choices=accounts.audit_entry.verbs, max_length=32)),
                ("object_kind", models.CharField(blank=True, max_length=64, verbose_name="kind of object")),
                ("object_id", models.CharField(blank=True, max_length=64, verbose_name="object's ID")),
                ("object_name", models.CharField(blank=True, max_length=255, verbose_name="object")),
                ("what", models.TextField(blank=True)),
                ("ip", models.CharField(blank=True, max_length=64, verbose_name="IP address")),
                ("request_id", models.CharField(blank=True, max_length=64, verbose_name="request ID")),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "audit entries",
                "indexes": [
                    models.Index(fields=["account", "id"], name="audit_entry_of_account"),
                    models.Index(fields=["object_kind", "object_id", "id"], name="audit_entry_of_object"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("actor_kind__in", ["user", "api-key", "system", "unknown"])),
                        name="audit_entry_has_an_actor",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SecretKeyCheck",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("text", core.encryption.SecretField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="secret_key_check_has_one_row")
                ],
            },
        ),
        migrations.CreateModel(
            name="AuthenticatorApp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="The human-readable name of this device.", max_length=64)),
                ("confirmed", models.BooleanField(default=True, help_text="Is this device ready for use?")),
                (
                    "throttling_failure_timestamp",
                    models.DateTimeField(
                        blank=True,
                        default=None,
                        help_text="A timestamp of the last failed verification attempt. Null if last attempt succeeded.",
                        null=True,
                    ),
                ),
                (
                    "throttling_failure_count",
                    models.PositiveIntegerField(default=0, help_text="Number of successive failed attempts."),
                ),
                ("key", core.encryption.SecretField()),
                ("drift", models.SmallIntegerField(default=0)),
                ("last_step", models.BigIntegerField(default=-1)),
                (
                    "user",
                    models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RecoveryCodes",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="The human-readable name of this device.", max_length=64)),
                ("confirmed", models.BooleanField(default=True, help_text="Is this device ready for use?")),
                (
                    "throttling_failure_timestamp",
                    models.DateTimeField(
                        blank=True,
                        default=None,
                        help_text="A timestamp of the last failed verification attempt. Null if last attempt succeeded.",
                        null=True,
                    ),
                ),
                (
                    "throttling_failure_count",
                    models.PositiveIntegerField(default=0, help_text="Number of successive failed attempts."),
                ),
                (
                    "digests",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), default=list, size=None
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Installation",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("identity", models.CharField(blank=True, db_default="", default="", max_length=255)),
                ("alive_at", models.DateTimeField(blank=True, null=True)),
                ("sweep_until", models.DateTimeField(blank=True, null=True)),
                ("whole_until", models.DateTimeField(blank=True, null=True)),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                ("stopped_at", models.DateTimeField(blank=True, null=True)),
                ("must_ask", models.BooleanField(db_default=False, default=False)),
                ("asking_until", models.DateTimeField(blank=True, null=True)),
                ("held_since", models.DateTimeField(blank=True, null=True)),
                (
                    "held_because",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("operator", "a person holds it"),
                            ("restored", "the database is older than what was dialed from it"),
                            ("doubtful", "the database may be older than what was dialed from it"),
                        ],
                        db_default="",
                        default="",
                        max_length=16,
                    ),
                ),
                ("held_why", models.CharField(blank=True, db_default="", default="", max_length=255)),
                ("missing_since", models.DateTimeField(blank=True, null=True)),
                ("reconciled_at", models.DateTimeField(blank=True, null=True)),
                ("not_asked", models.JSONField(blank=True, default=list)),
                ("settled_until", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="there_is_one_installation"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("held_because", ""), ("held_since", None)),
                            models.Q(("held_since__isnull", False), models.Q(("held_because", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="installation_is_held_for_a_reason",
                    ),
                ],
            },
        ),
        migrations.RunSQL(PLACE_TRUNK, NO_PLACE_TRUNK),
        migrations.RunSQL(KEEP_AUDIT_ENTRIES, "DROP FUNCTION keep_audit_entry CASCADE"),
        migrations.AddConstraint(
            model_name="account",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("closes_at", datetime.time(0, 0)),
                    models.Q(("opens_at", models.F("closes_at")), _negated=True),
                    _connector="OR",
                ),
                name="account_closes_after_it_opens",
            ),
        ),
    ]
