"""`manage.py create_account SID`: create a tenant with its first API key, caller IDs and limits."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError, transaction

from accounts import audit, caller_ids, carriers, credentials
from accounts.calling_hours import MIDNIGHT, parse_calling_hours
from accounts.management.command_kit import actor, add_json_option, print_result
from accounts.models import Account, CallerId, Route, Trunk


class Command(BaseCommand):
    help = "Creates an account and prints its credentials; the token can't be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("sid", help="the account's name in every address of the API")
        parser.add_argument("--api-key", default="", help="default: random")
        parser.add_argument("--api-token", default="", help="default: random, 256 bits")
        parser.add_argument("--caller-id", nargs="+", action="extend", default=[], help="numbers that calls come from")
        parser.add_argument("--trunk", default="sandbox", help="the trunk of these caller IDs (default: the sandbox)")
        parser.add_argument(
            "--further-trunks",
            nargs="+",
            default=[],
            metavar="TRUNK",
            help="trunks that take over, in this order, when the one before takes no calls",
        )
        parser.add_argument("--region", default="IN", help="country of numbers without a country code (default: IN)")
        parser.add_argument(
            "--allowed-countries",
            nargs="+",
            default=[],
            metavar="COUNTRY",
            help="that may be called (default: the region, and the countries of the caller IDs)",
        )
        parser.add_argument("--time-zone", default="Asia/Kolkata")
        parser.add_argument(
            "--calling-hours",
            default="10:30-21:00",
            help='00:00-24:00 is always open; by weekday: "Mon-Fri 10:00-13:00, 14:00-20:00; Sat 10:00-17:00"',
        )
        parser.add_argument(
            "--rules",
            nargs="+",
            default=[],
            metavar="NAME",
            help="rule sets for the people called: us us-states",
        )
        parser.add_argument(
            "--agent-numbers",
            nargs="+",
            default=[],
            metavar="NUMBER",
            help="of your own staff, that flows may connect to at any hour (default: none)",
        )
        parser.add_argument("--channels", type=int, default=60, help="the most calls at once (default: 60)")
        parser.add_argument("--starts-per-minute", type=int, default=60, help="call starts (default: 60)")
        parser.add_argument("--requests-per-minute", type=int, default=200, help="API requests (default: 200)")
        parser.add_argument("--daily-calls", type=int, help="the most calls in a day (default: no limit)")
        parser.add_argument("--daily-minutes", type=int, help="minutes of conversation in a day (default: no limit)")
        add_json_option(parser)

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                account = _create(options)
                made = credentials.create_key(
                    account, actor=actor(), name="first key", key=options["api_key"], token=options["api_token"]
                )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        except IntegrityError as error:
            raise CommandError(f"the API key {options['api_key']} is taken; choose another") from error
        except ValueError as error:
            raise CommandError(str(error)) from error
        result = {
            "account_sid": account.sid,
            "api_key": made.key,
            "api_token": made.token,
            "webhook_secret": account.webhook_secret.reveal(),
            "caller_ids": [caller_id.number for caller_id in account.caller_ids.all()],
        }
        print_result(self.stdout, result, as_json=options["json"])


def _create(options: dict[str, Any]) -> Account:
    hours, region = options["calling_hours"], options["region"].upper()
    is_weekly = any(character.isalpha() for character in hours)
    opens_at, closes_at = (MIDNIGHT, MIDNIGHT) if is_weekly else parse_calling_hours(hours)
    account = Account(
        sid=options["sid"],
        region=region,
        allowed_countries=[country.upper() for country in options["allowed_countries"]],
        time_zone=options["time_zone"],
        opens_at=opens_at,
        closes_at=closes_at,
        weekly_hours=hours if is_weekly else "",
        rules=options["rules"],
        agent_numbers=[caller_ids.canonical(number, region) for number in options["agent_numbers"]],
        channels=options["channels"],
        starts_per_minute=options["starts_per_minute"],
        requests_per_minute=options["requests_per_minute"],
        daily_calls=options["daily_calls"],
        daily_minutes=options["daily_minutes"],
    )
    account.full_clean()
    account.save()
    audit.record(actor(), audit.Verb.CREATED, account)
    trunk, *further = trunks = [_trunk(name) for name in (options["trunk"], *options["further_trunks"])]
    for number in options["caller_id"]:
        canonical = caller_ids.canonical(number, account.region)
        if not canonical:
            raise ValidationError(f"the caller ID {number} is not a number: use digits, as in +918012345678")
        caller_id = CallerId(account=account, number=canonical, trunk=trunk)
        caller_id.full_clean()
        caller_id.save()
        for place, in_order in enumerate(trunks if further else [], start=1):
            Route.objects.create(caller_id=caller_id, trunk=in_order, place=place)
        audit.record(actor(), audit.Verb.CREATED, caller_id)
    return account


def _trunk(name: str) -> Trunk:
    """Return the trunk of that name. The sandbox needs no credentials and so no set-up: it is made when first used."""
    ready = [kind for kind in carriers.all_kinds() if not (kind.needs_credentials or kind.needs_address)]
    if name in {kind.name for kind in ready if not kind.is_for_tests}:
        trunk, is_new = Trunk.objects.get_or_create(name=name, defaults={"carrier": name})
        if is_new:
            audit.record(actor(), audit.Verb.CREATED, trunk)
        return trunk
    try:
        return Trunk.objects.get(name=name)
    except Trunk.DoesNotExist as error:
        known = ", ".join(Trunk.objects.values_list("name", flat=True)) or "none yet"
        raise ValidationError(f"there is no trunk {name}; there is: {known}. Make one with create_trunk") from error
