# SPDX-License-Identifier: MIT
"""A broker whose answers a test defines.  It has no slices, so it does not grant any."""
import os
import queue
import socket
import struct
import tempfile
import threading
from collections.abc import Callable

HELLO, ACQUIRE, RELEASE, RENEW, REVOKE, STATUS, LIST_SLICES, LIST_LEASES, LIST_DEVICES, LIST_ACCOUNTS = range(1, 11)
WATCH = 12
ANSWER, ITEM, STATE, END, NEWS, ERROR = 0x100, 0x200, 0x301, 0x302, 0x303, 0x3FF


def packet(kind: int, serial: int, body: bytes = b"", item: int = 0) -> bytes:
    return struct.pack("<IIQ", kind, item, serial) + body


def error(serial: int, code: int, text: str) -> bytes:
    return packet(ERROR, serial, struct.pack("<II192s", code, 0, text.encode()))


def end(serial: int, lease: int, answers: int, reason: int) -> bytes:
    return packet(END, serial, struct.pack("<QQII", lease, answers, reason, 0))


def news(kind: int, *, time: int = 0, lease: int = 0, missed: int = 0, end: int = 0, name: bytes = b"",
         reason: bytes = b"") -> bytes:
    """Of a lease and a device, all that a test does not give has a value of its own."""
    place = (0x1000, 0x2000) if lease else (0, 0)
    numbers = (2, 1 | 8, 3, 4, 5, 6, 7) if lease else (0,) * 7
    return packet(NEWS, 0, struct.pack("<QQQQQIIIIIIIIII64s16s64s192s", time, lease, *place, missed, kind, end,
                                       *numbers, 0, name, b"0000:01:00.0" if name else b"",
                                       b"me" if lease else b"", reason))


class Broker:
    """Listens at path; answers maps a type of request to what is sent for its serial and bytes."""

    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "broker")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen()
        self.answers: dict[int, Callable[[int, bytes], list[bytes]]] = {
            HELLO: lambda serial, request: [packet(HELLO + ANSWER, serial, struct.pack("<II", 2, 0))],
        }
        self.received: queue.Queue[tuple[int, int]] = queue.Queue()  # types and serials
        self.connection: socket.socket
        self.connected = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        try:
            self.connection, _ = self.listener.accept()
        except OSError:
            return
        self.connected.set()
        while True:
            try:
                request = self.connection.recv(512)
            except OSError:
                return
            if not request:
                return
            kind, _, serial = struct.unpack_from("<IIQ", request)
            self.received.put((kind, serial))
            if kind in self.answers:
                for answer in self.answers[kind](serial, request):
                    self.connection.send(answer)

    def wait(self, kind: int) -> int:
        """Waits for a request, and returns its serial."""
        while True:
            got, serial = self.received.get(timeout=30)
            if got == kind:
                return serial

    def send(self, message: bytes) -> None:
        self.connection.send(message)

    def hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        if self.connected.is_set():
            self.hang_up()
        self.thread.join(30)
        if self.connected.is_set():
            self.connection.close()
        self.listener.close()
        self.directory.cleanup()
