import uuid

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import uuid_utils.compat
from django.db import migrations, models

# Foreign keys whose rows come by the thousand (decision 0039). A statement that adds rows looks once at each row that
# they name, and keeps it from being deleted before the end of the transaction. Deletions of those rows are checked at
# the commit, as other keys are. A row that the same transaction has added or changed needs no lock: nobody else can
# delete it. No index look-up is left to the planner, whose plan outlives the size of the table.
KEYS = (
    ('contact_has_its_account', 'contacts_contact', 'account_id', 'accounts_account', 'bigint'),
    ('list_entry_has_its_list', 'contacts_listentry', 'contact_list_id', 'contacts_contactlist', 'uuid'),
    ('list_entry_has_its_contact', 'contacts_listentry', 'contact_id', 'contacts_contact', 'uuid'),
)
_CHECKED = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    missing {type};
    own xid := pg_current_xact_id()::xid;
BEGIN
    SELECT named.id INTO missing FROM (SELECT DISTINCT {column} AS id FROM added ORDER BY 1) AS named
    WHERE CASE WHEN (SELECT xmin FROM {parent} WHERE id = named.id) = own THEN FALSE
        ELSE NOT EXISTS (SELECT FROM {parent} WHERE id = named.id FOR KEY SHARE) END LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING CONSTRAINT = '{name}', TABLE = '{child}', COLUMN = '{column}',
            MESSAGE = format('{name}: {child}.{column} = %s is not in {parent}', missing);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER {name} AFTER INSERT ON {child} REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION {name}();

CREATE FUNCTION {name}_still() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (SELECT FROM {child} WHERE {column} = OLD.id) THEN
        RAISE foreign_key_violation USING CONSTRAINT = '{name}', TABLE = '{parent}',
            MESSAGE = format('{name}: {parent} = %s is still named by {child}.{column}', OLD.id);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER {name}_still AFTER DELETE ON {parent} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION {name}_still();

CREATE TRIGGER {name}_forever BEFORE UPDATE OF {column} ON {child}
    FOR EACH ROW WHEN (OLD.{column} <> NEW.{column}) EXECUTE FUNCTION refuse_another_key();
CREATE TRIGGER {name}_with_its_id BEFORE UPDATE OF id ON {parent}
    FOR EACH ROW WHEN (OLD.id <> NEW.id) EXECUTE FUNCTION refuse_another_key();
"""
CHECK_KEYS = """
CREATE FUNCTION refuse_another_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE foreign_key_violation USING MESSAGE = format('a row of %s keeps its key: add another row', TG_TABLE_NAME);
END $$;
""" + ''.join(
    _CHECKED.format(name=name, child=child, column=column, parent=parent, type=type_)
    for name, child, column, parent, type_ in KEYS
)
CHECK_NO_KEYS = 'DROP FUNCTION refuse_another_key CASCADE;' + ''.join(
    f'DROP FUNCTION {name} CASCADE; DROP FUNCTION {name}_still CASCADE;' for name, *_ in KEYS
)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_accounts_keys_caller_ids_trunks'),
    ]

    operations = [
        migrations.CreateModel(
            name='Contact',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('number', models.CharField(max_length=16, validators=[django.core.validators.RegexValidator('\\A\\+[1-9][0-9]{6,14}\\Z', 'Use E.164: a plus, the country code, the number.')])),
                ('first_name', models.CharField(blank=True, max_length=255)),
                ('last_name', models.CharField(blank=True, max_length=255)),
                ('company_name', models.CharField(blank=True, max_length=255)),
                ('email', models.CharField(blank=True, max_length=255)),
                ('tag', models.CharField(blank=True, max_length=255)),
                ('custom', models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, help_text="Keys and values of the client's own.")),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='contacts', to='accounts.account')),
                ('consent_date', models.DateField(blank=True, help_text='When this person agreed to be called.', null=True)),
                ('consent_scope', models.CharField(blank=True, choices=[('recorded-voice', 'recorded and artificial voices'), ('promotional', 'promotional calls'), ('all', 'all calls')], db_default='', default='', help_text='To what.', max_length=16)),
                ('consent_source', models.CharField(blank=True, db_default='', default='', help_text='Where that is recorded: a form, a contract.', max_length=255)),
                ('time_zone', models.CharField(blank=True, db_default='', default='', help_text='Where this person is, such as Asia/Kolkata.', max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='ContactList',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('tag', models.CharField(blank=True, max_length=255)),
                ('type', models.CharField(choices=[('static', 'static: contacts'), ('dynamic', 'dynamic: rows of a CSV file, with values of their own')], default='static', max_length=8)),
                ('columns', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=255), blank=True, default=list, help_text='Of a dynamic list: the columns of its rows beside the number, as their headers are spelled.', size=None)),
                ('allows_blanks', models.BooleanField(default=False, help_text='Of a dynamic list: take rows that have no value for a column. A campaign then reads nothing there.', verbose_name='blanks allowed')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='contact_lists', to='accounts.account')),
            ],
        ),
        migrations.CreateModel(
            name='CsvUpload',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField(default=0, help_text="Of a dynamic list: its place among the list's uploads, from 1. Mended rejected rows share the last.")),
                ('file_name', models.CharField(blank=True, max_length=255)),
                ('size_bytes', models.PositiveIntegerField()),
                ('columns', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, help_text='A name for each of its cells; an empty one is skipped.', size=None)),
                ('status', models.CharField(choices=[('in-progress', 'in progress'), ('completed', 'completed'), ('failed', 'failed')], default='in-progress', editable=False, max_length=16)),
                ('rows_total', models.PositiveIntegerField(default=0, verbose_name='rows read')),
                ('rows_loaded', models.PositiveIntegerField(default=0)),
                ('rows_duplicate', models.PositiveIntegerField(default=0, verbose_name='duplicates')),
                ('rows_rejected', models.PositiveIntegerField(default=0)),
                ('rows_replaced', models.PositiveIntegerField(default=0, help_text='Rows of earlier uploads that this one took out of the list, having newer ones.')),
                ('bytes_read', models.PositiveIntegerField(default=0)),
                ('lines_read', models.PositiveIntegerField(default=0)),
                ('is_held', models.BooleanField(db_default=False, default=False, help_text='A worker is loading it at this moment.')),
                ('heard_at', models.DateTimeField(blank=True, null=True)),
                ('idle_starts', models.PositiveSmallIntegerField(default=0, help_text='How often a worker has begun without loading a row.')),
                ('error', models.CharField(blank=True, help_text='Why it failed.', max_length=1000)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='csv_uploads', to='accounts.account')),
                ('contact_list', models.ForeignKey(blank=True, help_text='Empty: the do-not-call list.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='uploads', to='contacts.contactlist')),
            ],
            options={
                'verbose_name': 'CSV upload',
            },
        ),
        migrations.CreateModel(
            name='CsvPiece',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField(help_text='From 0; all pieces but the last are equally long.')),
                ('content', models.BinaryField()),
                ('upload', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pieces', to='contacts.csvupload')),
            ],
            options={
                'verbose_name': 'CSV piece',
            },
        ),
        migrations.CreateModel(
            name='DoNotCall',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.CharField(max_length=16, validators=[django.core.validators.RegexValidator('\\A\\+[1-9][0-9]{6,14}\\Z', 'Use E.164: a plus, the country code, the number.')])),
                ('source', models.CharField(choices=[('api', 'the API'), ('admin', 'a person here'), ('csv', 'a CSV file'), ('registry', 'a registry'), ('flow', 'the person called')], max_length=8)),
                ('registry', models.CharField(blank=True, help_text='Of a number from a registry: which one.', max_length=64)),
                ('registry_date', models.DateField(blank=True, help_text='Of a number from a registry: its as-of date.', null=True)),
                ('note', models.CharField(blank=True, max_length=255)),
                ('added_by', models.CharField(blank=True, db_default='', default='', help_text='Who did it, where a person or a program asked.', max_length=255)),
                ('added_at', models.DateTimeField()),
                ('account', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='do_not_call', to='accounts.account')),
            ],
            options={
                'verbose_name': 'do-not-call number',
            },
        ),
        migrations.CreateModel(
            name='ListEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('values', models.JSONField(blank=True, help_text="Of a dynamic list: the row's values, by column.", null=True)),
                ('values_digest', models.CharField(blank=True, max_length=32)),
                ('upload_number', models.PositiveIntegerField(db_default=0, default=0, help_text='Of a dynamic list: the number of the last upload that had this row.')),
                ('line', models.PositiveIntegerField(db_default=0, default=0, help_text='Where the row begins in that file.')),
                ('contact', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='entries', to='contacts.contact')),
                ('contact_list', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='entries', to='contacts.contactlist')),
            ],
            options={
                'verbose_name_plural': 'list entries',
            },
        ),
        migrations.CreateModel(
            name='RejectedRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('line', models.PositiveIntegerField(help_text='Where the row begins in the file, from 1.')),
                ('reason', models.CharField(max_length=255)),
                ('cells', django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None)),
                ('upload', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rejected', to='contacts.csvupload')),
            ],
        ),
        migrations.AddIndex(
            model_name='contact',
            index=models.Index(fields=['account', 'created_at', 'id'], name='contact_listed'),
        ),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.UniqueConstraint(fields=('account', 'number'), name='contact_number_is_unique_in_its_account'),
        ),
        migrations.AddIndex(
            model_name='contactlist',
            index=models.Index(fields=['account', 'created_at', 'id'], name='contact_list_listed'),
        ),
        migrations.AddConstraint(
            model_name='contactlist',
            constraint=models.UniqueConstraint(fields=('account', 'name'), name='list_name_is_unique_in_its_account'),
        ),
        migrations.AddConstraint(
            model_name='contactlist',
            constraint=models.CheckConstraint(condition=models.Q(('type', 'dynamic'), ('columns__len', 0), _connector='OR'), name='list_with_columns_is_dynamic'),
        ),
        migrations.AddIndex(
            model_name='csvupload',
            index=models.Index(condition=models.Q(('status', 'in-progress')), fields=['account'], name='csv_upload_at_work'),
        ),
        migrations.AddIndex(
            model_name='csvupload',
            index=models.Index(fields=['account', 'heard_at'], name='csv_upload_turns'),
        ),
        migrations.AddIndex(
            model_name='csvupload',
            index=models.Index(fields=['account', 'created_at'], name='csv_upload_listed'),
        ),
        migrations.AddConstraint(
            model_name='csvupload',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at', None), ('status', 'in-progress')), models.Q(('ended_at__isnull', False), ('status__in', ['completed', 'failed'])), _connector='OR'), name='csv_upload_has_an_end_exactly_when_ended'),
        ),
        migrations.AddConstraint(
            model_name='csvupload',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'failed'), models.Q(('error', ''), _negated=True)), models.Q(models.Q(('status', 'failed'), _negated=True), ('error', '')), _connector='OR'), name='csv_upload_says_why_exactly_when_failed'),
        ),
        migrations.AddConstraint(
            model_name='csvupload',
            constraint=models.CheckConstraint(condition=models.Q(('rows_total', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('rows_loaded'), '+', models.F('rows_duplicate')), '+', models.F('rows_rejected')))), name='csv_upload_counts_add_up'),
        ),
        migrations.AddConstraint(
            model_name='csvpiece',
            constraint=models.UniqueConstraint(fields=('upload', 'position'), name='csv_piece_has_one_place_in_its_file'),
        ),
        migrations.AddIndex(
            model_name='donotcall',
            index=models.Index(condition=models.Q(('account__isnull', False)), fields=['account', 'id'], name='do_not_call_listed'),
        ),
        migrations.AddConstraint(
            model_name='donotcall',
            constraint=models.UniqueConstraint(condition=models.Q(('account__isnull', False)), fields=('number', 'account'), name='do_not_call_number_is_unique_in_its_account'),
        ),
        migrations.AddConstraint(
            model_name='donotcall',
            constraint=models.UniqueConstraint(condition=models.Q(('account', None)), fields=('number',), name='do_not_call_number_is_unique_for_all'),
        ),
        migrations.AddConstraint(
            model_name='donotcall',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('registry_date__isnull', False), ('source', 'registry'), models.Q(('registry', ''), _negated=True)), models.Q(models.Q(('source', 'registry'), _negated=True), ('registry', ''), ('registry_date', None)), _connector='OR'), name='do_not_call_names_its_registry'),
        ),
        migrations.AddIndex(
            model_name='listentry',
            index=models.Index(fields=['contact_list', 'id'], name='list_entry_listed'),
        ),
        migrations.AddConstraint(
            model_name='listentry',
            constraint=models.UniqueConstraint(fields=('contact', 'contact_list', 'values_digest'), name='list_entry_is_unique_in_its_list'),
        ),
        migrations.AddConstraint(
            model_name='listentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('values__isnull', True), ('values_digest', '')), models.Q(('values__isnull', False), models.Q(('values_digest', ''), _negated=True)), _connector='OR'), name='list_entry_with_values_has_their_digest'),
        ),
        migrations.AddConstraint(
            model_name='rejectedrow',
            constraint=models.UniqueConstraint(fields=('upload', 'line'), name='csv_line_is_rejected_once'),
        ),
        migrations.RunSQL(CHECK_KEYS, CHECK_NO_KEYS),
        migrations.AddConstraint(
            model_name='contact',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('consent_date', None), ('consent_scope', ''), ('consent_source', '')), models.Q(('consent_date__isnull', False), ('consent_scope__in', ['recorded-voice', 'promotional', 'all'])), _connector='OR'), name='contact_consents_on_a_date_to_something'),
        ),
    ]
