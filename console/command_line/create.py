"""`manage.py campaign create`: a campaign from a file of numbers, by the rules of the API's create."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import phonenumbers
from django.core.management.base import CommandError, CommandParser, OutputWrapper
from rest_framework.exceptions import ValidationError

from accounts.management.command_kit import actor, find_account
from accounts.models import Account
from api.campaigns.requests import CampaignRequestSerializer
from api.http.errors import first_sentence
from campaigns import lifecycle
from campaigns.models import Campaign
from console.command_line.common import as_json, look, one_line, told
from contacts.csv_uploads import intake
from contacts.csv_uploads.columns import ColumnChoice
from contacts.models import ContactList, CsvUpload
from core import clocks, ids
from webhooks.addresses import LookUps

HELP = "Creates a campaign: from a CSV file, from lists or from numbers; with a flow or a text."
# How long the loader may take to read on, in seconds, before it counts as not running.
LOADER_PATIENCE = 60
# Arguments that are fields of the API's request, by the name there.
_FIELDS = {
    "caller_id": "caller_id",
    "name": "name",
    "text": "read_via_text",
    "custom_field": "custom_field",
    "rules": "rules",
    "ring_timeout": "ring_timeout",
    "machine_detection": "machine_detection",
    "status_callback": "status_callback",
    "call_status_callback": "call_status_callback",
}


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--account", metavar="SID", required=True)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--csv", metavar="FILE", help="numbers with their columns, as for an upload; it becomes a list")
    who.add_argument("--list", nargs="+", metavar="ID", dest="lists", help="lists that exist")
    who.add_argument("--number", nargs="+", metavar="NUMBER", dest="numbers", help="up to 5,000 numbers, any spelling")
    parser.add_argument("--columns-as-variables", action="store_true", help="of --csv: a text may say @@Header")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--flow", metavar="ID", help="the id of a flow of the account")
    what.add_argument("--text", help="what is read aloud")
    parser.add_argument("--wait-for-key", action="store_true", help="of --text: repeat it until a key is pressed")
    parser.add_argument("--caller-id", metavar="NUMBER", required=True, help="the number that people see")
    parser.add_argument("--name", help="default: the account and the moment")
    parser.add_argument(
        "--start", metavar="TIME", help="such as 2030-01-31T10:30, by the account's clock (default: now)"
    )
    parser.add_argument("--end", metavar="TIME", help="what is left by then is canceled")
    parser.add_argument("--retries", type=int, metavar="N", help="further tries for those who are not reached")
    parser.add_argument(
        "--interval", type=int, metavar="MINUTES", default=30, help="between tries (default: %(default)s)"
    )
    parser.add_argument("--mechanism", choices=["Linear", "Exponential"], default="Linear", help="default: %(default)s")
    parser.add_argument("--pace", type=int, metavar="N", help="calls started in a minute, at most")
    parser.add_argument("--custom-field", help="a text for the flow and the report")
    parser.add_argument("--rules", nargs="+", metavar="NAME", help="rule sets for the people called")
    parser.add_argument("--ring-timeout", type=int, metavar="SECONDS")
    parser.add_argument("--machine-detection", choices=Campaign.MachineDetection.values)
    parser.add_argument("--status-callback", metavar="URL")
    parser.add_argument("--call-status-callback", metavar="URL")
    parser.add_argument("--dry-run", action="store_true", help="only check it; a file is not read for it")


def run(options: dict[str, Any], out: OutputWrapper) -> None:
    account = find_account(options["account"])
    body = _body(account, options)
    if options["csv"]:
        # Everything else is judged before the file is stored: a number that nobody has stands for its people.
        _validated(account, body | {"from": [_example_number(account)]}, ignoring="from")
        if options["dry_run"]:
            _open(options["csv"]).close()
            out.write(as_json({"valid": True}) if options["json"] else "valid; nothing was created")
            return
        filled = _upload(account, options, out)
        body |= {"lists": [filled.pk.hex], "campaign_type": str(filled.type)}
    columns = _validated(account, body)
    if options["dry_run"]:
        out.write(as_json({"valid": True}) if options["json"] else "valid; nothing was created")
        return
    with told():
        campaign = lifecycle.create(account, actor=actor(), now=clocks.now(), **columns)
    (described,) = look([campaign])
    out.write(as_json(described) if options["json"] else one_line(described))


def _body(account: Account, options: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the API's request that the arguments stand for, without a file's people."""
    body = {field: options[name] for name, field in _FIELDS.items() if options[name] not in (None, "")}
    if options["flow"]:
        body["url"] = f"http://my.exotel.com/{account.sid}/exoml/start_voice/{options['flow']}"
    else:
        body["flow_type"] = "ivr" if options["wait_for_key"] else "greeting"
    if options["numbers"]:
        body["from"] = options["numbers"]
    if options["lists"]:
        kinds = ContactList.objects.filter(account=account, pk__in=[ids.parse_or_nil(one) for one in options["lists"]])
        is_dynamic = kinds.filter(type=ContactList.Type.DYNAMIC).exists()
        body |= {"lists": options["lists"], "campaign_type": "dynamic" if is_dynamic else "static"}
    if options["retries"] is not None:
        body["retries"] = {
            "number_of_retries": options["retries"],
            "interval_mins": options["interval"],
            "mechanism": options["mechanism"],
        }
    moments = {"send_at": options["start"], "end_at": options["end"]}
    schedule = {name: _moment(account, given) for name, given in moments.items() if given}
    if options["pace"] is not None:
        body |= {"mode": "custom", "throttle": options["pace"]}
    return body | ({"schedule": schedule} if schedule else {})


def _moment(account: Account, given: str) -> str:
    """Read a moment by the account's clock, unless it names its offset."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise CommandError(f"{given} is no moment: write 2030-01-31T10:30, or 2030-01-31T10:30+05:30") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=account.zone)).isoformat()


def _example_number(account: Account) -> str:
    example = phonenumbers.example_number_for_type(account.region, phonenumbers.PhoneNumberType.MOBILE)
    return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164) if example else ""


def _validated(account: Account, body: dict[str, Any], ignoring: str = "") -> dict[str, Any]:
    """Return the arguments of `lifecycle.create`. Raises CommandError with the first thing that is wrong.

    Args:
        ignoring: a field whose value is only a stand-in.
    """
    serializer = CampaignRequestSerializer(data=body, context={"account": account, "look_ups": LookUps()})
    wrong = (
        {} if serializer.is_valid() else {name: told for name, told in serializer.errors.items() if name != ignoring}
    )
    if wrong:
        raise CommandError(_as_arguments(first_sentence(ValidationError(wrong).detail)))
    return {} if ignoring else dict(serializer.validated_data)


def _as_arguments(sentence: str) -> str:
    """Name fields of the API as the arguments that they came from."""
    names = {field: f"--{name.replace('_', '-')}" for name, field in _FIELDS.items()}
    names |= {
        "url": "--flow",
        "from": "--number",
        "lists": "--list",
        "throttle": "--pace",
        "flow_type": "--wait-for-key",
    }
    names |= {"schedule.send_at": "--start", "schedule.end_at": "--end", "retries.number_of_retries": "--retries"}
    names |= {"retries.interval_mins": "--interval"}
    for field, argument in names.items():
        sentence = sentence.replace(f"'{field}'", argument)
    return sentence


# A file -------------------------------------------------------------------------------------------------------------


def _open(name: str) -> Any:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error.strerror}") from error


def _upload(account: Account, options: dict[str, Any], out: OutputWrapper) -> ContactList:
    """Let the loader make a list of the file, and wait until all of it is there."""
    is_dynamic = options["columns_as_variables"]
    choice = ColumnChoice(is_dynamic, ignores_others=not is_dynamic)
    name = f"{Path(options['csv']).stem[:200]} {uuid4().hex[:8]}"
    with _open(options["csv"]) as file, told():
        upload = intake.receive(
            account, file, actor=actor(), list_name=name, choice=choice, file_name=Path(options["csv"]).name
        )
    _wait(upload, out, quiet=options["json"])
    if upload.status == CsvUpload.Status.FAILED:
        raise CommandError(f"{options['csv']} could not be loaded: {upload.error}")
    if upload.rows_rejected and not options["json"]:
        out.write(f"{upload.rows_rejected:,} of {upload.rows_total:,} rows were rejected: the list {name} has them")
    if not upload.rows_loaded:
        raise CommandError(
            f"no row of {options['csv']} has a number that can be called; the list {name} has the reasons"
        )
    return upload.filled_list


def _wait(upload: CsvUpload, out: OutputWrapper, *, quiet: bool) -> None:
    """Wait for the loader. Raises CommandError when it does not get on."""
    read, since = -1, time.monotonic()
    while upload.status == CsvUpload.Status.IN_PROGRESS:
        if upload.bytes_read != read:
            read, since = upload.bytes_read, time.monotonic()
            if not quiet and upload.rows_total:
                out.write(f"{upload.rows_total:,} rows read")
        if time.monotonic() - since > LOADER_PATIENCE:
            raise CommandError("the file is stored, but nobody loads it: is the load worker running?")
        time.sleep(0.2)
        upload.refresh_from_db()
