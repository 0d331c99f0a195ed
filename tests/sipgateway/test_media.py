"""RTP: what leaves each 20 ms, and keys in what comes."""

import socket
import struct
import threading

import pytest

from sipgateway import media, sounds
from sipgateway.media import Line, Media
from sipgateway.session_descriptions import PCMA, PCMU, Remote


class Callee:
    """The far end of a line."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(60)
        self.port = self.socket.getsockname()[1]

    def remote(self, codec=PCMU, keys=96):
        return Remote("127.0.0.1", self.port, codec, keys)

    def hears(self):
        packet = self.socket.recv(2048)
        flags, kind, sequence, stamp, source = struct.unpack("!BBHII", packet[:12])
        assert flags == 0x80
        return kind, sequence, stamp, source, packet[12:]

    def sends(self, line, packet):
        self.socket.sendto(packet, ("127.0.0.1", line.port))
        line.socket.setblocking(True)
        line.socket.recv(1, socket.MSG_PEEK)  # it has come
        line.socket.setblocking(False)
        line.hear()


@pytest.fixture
def callee():
    made = Callee()
    yield made
    made.socket.close()


class HeardLine(Line):
    """A line that keeps the keys."""

    def __init__(self):
        self.keys: list[str] = []
        super().__init__("127.0.0.1", self.keys.append)


@pytest.fixture
def line():
    made = HeardLine()
    yield made
    made.socket.close()


def event(code, stamp, kind=96, *, ends=False, flags=0x80, sources=b""):
    return struct.pack("!BBHII", flags, kind, 1, stamp, 7) + sources + struct.pack("!BBH", code, 0x80 * ends, 160)


def test_a_sound_leaves_in_frames_with_silence_around_it(line, callee):
    ended = []
    line.lead_to(callee.remote())
    line.tick()
    line.play(b"a" * 160 + b"b" * 40, lambda: ended.append(True))
    line.tick()
    assert not ended
    line.tick()
    assert ended == [True]
    line.tick()
    packets = [callee.hears() for _ in range(4)]
    assert [packet[4] for packet in packets] == [
        *(sounds.SILENCE * 160, b"a" * 160, b"b" * 40 + sounds.SILENCE * 120, sounds.SILENCE * 160)
    ]
    first = packets[0]
    # The marker is on the first packet alone.
    assert [packet[0] for packet in packets] == [0x80 | PCMU, PCMU, PCMU, PCMU]
    assert [packet[1] for packet in packets] == [(first[1] + at) % 2**16 for at in range(4)]
    assert [packet[2] for packet in packets] == [(first[2] + 160 * at) % 2**32 for at in range(4)]
    assert len({packet[3] for packet in packets}) == 1


def test_a_callee_gets_the_code_that_it_chose(line, callee):
    line.lead_to(callee.remote(PCMA))
    line.play(b"\x80\x00" * 80, lambda: None)
    line.tick()
    assert callee.hears()[4] == b"\xaa\x2a" * 80


def test_what_is_hushed_is_not_said_and_its_end_not_told(line, callee):
    line.lead_to(callee.remote())
    line.play(b"a" * 160, lambda: pytest.fail("it was hushed"))
    line.hush()
    line.tick()
    assert callee.hears()[4] == sounds.SILENCE * 160


def test_nothing_leaves_before_the_answer_and_after_the_end(line, callee):
    line.tick()
    line.lead_to(callee.remote())
    line.close()
    line.tick()
    callee.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        callee.socket.recv(2048)


def test_a_key_counts_once_however_many_packets_tell_of_it(line, callee):
    line.lead_to(callee.remote())
    for stamp, code in ((1000, 5), (3000, 5), (5000, 10), (7000, 11)):
        for at in range(6):
            callee.sends(line, event(code, stamp, ends=at > 2))
    assert "".join(line.keys) == "55*#"


def test_a_key_whose_first_packets_were_lost_counts(line, callee):
    line.lead_to(callee.remote())
    callee.sends(line, event(1, 1000, ends=True))
    assert line.keys == ["1"]


def test_keys_may_come_with_our_type_or_with_the_callees_own(line, callee):
    line.lead_to(callee.remote(keys=96))
    for kind, stamp in ((96, 1), (101, 2), (0x80 | 96, 3), (97, 4), (PCMU, 5)):
        callee.sends(line, event(1, stamp, kind))
    assert line.keys == ["1", "1", "1"]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x80",
        event(1, 1)[:14],
        event(16, 1),  # a flash of the hook
        event(12, 1),  # A
        event(1, 1, flags=0x40),  # another version
        event(1, 1, flags=0x90),  # with an extension
        event(1, 1, flags=0x8F),  # says that fifteen sources follow
    ],
)
def test_what_is_no_key_is_none(line, callee, packet):
    line.lead_to(callee.remote())
    callee.sends(line, packet or b"\0")
    assert line.keys == []


def test_a_key_behind_contributing_sources_is_found(line, callee):
    line.lead_to(callee.remote())
    callee.sends(line, event(3, 1, flags=0x82, sources=b"\0" * 8))
    assert line.keys == ["3"]


def test_nobody_else_presses_keys(line, callee):
    stranger = Callee()
    line.lead_to(callee.remote())
    callee.sends(line, event(1, 1))
    stranger.sends(line, event(2, 2))
    stranger.socket.close()
    assert line.keys == ["1"]


def test_what_sent_before_the_answer_takes_no_keys_away_from_the_callee(line, callee):
    ringing = Callee()
    ringing.sends(line, event(0, 1, kind=PCMU))
    line.lead_to(callee.remote())
    ringing.sends(line, event(0, 2, kind=PCMU))  # what was still on its way
    ringing.socket.close()
    callee.sends(line, event(1, 3))
    assert line.keys == ["1"]


def test_keys_are_heard_from_where_the_sound_was_moved_to(line, callee):
    line.lead_to(callee.remote())
    callee.sends(line, event(1, 1))
    moved = Callee()
    line.lead_to(moved.remote())
    moved.sends(line, event(2, 2))
    moved.socket.close()
    assert line.keys == ["1", "2"]


class Pair:
    """Two lines that hear each other, and who is at their far ends."""

    def __init__(self, *remotes):
        self.lines = [HeardLine(), HeardLine()]
        self.callees = [Callee(), Callee()]
        for line, callee, remote in zip(self.lines, self.callees, remotes, strict=True):
            line.lead_to(callee.remote(**remote))
        Media().connect(*self.lines)

    def close(self):
        for line, callee in zip(self.lines, self.callees, strict=True):
            line.socket.close()
            callee.socket.close()


@pytest.fixture
def pair():
    made = []

    def make(one, other):
        made.append(Pair(one, other))
        return made[-1]

    yield make
    for one in made:
        one.close()


def sound_packet(sequence, sound, kind):
    return struct.pack("!BBHII", 0x80, kind, sequence, 160 * sequence, 7) + sound


@pytest.mark.parametrize(("said", "heard"), [(PCMU, PCMU), (PCMU, PCMA), (PCMA, PCMU), (PCMA, PCMA)])
def test_two_lines_that_are_connected_hear_each_other_each_in_its_code(pair, said, heard):
    both = pair({"codec": said}, {"codec": heard})
    loud = b"\x80\x00" * 80
    spoken = sounds.alaw_of_ulaw(loud) if said == PCMA else loud
    expected = sounds.alaw_of_ulaw(loud) if heard == PCMA else loud
    one, other = both.lines
    for sequence in range(2):
        both.callees[0].sends(one, sound_packet(sequence, spoken, said))
    other.tick()
    one.tick()
    kind, _, _, _, sound = both.callees[1].hears()
    assert (kind & 0x7F, sound) == (heard, expected)
    assert set(both.callees[0].hears()[4]) == {0xD5 if said == PCMA else 0xFF}
    Media().part(one, other)
    both.callees[0].sends(one, sound_packet(3, spoken, said))
    other.tick()
    assert set(both.callees[1].hears()[4]) == {0xD5 if heard == PCMA else 0xFF}


class Taker:
    """A recorder that keeps what it is given."""

    def __init__(self):
        self.heard, self.said, self.is_over = [], [], False

    def put(self, packet):
        self.heard.append(packet[12:])

    def tick(self, *said):
        self.said += said
        return self.is_over


def test_what_is_heard_and_said_is_given_to_the_recorders_of_the_call_and_of_a_step(line, callee):
    of_call, of_step, ended = Taker(), Taker(), []
    line.lead_to(callee.remote())
    line.record_call(of_call)
    line.record(of_step, lambda: ended.append(True))
    line.play(b"a" * 320, lambda: None)
    callee.sends(line, sound_packet(1, b"b" * 160, PCMU))
    line.tick()
    assert (of_call.heard, of_step.heard, of_call.said, ended) == ([b"b" * 160], [b"b" * 160], [b"a" * 160], [])
    of_step.is_over = True
    line.tick()
    callee.sends(line, sound_packet(2, b"c" * 160, PCMU))
    line.tick()
    assert (ended, of_step.heard, of_call.heard) == ([True], [b"b" * 160], [b"b" * 160, b"c" * 160])
    line.stop_recording_call()
    line.tick()
    assert len(of_call.said) == 3


def test_a_call_is_recorded_while_its_callee_talks_to_somebody_else(pair):
    both, recorder = pair({}, {}), Taker()
    both.lines[0].record_call(recorder)
    for sequence in range(2):
        for line, callee, sound in zip(both.lines, both.callees, (b"a" * 160, b"b" * 160), strict=True):
            callee.sends(line, sound_packet(sequence, sound, PCMU))
    for line in both.lines:
        line.tick()
    assert (recorder.heard, recorder.said) == ([b"a" * 160] * 2, [b"b" * 160])
    assert both.callees[1].hears()[4] == b"a" * 160  # who hears it as before


def test_a_key_is_passed_on_as_an_event_with_one_time_stamp(pair):
    both = pair({}, {"keys": 99})
    line, callee = both.lines[1], both.callees[1]
    line.press("#")
    for _ in range(10):
        line.tick()
    packets = [callee.hears() for _ in range(10)]
    assert [kind & 0x7F for kind, *_ in packets] == [99] * 8 + [PCMU] * 2
    assert [kind >> 7 for kind, *_ in packets] == [1] + [0] * 7 + [1, 0]
    first = packets[0]
    assert {stamp for kind, _, stamp, _, _ in packets[:8]} == {first[2]}
    assert [packet[1] for packet in packets] == [(first[1] + at) % 2**16 for at in range(10)]
    assert packets[8][2] == (first[2] + 8 * 160) % 2**32
    assert packets[0][4][0] == media.KEYS.index("#")


def test_a_far_end_that_takes_no_events_hears_the_tone_of_a_key(pair):
    both = pair({}, {"keys": None})
    line, callee = both.lines[1], both.callees[1]
    line.press("5")
    for _ in range(5):
        line.tick()
    assert b"".join(callee.hears()[4] for _ in range(5)) == sounds.key_tone("5")[:800]


def test_the_thread_serves_lines_until_they_are_closed(callee, monkeypatch):
    monkeypatch.setattr(media, "TICK", 0.001)
    made = Media()
    keys = []

    def take(key):
        keys.append(key)
        made.close(served)
        made.stop()

    served = made.open("127.0.0.1", take)
    served.lead_to(callee.remote())
    callee.socket.sendto(event(4, 1), ("127.0.0.1", served.port))
    made.run()
    assert keys == ["4"]
    assert served.socket.fileno() == -1


def test_lines_share_the_turns_evenly_and_each_is_served(monkeypatch):
    monkeypatch.setattr(media, "TICK", 0.001)
    made, callees = Media(), [Callee() for _ in range(7)]
    lines = [made.open("127.0.0.1", lambda key: None) for _ in callees]
    assert sorted(map(len, made._groups)) == [1, 1, 1, 2, 2]
    for line, callee in zip(lines, callees, strict=True):
        line.lead_to(callee.remote())
    thread = threading.Thread(target=made.run)
    thread.start()
    heard = [[callee.hears()[1] for _ in range(3)] for callee in callees]
    for line in lines:
        made.close(line)
    made.stop()
    thread.join()
    # One packet after the other, none left out.
    assert all(heard[at][2] - heard[at][0] in {2, 2 - 2**16} for at in range(7))
    assert (made._lines, sum(map(len, made._groups))) == ({}, 0)
    for callee in callees:
        callee.socket.close()
