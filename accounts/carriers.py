"""The kinds of carriers that trunks can be of.

Each driver in `dialer.carriers` registers its kind when the dialer app is ready. Apps that must not import the dialer
ask here what they need to know of a carrier.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from accounts import carrier_addresses


class FlowFormat(StrEnum):
    """How a carrier that runs our flows reads them."""

    DOCUMENT = "document"  # at once, as campaigns/flow.schema.json has them
    TWIML = "twiml"  # step by step, in Twilio's markup


class FoundBy(StrEnum):
    """What a carrier can be asked for one call by."""

    OUR_ID = "our-id"  # the attempt's, which names the call there too: its reply is never a guess
    ITS_ID = "its-id"  # which comes with its reply, or with its first event
    NUMBER = "number"  # and the time of the dial: all that is left where the reply was lost


@dataclass(frozen=True)
class CarrierKind:
    """What everything but the driver asks of a carrier.

    Attributes:
        name: stored with each trunk, and part of the addresses that the carrier sends events to.
        label: shown to people.
        needs_credentials: a trunk needs a base URL, an account SID, an API key and a token.
        needs_address: a trunk needs a base URL at least.
        read_address: returns a base URL in one spelling; raises ValueError with a sentence that begins with a verb.
        runs_our_flows: calls run the flows and texts of this server. Otherwise they run flows of the operator's account
            at the carrier, which a campaign names by their address.
        flow_format: how it reads them.
        calls_back: it reaches this server over HTTP, with news and for flows: it needs a public address here.
        lacks: steps of flows, by their names, that its calls can't do.
        signs_requests: the carrier signs what it sends to this server, and its driver can check that.
        queues_calls: a call that it took may wait there before the phone rings, and can be withdrawn until then.
        found_by: what it can be asked for a call by. It is not asked for one that it can't be asked for.
        lists_calls: it lists the calls of an account since a moment.
        hangs_up: it ends calls that are up when it is asked to. Otherwise they go on to their own end.
        reports_keys: its news of a call has the keys that were pressed. Otherwise flows send them (`dialer.passthru`).
        detects_machines: it can tell an answering machine from a person before the flow begins.
        longest_stretch: bytes of what is heard between two questions of a flow that it reads; None: any.
        longest_custom_field: characters of a campaign's custom field that the carrier takes; None: any.
        is_for_tests: known only where SIMULATED_CARRIER is set, and not offered in the admin.
    """

    name: str
    label: str
    needs_credentials: bool = True
    needs_address: bool = False
    read_address: Callable[[str], str] = carrier_addresses.read_http
    runs_our_flows: bool = True
    flow_format: FlowFormat = FlowFormat.DOCUMENT
    calls_back: bool = True
    lacks: frozenset[str] = frozenset()
    signs_requests: bool = False
    queues_calls: bool = False
    found_by: frozenset[FoundBy] = frozenset({FoundBy.ITS_ID})
    lists_calls: bool = False
    hangs_up: bool = False
    reports_keys: bool = True
    detects_machines: bool = False
    longest_stretch: int | None = None
    longest_custom_field: int | None = None
    is_for_tests: bool = False


class UnknownCarrier(LookupError):
    """No driver has registered a carrier of this name."""


_kinds: dict[str, CarrierKind] = {}


def register(kind: CarrierKind) -> None:
    """Make the kind known. Its driver must be known to `dialer.carriers`, too."""
    _kinds[kind.name] = kind


def get(name: str) -> CarrierKind:
    """Return the kind of that name. Raises UnknownCarrier."""
    try:
        return _kinds[name]
    except KeyError:
        raise UnknownCarrier(f"there is no driver for the carrier {name}") from None


def all_kinds() -> list[CarrierKind]:
    """Return the kinds in the order of their registration."""
    return list(_kinds.values())


def choices() -> list[tuple[str, str]]:
    """Return name and label of each kind, as a model field's choices."""
    return [(kind.name, kind.label) for kind in _kinds.values()]
