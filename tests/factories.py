"""Build rows that can exist: ended rows have an end, ringing calls were placed, related rows have the same account.

The state of a row is a trait: `CampaignFactory(running=True)`, `CallFactory(retrying=True)`, `CallAttemptFactory(busy=
True)`. A factory also builds the rows that its row needs, in matching states: the call of a ringing attempt is in
progress, and its campaign is running. Without a trait, a campaign starts in an hour and a call has no attempt yet.
"""

from datetime import date, time, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from factory import declarations
from factory.base import FactoryMetaClass
from factory.django import DjangoModelFactory
from uuid_utils.compat import uuid7

from accounts.audit import Actor, Kind, Verb
from accounts.audit_entry import AuditEntry
from accounts.credentials import digest
from accounts.models import Account, ApiKey, CallerId, CarrierAccount, Route, Trunk
from accounts.second_factor_devices import AuthenticatorApp
from api.models import IdempotentRequest
from campaigns.lifecycle import LONGEST
from campaigns.models import Call, CallHistory, Campaign, CampaignHistory, CustomField, Flow, Outcome
from contacts.models import Contact, ContactList, CsvPiece, CsvUpload, DoNotCall, ListEntry, RejectedRow
from dialer.models import (
    AttemptHistory,
    CallAttempt,
    CallerIdHealth,
    CarrierEvent,
    Recording,
    RouteHealth,
    Transfer,
    TrunkHealth,
)
from sipgateway.models import Gateway, SipCall
from webhooks.models import WebhookDelivery, WebhookTry, queue_of, receiver_of, stream_of

# mypy: disallow_subclassing_any=False
LazyAttribute: Any = declarations.LazyAttribute
LazyFunction: Any = declarations.LazyFunction
SelfAttribute: Any = declarations.SelfAttribute
Sequence: Any = declarations.Sequence
SubFactory: Any = declarations.SubFactory
Trait: Any = declarations.Trait


class _WithTraits(FactoryMetaClass):
    """Make factories whose traits are off unless one is asked for.

    For each column of a trait that is not given, factory_boy raises an error whose text has all that the factory
    declares, and which nobody reads.
    """

    def __new__(cls, *of_class: Any, **options: Any) -> Any:
        made = super().__new__(cls, *of_class, **options)
        declared = made._meta.pre_declarations
        parameters = made._meta.parameters.items()
        traits = {name for name, parameter in parameters if isinstance(parameter, declarations.Trait)}
        declared.update(dict.fromkeys(traits - set(declared), False))
        return made


class _ModelFactory(DjangoModelFactory, metaclass=_WithTraits):
    class Meta:
        abstract = True


# A type checker would take `CallFactory()` for a CallFactory instead of a Call, and its number for a Sequence.
ModelFactory: Any = _ModelFactory

# Who does what a test does.
ACTOR = Actor(Kind.USER, "7", "meera")


def _ago(**units: float) -> Any:
    return LazyFunction(lambda: timezone.now() - timedelta(**units))


class TrunkFactory(ModelFactory):
    class Meta:
        model = Trunk

    name = Sequence(lambda n: f"trunk-{n}")
    carrier = "simulated"

    class Params:
        exotel = Trait(
            carrier="exotel",
            base_url="https://carrier.example",
            account_sid="operator1",
            api_key="key-at-the-carrier",
            api_token="token-at-the-carrier",
        )
        # With the secret of another key than the account's, which signs nothing.
        twilio = Trait(
            carrier="twilio",
            base_url="https://carrier.example",
            account_sid="ACoperator1",
            api_key="SKoperator1",
            api_token="token-at-the-carrier",
        )


class CarrierAccountFactory(ModelFactory):
    """One that no trunk is at; a trunk brings its own."""

    class Meta:
        model = CarrierAccount

    carrier = "exotel"
    base_url = Sequence(lambda n: f"https://carrier-{n}.example")
    account_sid = "operator1"


class AccountFactory(ModelFactory):
    """Build an account that is open around the clock, so that no test depends on the hour at which it runs."""

    class Meta:
        model = Account

    sid = Sequence(lambda n: f"account{n}")
    opens_at = time(0)
    closes_at = time(0)


class ApiKeyFactory(ModelFactory):
    """Build a key with `ApiKeyFactory(token="…")`, or with the token `token of KEY`."""

    class Meta:
        model = ApiKey

    account = SubFactory(AccountFactory)
    key = Sequence(lambda n: f"key{n}")
    token_digest = LazyAttribute(lambda row: digest(row.token))

    class Params:
        token = LazyAttribute(lambda row: f"token of {row.key}")
        revoked = Trait(revoked_at=_ago(minutes=1))


class AuthenticatorAppFactory(ModelFactory):
    """The second factor of a person."""

    class Meta:
        model = AuthenticatorApp

    user = Sequence(lambda n: get_user_model().objects.create_user(f"person-{n}", is_staff=True))
    name = "authenticator app"
    key = "00"


class AuditEntryFactory(ModelFactory):
    """Somebody paused a campaign that is gone by now."""

    class Meta:
        model = AuditEntry

    at = LazyFunction(timezone.now)
    actor_kind = ACTOR.kind
    actor_id = ACTOR.id
    actor_name = ACTOR.name
    account = SubFactory(AccountFactory)
    account_sid = SelfAttribute("account.sid")
    verb = Verb.PAUSED
    object_kind = "campaigns.campaign"
    object_id = Sequence(str)
    object_name = Sequence(lambda n: f"renewals {n}")
    ip = "192.0.2.1"
    request_id = Sequence(lambda n: f"{n:032x}")


class CallerIdFactory(ModelFactory):
    class Meta:
        model = CallerId

    account = SubFactory(AccountFactory)
    number = Sequence(lambda n: f"+9180{n:08d}")
    trunk = SubFactory(TrunkFactory)


class FlowFactory(ModelFactory):
    class Meta:
        model = Flow

    account = SubFactory(AccountFactory)
    flow_id = Sequence(lambda n: f"flow{n}")
    document = LazyFunction(lambda: {"steps": [{"say": "Hello."}]})


class CampaignFactory(ModelFactory):
    """Build a campaign that starts in an hour. With a trait that implies a start, it started an hour ago."""

    class Meta:
        model = Campaign

    account = SubFactory(AccountFactory)
    name = Sequence(lambda n: f"campaign {n}")
    caller_id = SubFactory(CallerIdFactory, account=SelfAttribute("..account"))
    caller_id_given = LazyAttribute(lambda row: row.caller_id.number)
    flow = SubFactory(FlowFactory, account=SelfAttribute("..account"))
    flow_url = LazyAttribute(lambda row: f"http://my.exotel.com/{row.account.sid}/exoml/start_voice/{row.flow.flow_id}")
    send_at = _ago(hours=-1)
    expires_at = LazyAttribute(lambda row: row.end_at or row.send_at + LONGEST)
    end_at = None
    status = Campaign.Status.CREATED

    class Params:
        with_retries = Trait(
            number_of_retries=2, retry_interval_mins=5, retry_on_status=["busy", "no-answer", "failed"]
        )
        # Parts of the traits below, not states of their own.
        started = Trait(send_at=_ago(hours=1), started_at=SelfAttribute("send_at"))
        ended = Trait(ended_at=_ago(minutes=1))
        running = Trait(status=Campaign.Status.IN_PROGRESS, started=True)
        paused = Trait(status=Campaign.Status.PAUSED, started=True)
        paused_before_start = Trait(status=Campaign.Status.PAUSED)
        completed = Trait(status=Campaign.Status.COMPLETED, started=True, ended=True)
        failed = Trait(status=Campaign.Status.FAILED, started=True, ended=True, failure_http_status=503)
        canceled = Trait(status=Campaign.Status.CANCELED, started=True, ended=True)
        archived = Trait(status=Campaign.Status.ARCHIVED, started=True, ended=True)
        deleted = Trait(status=Campaign.Status.DELETED, ended=True)
        # Reads a text instead of running a flow.
        greeting = Trait(flow=None, flow_url="", flow_type=Campaign.FlowType.GREETING, text="Hello.")


class CustomFieldFactory(ModelFactory):
    class Meta:
        model = CustomField

    campaign = SubFactory(CampaignFactory)
    value = "round-7"


class CallFactory(ModelFactory):
    """Build a call without attempts. `in_progress` means that its first attempt is under way; it builds no attempt."""

    class Meta:
        model = Call

    campaign = SubFactory(CampaignFactory)
    number = Sequence(lambda n: f"+9198{n:08d}")
    status = Call.Status.CREATED

    class Params:
        in_progress = Trait(status=Call.Status.IN_PROGRESS, campaign__running=True)
        retrying = Trait(
            status=Call.Status.RETRYING,
            campaign__running=True,
            campaign__with_retries=True,
            attempts_made=1,
            was_placed=True,
            last_outcome=Outcome.BUSY,
            next_attempt_at=_ago(minutes=-5),
        )
        completed = Trait(
            status=Call.Status.COMPLETED,
            campaign__running=True,
            attempts_made=1,
            was_placed=True,
            last_outcome=Outcome.COMPLETED,
            ended_at=_ago(minutes=2),
        )
        failed = Trait(
            status=Call.Status.FAILED,
            campaign__running=True,
            attempts_made=1,
            was_placed=True,
            last_outcome=Outcome.NO_ANSWER,
            ended_at=_ago(minutes=2),
            end_reason="no retry is left",
        )
        canceled = Trait(
            status=Call.Status.CANCELED,
            campaign__completed=True,
            ended_at=_ago(minutes=1),
            end_reason="the campaign's end came",
        )


class CallAttemptFactory(ModelFactory):
    """Build a first attempt, claimed and not placed yet. A call that is not given is built in a matching state."""

    class Meta:
        model = CallAttempt

    call = SubFactory(CallFactory, in_progress=True)
    campaign = SelfAttribute("call.campaign")
    account = SelfAttribute("campaign.account")
    callee = SelfAttribute("call.number")
    trunk = SelfAttribute("campaign.caller_id.trunk")
    number = 1
    status = CallAttempt.Status.CLAIMED
    claimed_at = _ago(minutes=5)

    class Params:
        # Parts of the traits below, not states of their own.
        placed = Trait(
            placing_at=LazyAttribute(lambda row: row.claimed_at + timedelta(seconds=1)),
            carrier_account=SelfAttribute("trunk.carrier_account"),
        )
        taken = Trait(
            placed=True,
            carrier_ref=Sequence(lambda n: f"ref-{n}"),
            heard_at=LazyAttribute(lambda row: row.placing_at + timedelta(seconds=1)),
        )
        ended = Trait(ended_at=LazyAttribute(lambda row: row.claimed_at + timedelta(minutes=1)))
        placing = Trait(status=CallAttempt.Status.PLACING, placed=True)
        in_progress = Trait(status=CallAttempt.Status.IN_PROGRESS, taken=True)
        unknown = Trait(status=CallAttempt.Status.UNKNOWN, placed=True)
        completed = Trait(
            status=CallAttempt.Status.COMPLETED,
            taken=True,
            ended=True,
            answered_at=LazyAttribute(lambda row: row.placing_at + timedelta(seconds=8)),
            duration_seconds=20,
            call=SubFactory(CallFactory, completed=True),
        )
        busy = Trait(
            status=CallAttempt.Status.BUSY,
            taken=True,
            ended=True,
            call=SubFactory(CallFactory, failed=True, last_outcome=Outcome.BUSY),
        )
        no_answer = Trait(
            status=CallAttempt.Status.NO_ANSWER,
            taken=True,
            ended=True,
            call=SubFactory(CallFactory, failed=True, last_outcome=Outcome.NO_ANSWER),
        )
        # Refused by the carrier: no phone rang, and there is no id at the carrier.
        failed = Trait(
            status=CallAttempt.Status.FAILED,
            placed=True,
            ended=True,
            http_status=400,
            reason="the carrier refused the call",
            call=SubFactory(CallFactory, failed=True, last_outcome=Outcome.FAILED, was_placed=False, http_status=400),
        )
        # Given back before the carrier was asked; the call waits for another attempt.
        canceled = Trait(
            status=CallAttempt.Status.CANCELED,
            ended=True,
            call=SubFactory(CallFactory, campaign__running=True),
        )


class TransferFactory(ModelFactory):
    """Build a call to another number, made for an attempt."""

    class Meta:
        model = Transfer

    attempt = SubFactory(CallAttemptFactory, in_progress=True)
    account = SelfAttribute("attempt.account")
    place = "0.1"
    number = "+912222222222"
    started_at = LazyFunction(timezone.now)
    placing_at = SelfAttribute("started_at")


class RecordingFactory(ModelFactory):
    """Build a recording that a carrier keeps."""

    class Meta:
        model = Recording

    attempt = SubFactory(CallAttemptFactory, completed=True)
    place = "0.1"
    url = "https://carrier.example/recording"
    seconds = 7
    recorded_at = LazyFunction(timezone.now)


class CarrierEventFactory(ModelFactory):
    class Meta:
        model = CarrierEvent

    class Params:
        attempt = SubFactory(CallAttemptFactory, completed=True)
        handled = Trait(handled_at=_ago(seconds=1))

    attempt_id = LazyAttribute(lambda row: row.attempt.id)
    carrier = "exotel"
    payload = LazyFunction(lambda: {"Status": "completed"})


class TrunkHealthFactory(ModelFactory):
    class Meta:
        model = TrunkHealth

    trunk = SubFactory(TrunkFactory)

    class Params:
        down = Trait(
            failures=3, down_since=_ago(minutes=1), resting_until=_ago(seconds=-4), last_error="503 Service Unavailable"
        )


class RouteFactory(ModelFactory):
    class Meta:
        model = Route

    caller_id = SubFactory(CallerIdFactory)
    trunk = SubFactory(TrunkFactory)
    place = Sequence(lambda n: n + 1)


class RouteHealthFactory(ModelFactory):
    class Meta:
        model = RouteHealth

    route = SubFactory(RouteFactory)
    failures = 3
    down_since = _ago(minutes=1)
    last_error = "503 Service Unavailable"


class CallerIdHealthFactory(ModelFactory):
    class Meta:
        model = CallerIdHealth

    caller_id = SubFactory(CallerIdFactory)

    class Params:
        down = Trait(
            failures=3,
            down_since=_ago(minutes=1),
            resting_until=_ago(seconds=-4),
            last_error="HTTP 403: not yet KYC compliant",
            refused_numbers=["+919810000001", "+919810000002", "+919810000003"],
            refused_since=_ago(minutes=1),
        )


class WebhookDeliveryFactory(ModelFactory):
    """Build the webhook of a campaign's start, or of a call when a number is given. It is due."""

    class Meta:
        model = WebhookDelivery

    campaign = SubFactory(CampaignFactory, running=True, status_callback="https://client.example/campaign?key=k")
    account = SelfAttribute("campaign.account")
    kind = LazyAttribute(
        lambda row: (
            WebhookDelivery.Kind.CALL_STATUS if row.number.startswith("+") else WebhookDelivery.Kind.CAMPAIGN_STATUS
        )
    )
    url = LazyAttribute(lambda row: row.campaign.status_callback)
    payload = LazyAttribute(lambda row: {"campaign_sid": row.campaign.pk.hex, "status": "in-progress"})
    receiver = LazyAttribute(lambda row: receiver_of(row.campaign.account_id, row.url))
    stream = LazyAttribute(lambda row: stream_of(row.campaign.pk, row.url))
    queue = LazyAttribute(lambda row: queue_of(row.stream, row.number))
    created_at = _ago(minutes=1)
    queued_at = SelfAttribute("created_at")
    next_try_at = SelfAttribute("created_at")

    class Params:
        number = ""
        # A part of the traits below, not a state of its own.
        done = Trait(next_try_at=None, tries=1)
        delivered = Trait(done=True, last_status=200, delivered_at=LazyFunction(timezone.now))
        given_up = Trait(done=True, last_status=500, last_error="answered 500", given_up_at=LazyFunction(timezone.now))


class WebhookTryFactory(ModelFactory):
    class Meta:
        model = WebhookTry

    delivery = SubFactory(WebhookDeliveryFactory, given_up=True)
    at = _ago(seconds=5)
    duration_ms = 120
    http_status = 500
    error = "answered 500"
    response = "<h1>Internal Server Error</h1>"


class CampaignHistoryFactory(ModelFactory):
    class Meta:
        model = CampaignHistory

    subject = SubFactory(CampaignFactory, running=True)
    from_status = Campaign.Status.CREATED
    to_status = Campaign.Status.IN_PROGRESS
    reason = "the start has come"
    at = _ago(minutes=30)


class CallHistoryFactory(ModelFactory):
    class Meta:
        model = CallHistory

    subject = SubFactory(CallFactory, in_progress=True)
    from_status = Call.Status.CREATED
    to_status = Call.Status.IN_PROGRESS
    at = _ago(minutes=5)


class AttemptHistoryFactory(ModelFactory):
    class Meta:
        model = AttemptHistory

    subject = SubFactory(CallAttemptFactory, placing=True)
    from_status = CallAttempt.Status.CLAIMED
    to_status = CallAttempt.Status.PLACING
    at = _ago(minutes=5)


class ContactFactory(ModelFactory):
    class Meta:
        model = Contact

    account = SubFactory(AccountFactory)
    number = Sequence(lambda n: f"+9197{n:08d}")
    first_name = Sequence(lambda n: f"Asha {n}")


class DoNotCallFactory(ModelFactory):
    class Meta:
        model = DoNotCall

    account = SubFactory(AccountFactory)
    number = Sequence(lambda n: f"+9196{n:08d}")
    source = "api"
    added_at = _ago(minutes=1)

    class Params:
        for_all = Trait(account=None)
        of_registry = Trait(account=None, source="registry", registry="ncpr", registry_date=date(2026, 3, 1))


class ContactListFactory(ModelFactory):
    class Meta:
        model = ContactList

    account = SubFactory(AccountFactory)
    name = Sequence(lambda n: f"list {n}")

    class Params:
        dynamic = Trait(type=ContactList.Type.DYNAMIC, columns=["Name", "Fee"])


class ListEntryFactory(ModelFactory):
    class Meta:
        model = ListEntry

    contact_list = SubFactory(ContactListFactory)
    contact = SubFactory(ContactFactory, account=SelfAttribute("..contact_list.account"))


class CsvUploadFactory(ModelFactory):
    """Build an upload that was accepted and is not being loaded yet."""

    class Meta:
        model = CsvUpload

    account = SubFactory(AccountFactory)
    contact_list = SubFactory(ContactListFactory, account=SelfAttribute("..account"))
    file_name = "parents.csv"
    size_bytes = 20

    class Params:
        completed = Trait(
            status=CsvUpload.Status.COMPLETED, rows_total=3, rows_loaded=2, rows_rejected=1, ended_at=_ago(minutes=1)
        )


class CsvPieceFactory(ModelFactory):
    class Meta:
        model = CsvPiece

    upload = SubFactory(CsvUploadFactory)
    position = Sequence(int)
    content = b"number\n"


class RejectedRowFactory(ModelFactory):
    class Meta:
        model = RejectedRow

    upload = SubFactory(CsvUploadFactory, completed=True)
    line = Sequence(lambda n: n + 2)
    reason = "not a valid number: +9112"
    cells = ["+9112"]


class IdempotentRequestFactory(DjangoModelFactory):
    class Meta:
        model = IdempotentRequest

    account = SubFactory(AccountFactory)
    key = Sequence(lambda n: f"order-{n}")
    request_digest = "0" * 64
    status = 200
    response = "{}"
    created_at = _ago(minutes=1)


class GatewayFactory(ModelFactory):
    class Meta:
        model = Gateway

    id = LazyFunction(uuid7)
    address = Sequence(lambda n: f"192.0.2.1:{5060 + n}")
    started_at = _ago(minutes=5)
    at_work_since = _ago(minutes=5)
    beat_at = _ago(seconds=1)


class SipCallFactory(ModelFactory):
    class Meta:
        model = SipCall

    attempt_id = LazyFunction(uuid7)
    number = "+919810000001"
    caller_id = "+918012345678"
    ring_timeout = 30
    max_seconds = 600
    created_at = _ago(minutes=1)
    ask_before = _ago(seconds=55)
