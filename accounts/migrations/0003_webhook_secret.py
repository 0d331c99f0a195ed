from django.db import migrations

import accounts.webhook_secrets
import core.encryption


def fill(apps, schema_editor):
    """A secret of its own for each account that is there: the default of a column would be one for all."""
    account_model = apps.get_model("accounts", "Account")
    for account in account_model.objects.filter(webhook_secret=None).only("pk").iterator():
        account.webhook_secret = accounts.webhook_secrets.new_secret()
        account.save(update_fields=["webhook_secret"])


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_api_key_last_use'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='webhook_secret',
            field=core.encryption.SecretField(editable=False, null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='account',
            name='webhook_secret',
            field=core.encryption.SecretField(default=accounts.webhook_secrets.new_secret, editable=False),
        ),
    ]
