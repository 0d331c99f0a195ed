"""A flow's actions as a TwiML document."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as ET

from campaigns.flow_interpreter import (
    Action,
    Ask,
    Connect,
    HangUp,
    OptOut,
    Place,
    Play,
    Record,
    RecordCall,
    Refuse,
    Say,
)

# What XML 1.0 can't hold, however it is escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What one Say may hold, by Twilio's error 13521: bytes of its text (of the smallest voice), and characters of it as it
# stands in an address. A character of Hindi is three of the former, and nine of the latter.
MOST_BYTES, MOST_QUOTED = 3_000, 4_500
# Where a long text is best parted, in this order. What is heard pauses there.
_BREAKS = (re.compile(r"[.!?\u0964\u0965\u06d4\u3002]\s+|\n\s*"), re.compile(r"\s+"))


@dataclass(frozen=True)
class Addresses:
    """Where the carrier asks, by the place in the flow.

    Attributes:
        after: what follows a gather, a connect or a record.
        rings: for a connect whose number rings at once.
        made: that is told of a recording that is ready, which may be after the call.
    """

    after: Callable[[Place], str]
    rings: Callable[[Place], str]
    made: Callable[[Place], str]


def is_heard_first(actions: Sequence[Action]) -> bool:
    """Whether the callee hears something before a connect at the end.

    It may take minutes. So the document ends before the connect, which is asked for, as the gate is, when it is heard.
    """
    *before, last = actions
    return isinstance(last, Connect) and any(isinstance(action, Say | Play) for action in before)


def write(actions: Sequence[Action], addresses: Addresses, caller_id: str = "") -> str:
    """Return the document.

    Args:
        caller_id: the number that a connect rings from.
    """
    after, made = addresses.after, addresses.made
    response = ET.Element("Response")
    for action in actions:
        match action:
            case Say() | Play():
                _speak(response, action)
            case Connect() if is_heard_first(actions):
                _redirect(response, addresses.rings(action.place))
            case Connect():
                _connect(response, action, after(action.place), caller_id)
            case OptOut() | Refuse():
                pass  # the view stores it
            case HangUp():
                ET.SubElement(response, "Hangup")
            case Ask():
                _ask(response, action, after(action.place))
            case Record():
                _record(response, action, after(action.place), made(action.place))
            case RecordCall():
                _record_call(response, made(action.place))
    return _written(response)


def begin_again(address: str) -> str:
    """Return a document that leads to an address after a moment."""
    response = ET.Element("Response")
    ET.SubElement(response, "Pause", length="1")
    _redirect(response, address)
    return _written(response)


def hang_up() -> str:
    """Return a document that ends the call."""
    response = ET.Element("Response")
    ET.SubElement(response, "Hangup")
    return _written(response)


def _written(response: ET.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(response, encoding="unicode")


def _redirect(response: ET.Element, address: str) -> None:
    ET.SubElement(response, "Redirect", method="POST").text = address


def _ask(response: ET.Element, ask: Ask, address: str) -> None:
    """Write a Gather that reports silence as well, so that what follows is always asked for at one address."""
    gather = ET.SubElement(
        response,
        "Gather",
        input="dtmf",
        numDigits=str(ask.digits),
        timeout=str(math.ceil(ask.timeout)),
        # Without a finish key none ends the input by itself: any of them may have a branch.
        finishOnKey=ask.finish_key,
        actionOnEmptyResult="true",
        action=address,
        method="POST",
    )
    for part in ask.prompt:
        _speak(gather, part)


def _record(response: ET.Element, record: Record, address: str, made: str) -> None:
    ET.SubElement(
        response,
        "Record",
        maxLength=str(record.seconds),
        timeout=str(record.silence),
        finishOnKey=record.finish_key,
        playBeep="true" if record.beep else "false",
        # Silence at its ends is a part of what was said.
        trim="do-not-trim",
        action=address,
        method="POST",
        # Where the callee hangs up meanwhile, nothing follows, and only this tells where it is.
        recordingStatusCallback=made,
        recordingStatusCallbackMethod="POST",
    )
    # Where nobody has spoken, the document goes on here.
    _redirect(response, address)


def _record_call(response: ET.Element, made: str) -> None:
    """Write what begins a recording in the background. It ends with the call."""
    start = ET.SubElement(response, "Start")
    ET.SubElement(
        start, "Recording", channels="dual", recordingStatusCallback=made, recordingStatusCallbackMethod="POST"
    )


def _connect(response: ET.Element, connect: Connect, address: str, caller_id: str) -> None:
    given = {"timeout": str(connect.ring), "action": address, "method": "POST", "callerId": caller_id}
    dial = ET.SubElement(response, "Dial", {name: value for name, value in given.items() if value})
    ET.SubElement(dial, "Number").text = connect.number


def _speak(parent: ET.Element, part: Say | Play) -> None:
    if isinstance(part, Say):
        given = {"language": part.language, "voice": part.voice}
        for piece in pieces_of(_NOT_XML.sub(" ", part.text)):
            ET.SubElement(parent, "Say", {name: value for name, value in given.items() if value}).text = piece
    else:
        ET.SubElement(parent, "Play").text = _NOT_XML.sub("", part.url)


def pieces_of(text: str) -> Iterator[str]:
    """Part a text into pieces that a Say can hold: between sentences, else words, else characters."""
    while (most := _that_fits(text)) < len(text):
        end = _break_before(text, most)
        yield text[:end]
        text = text[end:]
    yield text


def _that_fits(text: str) -> int:
    """Return how many of the first characters one Say can hold."""
    if len(text.encode()) <= MOST_BYTES and len(quote(text, safe="")) <= MOST_QUOTED:
        return len(text)  # nearly every text: the loop costs a microsecond a character
    length = quoted = 0
    for place, character in enumerate(text):
        length += len(character.encode())
        quoted += len(quote(character, safe=""))
        if length > MOST_BYTES or quoted > MOST_QUOTED:
            return place
    return len(text)


def _break_before(text: str, most: int) -> int:
    """Return the last place up to `most` at which the text is best parted. Not within a letter of several signs."""
    for breaks in _BREAKS:
        if ends := [found.end() for found in breaks.finditer(text, 0, most)]:
            return ends[-1]
    return next(
        (end for end in range(most, most // 2, -1) if not unicodedata.category(text[end]).startswith("M")), most
    )
