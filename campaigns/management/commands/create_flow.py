"""`manage.py create_flow SID FLOW_ID --file flow.json`: store what an answered call does under an id."""

import json
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import audit
from accounts.management.command_kit import actor, find_account
from campaigns import carrier_fit, flows
from campaigns.models import Flow


class Command(BaseCommand):
    help = "Adds a flow to an account, or replaces the one of that id. The format: campaigns/flow.schema.json."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sid", help="the account")
        parser.add_argument("flow_id", help="the last segment of the flow address that campaigns name")
        parser.add_argument("--file", required=True, type=Path, help="the flow as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        account = find_account(options["sid"])
        flow = Flow.objects.filter(account=account, flow_id=options["flow_id"]).first()
        flow = flow or Flow(account=account, flow_id=options["flow_id"])
        try:
            flow.document = json.loads(options["file"].read_text())
            flow.full_clean()
        except OSError as error:
            raise CommandError(f"can't read {options['file']}: {error.strerror}") from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CommandError(f"{options['file']} is not JSON: {error}") from error
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        if obstacle := carrier_fit.obstacle_to(flow):
            raise CommandError(f"{obstacle}: store it under another ID, or end that campaign first")
        with transaction.atomic():
            verb = audit.Verb.CHANGED if flow.pk else audit.Verb.CREATED
            flow.save()
            audit.record(actor(), verb, flow)
        self.stdout.write(f"{account.sid}: flow {flow.flow_id}")
        if warning := flows.connects_to_people(account, flow.document):
            self.stderr.write(f"warning: {warning}")
