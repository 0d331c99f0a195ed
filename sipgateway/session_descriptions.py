"""Session descriptions (SDP, RFC 4566): what we offer, and what of it a callee has chosen. Pure."""

import ipaddress
import re
from dataclasses import dataclass

# Static payload types of G.711 (RFC 3551): 8,000 samples a second, of a byte each.
PCMU, PCMA = 0, 8
# How a callee names the type of its keys. Names of encodings are the same in capitals (RFC 4566 6).
_KEYS_OF = re.compile(r"rtpmap:([0-9]+) telephone-event/8000", re.IGNORECASE)
# The type that we offer for keys (RFC 4733). A callee sends them with the type of its own answer.
KEYS = 101


@dataclass(frozen=True)
class Remote:
    """Where a callee wants its sound, and in which form.

    Attributes:
        codec: the payload type, PCMU or PCMA.
        keys: the payload type of its keys; None where it sends none within the sound.
    """

    host: str
    port: int
    codec: int
    keys: int | None


def offer(host: str, port: int, session: int) -> str:
    """Return the description of our end."""
    lines = [
        "v=0",
        f"o=- {session} 1 IN IP4 {host}",
        "s=-",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {PCMU} {PCMA} {KEYS}",
        f"a=rtpmap:{PCMU} PCMU/8000",
        f"a=rtpmap:{PCMA} PCMA/8000",
        f"a=rtpmap:{KEYS} telephone-event/8000",
        f"a=fmtp:{KEYS} 0-15",
        "a=ptime:20",
        "a=sendrecv",
    ]
    return "".join(f"{line}\r\n" for line in lines)


def read(text: str) -> Remote | None:
    """Return what a callee's description says of its sound; None where it has none that we can send to."""
    host, media = "", ""
    payloads: list[int] = []
    port = 0
    keys = None
    for line in text.splitlines():
        kind, _, value = line.strip().partition("=")
        match kind:
            case "m":
                audio = None if port else re.match(r"audio ([0-9]+)(/[0-9]+)? RTP/AVP ", value)
                media = "audio" if audio else "other"
                if audio:
                    port = int(audio[1])
                    payloads = [int(given) for given in value.split()[3:] if given.isdigit()]
            case "c" if media != "other":
                host = (value.split() or [""])[-1].partition("/")[0]
            case "a" if media == "audio" and (named := _KEYS_OF.match(value)):
                keys = int(named[1])
    codec = next((payload for payload in payloads if payload in {PCMU, PCMA}), None)
    if codec is None or not 0 < port < 65536 or not _is_address(host):
        return None
    return Remote(host, port, codec, keys if keys in payloads else None)


def _is_address(host: str) -> bool:
    """Tell whether sound can be sent there: a name would be looked up for each packet, while all calls wait."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def key_of_info(body: str) -> str:
    """Return the key that an INFO request tells; "" for none.

    Bodies are `application/dtmf-relay` (`Signal=5`), which no RFC describes, or the bare key of `application/dtmf`.
    """
    named = re.search(r"(?im)^\s*Signal\s*=\s*(\S+)", body)
    key = named[1] if named else body.strip()
    return key if re.fullmatch(r"[0-9*#]", key) else {"10": "*", "11": "#"}.get(key, "")
