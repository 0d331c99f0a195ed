"""Datagrams that are sent and received without giving the interpreter away. Linux, IPv4.

Python's own calls let other threads run with each packet, and get their turn back only when those pause. A thread that
sends two hundred packets in a row would wait two hundred times for a loop that sets up calls. These calls don't wait in
the kernel, so nobody has to run meanwhile.
"""

import ctypes
import socket
import struct

# Unlike CDLL it keeps the GIL.
_libc = ctypes.PyDLL(None)
_sendto, _recvfrom = _libc.sendto, _libc.recvfrom
_sendto.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
_sendto.restype = _recvfrom.restype = ctypes.c_ssize_t
_recvfrom.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
# Of a struct sockaddr_in, and of that what tells one end from another: family, port and host.
_SIZE, _NAMED = 16, 8


def address(host: str, port: int) -> bytes:
    """Return an address as the kernel has it."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


def is_same(one: bytes, other: bytes) -> bool:
    """Tell whether two addresses name the same end."""
    return one[:_NAMED] == other[:_NAMED]


def send(descriptor: int, packet: bytes, to: bytes) -> None:
    """Send a packet. One that the kernel does not take is lost: a port that nobody has, a full buffer."""
    _sendto(descriptor, packet, len(packet), socket.MSG_DONTWAIT, to, _SIZE)


class Receiver:
    """Receives packets of up to so many bytes, in one thread."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._packet = ctypes.create_string_buffer(longest)
        self._sender = ctypes.create_string_buffer(_SIZE)
        self._size = ctypes.c_uint()

    def receive(self, descriptor: int) -> tuple[bytes, bytes] | None:
        """Return a packet and its sender's address; None where none has come."""
        self._size.value = _SIZE
        size = ctypes.byref(self._size)
        count = _recvfrom(descriptor, self._packet, self._longest, socket.MSG_DONTWAIT, self._sender, size)
        if count < 0:
            return None
        return ctypes.string_at(self._packet, count), self._sender.raw
