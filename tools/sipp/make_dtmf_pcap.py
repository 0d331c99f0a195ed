#!/usr/bin/env python3
"""Write a capture that sipp's play_pcap_audio can send: RFC 4733 telephone-events for the given keys.

usage: make_dtmf_pcap.py OUT.pcap KEYS [PAYLOAD_TYPE]

The payload type must be the one the CALLER offered in its INVITE (RFC 3264): PJSIP 2.15 offers 120, many others 101.
Keys: 0-9 * # A-D. 160 ms a key, 200 ms between keys, one RTP stream with rising sequence numbers.
"""

import struct
import sys
from pathlib import Path

EVENTS = {k: i for i, k in enumerate("0123456789*#ABCD")}


def frame(rtp: bytes) -> bytes:
    udp = struct.pack("!HHHH", 6000, 6000, 8 + len(rtp), 0) + rtp
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
    return b"\0" * 12 + b"\x08\0" + ip + udp


def main(out: str, keys: str, payload_type: int = 120) -> None:
    packets, seq, start_ms = [], 1000, 0
    for key in keys:
        stamp = 160 * (start_ms // 20) + 8000
        for step in range(1, 12):  # 8 running packets, then the end packet three times
            end = step > 8
            duration = min(step, 8) * 160
            marker = 0x80 if step == 1 else 0
            rtp = struct.pack("!BBHII", 0x80, marker | payload_type, seq, stamp, 0x1234ABCD)
            rtp += struct.pack("!BBH", EVENTS[key], (0x80 if end else 0) | 10, duration)
            packets.append((start_ms + 20 * min(step, 9), frame(rtp)))
            seq += 1
        start_ms += 360
    with Path(out).open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for ms, data in packets:
            file.write(struct.pack("<IIII", ms // 1000, ms % 1000 * 1000, len(data), len(data)) + data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 120)
