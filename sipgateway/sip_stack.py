"""The SIP stack: sippy 2.5.0, with its pitfalls filled in. Only the thread that imports this module may use it.

sippy is a callback machine with one loop (`ED2`) for a process. What is worked around here:
- a Contact with `transport=UDP` in capitals, or any other transport: no BYE would be sent, and the call would stay up;
- its threads that send may change the order of two messages, such as an INVITE and the ACK before it;
- an exception in a callback is printed, with the message it failed on, and swallowed: the text goes to the log, masked;
- the INVITE's Expires is five minutes, whatever the ring time.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import structlog

from sipgateway.names import Names, is_address

log = structlog.get_logger(__name__)


class _Output:
    """What sippy prints: tracebacks, with the SIP messages that caused them. The last line of each says what it was."""

    def write(self, text: str) -> int:
        words = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "-", "Traceback"))]
        if words:
            log.error("sip_stack_says", text=words[-1][:200])
        return len(text)

    def flush(self) -> None:
        """Do nothing: every line is written at once."""


with redirect_stdout(_Output()):
    from sippy.CCEvents import (
        CCEventConnect,
        CCEventDisconnect,
        CCEventFail,
        CCEventInfo,
        CCEventRedirect,
        CCEventRing,
        CCEventTry,
        CCEventUpdate,
    )
    from sippy.Core.EventDispatcher import ED2
    from sippy.MsgBody import MsgBody
    from sippy.SipAddress import SipAddress
    from sippy.SipCallId import SipCallId
    from sippy.SipFrom import SipFrom
    from sippy.SipHeader import SipHeader
    from sippy.SipPAssertedIdentity import SipPAssertedIdentity
    from sippy.SipRequest import SipRequest
    from sippy.SipRoute import SipRoute
    from sippy.SipTo import SipTo
    from sippy.SipTransactionManager import SipTransactionManager
    from sippy.SipURL import SipURL
    from sippy.Time.Timeout import Timeout
    from sippy.UA import UA
    from sippy.UacStateCancelling import UacStateCancelling
    from sippy.Udp_server import Udp_server, Udp_server_opts

__all__ = [
    "ED2",
    "CCEventConnect",
    "CCEventDisconnect",
    "CCEventFail",
    "CCEventInfo",
    "CCEventRedirect",
    "CCEventRing",
    "CCEventTry",
    "CCEventUpdate",
    "MsgBody",
    "SipCallId",
    "Stack",
    "Timeout",
    "TrunkCall",
]

NAME = "Trunkline"
# Responses that ask for a password, and the header that says how.
CHALLENGES = {401: "www-authenticate", 407: "proxy-authenticate"}
# How far beyond the numbers that a dead gateway has used a request of another one counts.
CSEQ_GAP = 100
# Seconds beyond the validity of an INVITE that has rung for which its last response is heard. sippy would make up a 408
# as the validity ends, and neither acknowledge nor hang up a call whose 200 comes later, cancelled or not.
HEARS_LATE_ANSWERS_FOR = 60
# Names in the Contacts of callees, which anybody may write there.
CONTACT_LOOK_UPS = 16
_messages = logging.getLogger(f"{__name__}.messages")


class _MessageLog:
    """sippy's logger: every message, where the log level of its own is DEBUG."""

    def write(self, *texts: str, **_: Any) -> None:
        if _messages.isEnabledFor(logging.DEBUG):
            _messages.debug("%s", "".join(texts))

    def shutdown(self) -> None:
        """Do nothing: Python's logging ends by itself."""


class Stack:
    """The UDP socket and the transactions over it."""

    def __init__(self, host: str, port: int, public_host: str) -> None:
        self.public_host = public_host
        contacts = Names(CONTACT_LOOK_UPS)
        self.settings: dict[str, Any] = {"_sip_address": host, "_sip_port": port, "_sip_logger": _MessageLog()}

        class Server(Udp_server):  # type: ignore[misc]
            """Names the public address in Via and Contact, which a machine behind NAT has not itself."""

            def getSIPaddr(self) -> Any:  # noqa: N802 -- sippy's name
                (_, own_port), transport = super().getSIPaddr()
                return (public_host, own_port), transport

            def send_to(self, data: Any, address: tuple[str, int], delayed: bool = False) -> None:
                if is_address(address[0]):
                    super().send_to(data, address, delayed)
                else:
                    # The one thread that sends must not wait for a name.
                    contacts.resolve(address[0], partial(self._send_to_ip, data, address[1]))

            def _send_to_ip(self, data: Any, port: int, ip: str) -> None:
                if ip:
                    super().send_to(data, (ip, port))

        class Options(Udp_server_opts):  # type: ignore[misc]
            """Sends and takes messages in their order, and shares the port with no other gateway."""

            nworkers = 1

        class Manager(SipTransactionManager):  # type: ignore[misc]
            model_udp_server = (Server, Options)

        self._transactions = Manager(self.settings, _respond_to_strangers)
        self.settings["_sip_tm"] = self._transactions
        [server] = self._transactions.l4r.cache_l2s.values()
        self.port = int(server.uopts.laddress[1])

    def hang_up(self, call_id: str, dialog: Mapping[str, Any], on_left: Callable[[], None]) -> None:
        """Send the BYE of a call that another gateway has left, and tell of its response, or that there is none."""
        host, port = dialog["address"]
        request = SipRequest(
            method="BYE",
            ruri=SipURL(dialog["target"]),
            to=SipTo(body=dialog["remote"]),
            fr0m=SipFrom(body=dialog["local"]),
            cseq=int(dialog["cseq"]) + CSEQ_GAP,
            callid=SipCallId(call_id),
            routes=[SipRoute(body=route) for route in dialog["routes"]],
            target=((host, int(port)), "udp"),
            user_agent=NAME,
        )
        self._transactions.newTransaction(
            request, lambda response: on_left() if response.getSCode()[0] >= 200 else None
        )

    def ping(self, host: str, port: int, domain: str, on_response: Callable[[int], None]) -> None:
        """Send an OPTIONS (RFC 3261 section 11), and pass on its final response: 408 where none came."""
        url = SipURL(host=domain, port=port)
        own = SipFrom(address=SipAddress(url=SipURL(username="ping", host=self.public_host), hadbrace=True))
        own.genTag()
        request = SipRequest(
            method="OPTIONS",
            ruri=url,
            to=SipTo(address=SipAddress(url=SipURL(host=domain), hadbrace=True)),
            fr0m=own,
            callid=SipCallId(),
            target=((host, port), "udp"),
            user_agent=NAME,
        )
        self._transactions.newTransaction(request, lambda response: on_response(response.getSCode()[0]))

    def shutdown(self) -> None:
        """Close the socket."""
        self._transactions.shutdown()


def _respond_to_strangers(request: Any, _: Any) -> Any:
    """Respond to what belongs to no call of ours: nobody can call this gateway."""
    match request.getMethod():
        case "OPTIONS":
            return request.genResponse(200, "OK", server=NAME), None, None
        case "INVITE":
            return request.genResponse(403, "Forbidden", server=NAME), None, None
        case "ACK":
            return None
    return request.genResponse(481, "Call/Transaction Does Not Exist", server=NAME), None, None


class TrunkCall(UA):  # type: ignore[misc]
    """sippy's end of a call, which also tells every response to its INVITE."""

    local_ua = NAME

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        on_event: Callable[[Any], None],
        on_response: Callable[[int, bool, bool], None],
        on_left: Callable[[], None],
        address: tuple[str, int],
        credentials: tuple[str, str] | None,
        expires: int,
        headers: list[Any],
    ) -> None:
        """Prepare the end of a call. The INVITE leaves with its CCEventTry.

        Args:
            on_response: gets the code, whether sippy itself made the response up, and whether the call was given up.
            on_left: is called once our BYE has got its response, or will get none any more.
        """
        user, password = credentials or (None, None)
        super().__init__(
            settings,
            event_cb=lambda event, _: on_event(event),
            username=user,
            password=password,
            nh_address=address,
            extra_headers=headers or None,
        )
        self._on_response = on_response
        self._on_left = on_left
        self._has_signed_bye = False
        self._expires = expires

    def recvResponse(self, resp: Any, tr: Any) -> None:  # noqa: N802 -- sippy's name
        if resp.getHFBody("cseq").getCSeq()[1] == "INVITE":
            has_given_up = isinstance(self.state, UacStateCancelling)
            # Or a challenge that comes late would send another INVITE for a call that is over.
            self.pass_auth = has_given_up
            self._on_response(resp.getSCode()[0], resp is getattr(tr, "r408", None), has_given_up)
        super().recvResponse(resp, tr)

    def genRequest(self, method: str, *args: Any, **options: Any) -> Any:  # noqa: N802 -- sippy's name
        if self.rTarget.transport is not None and "my" not in dir(self.rTarget.transport):
            self.rTarget.transport = "udp"
        address, transport = self.rAddr
        if "my" not in dir(transport):
            self.rAddr: Any = address, "udp"
        request = super().genRequest(method, *args, **options)
        if method == "INVITE":
            request.getHFBody("expires").number = self._expires
        return request

    def newTransaction(self, req: Any, req_extra_headers: Any = None, **options: Any) -> Any:  # noqa: N802 -- sippy's
        if req.getMethod() == "BYE":
            options["resp_cb"] = self._on_bye_response
        transaction = super().newTransaction(req, req_extra_headers, **options)
        if req.getMethod() == "INVITE":
            transaction.expires = self._expires + HEARS_LATE_ANSWERS_FOR
        return transaction

    def _on_bye_response(self, response: Any) -> None:
        """Take a response to our BYE: 408 where none came. A trunk may ask for the password for it as well."""
        code = response.getSCode()[0]
        if code >= 200 and not (code in CHALLENGES and self._send_bye_with_password(response, CHALLENGES[code])):
            self._on_left()

    def _send_bye_with_password(self, response: Any, header: str) -> bool:
        if self.username is None or self._has_signed_bye:
            return False
        self._has_signed_bye = True
        for challenge in response.getHFBodys(header):
            is_supported, protection = challenge.supportedAlgorithm()
            if is_supported:
                self.newTransaction(self.genRequest("BYE", None, (challenge, protection)))
                return True
        return False

    def stop_retransmitting(self) -> None:
        """Send the INVITE no more. A response to those that were sent is still heard."""
        if self.tr is not None and self.tr.teA is not None:
            self.tr.teA.cancel()
            self.tr.teA = None

    def dialog(self) -> dict[str, Any]:
        """Return what another gateway needs to end the call."""
        return {
            "target": str(self.rTarget),
            "address": list(self.rAddr[0]),
            "local": str(self.lUri),
            "remote": str(self.rUri),
            "cseq": self.lCSeq,
            "routes": [str(route) for route in self.routes],
        }


def asserted_identity(user: str, host: str) -> Any:
    """Return the header P-Asserted-Identity (RFC 3325)."""
    address = SipAddress(url=SipURL(username=user, host=host), hadbrace=True)
    return SipHeader(name="p-asserted-identity", body=SipPAssertedIdentity(address=address))
