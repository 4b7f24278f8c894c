#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A client of the broker, written from docs/protocol.md, with nothing but the
standard library.  Prints TAP.

    client.py SOCKET SLICE ID    SLICE's first register reads as ID
"""
import mmap
import os
import select
import socket
import struct
import sys

VERSION = 2
HELLO, ACQUIRE, RELEASE, RENEW, REVOKE, STATUS = 1, 2, 3, 4, 5, 6
LIST_SLICES, LIST_LEASES = 7, 8
ANSWER, ITEM, GRANT, STATE, END, ERROR = 0x100, 0x200, 0x300, 0x301, 0x302, 0x3FF
LIVE, SUSPENDED, REVOKED = 0, 1, 2
RELEASED, EXPIRED, BUSY, TIMEOUT = 1, 2, 8, 9
ERROR_BUSY = 6
ANY = 0xFFFFFFFF
LIMIT = 60  # seconds that the broker may take to answer


class Refused(Exception):
    """args: the code of an error or the reason of an end, and a text."""


def text(field):
    return field.partition(b"\0")[0].decode()


class Broker:
    def __init__(self, path, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(LIMIT)
        self.socket.connect(path)
        self.serial = 0
        self.leases = set()
        self.ends = {}
        serial = self.send(HELLO, struct.pack("<II64s", VERSION, VERSION, name.encode()))
        self.version, self.admin = struct.unpack_from("<II", self.answer(serial)[1], 16)

    def send(self, kind, body=b""):
        self.serial += 1
        self.socket.send(struct.pack("<IIQ", kind, 0, self.serial) + body)
        return self.serial

    def receive(self):
        """The next message: type, serial, bytes filled up with zeros, fds."""
        message, fds, _, _ = socket.recv_fds(self.socket, 512, 2)
        if not message:
            raise ConnectionError("the broker has closed the connection")
        kind, _, serial = struct.unpack_from("<IIQ", message)
        return kind, serial, message.ljust(512, b"\0"), fds

    def keep(self, serial, kind, message, fds):
        """What a message means for leases that are held or unknown."""
        for fd in fds:
            os.close(fd)
        if kind not in (GRANT, STATE, END, ACQUIRE + ANSWER):
            return
        (lease,) = struct.unpack_from("<Q", message, 16)
        if kind == END:
            self.leases.discard(lease)
            self.ends[lease] = struct.unpack_from("<I", message, 32)[0]
        elif lease not in self.leases:
            self.send(RELEASE, struct.pack("<Q", lease))

    def answer(self, wanted):
        """The next message that answers a request; others are kept or dropped."""
        while True:
            kind, serial, message, fds = self.receive()
            answers = serial
            if kind == END:
                self.keep(serial, kind, message, fds)
                answers = struct.unpack_from("<Q", message, 24)[0]
            elif serial != wanted or kind == STATE:
                self.keep(serial, kind, message, fds)
                continue
            if answers != wanted and not (kind == END and serial == wanted):
                continue
            if kind == ERROR:
                raise Refused(struct.unpack_from("<I", message, 16)[0], text(message[24:216]))
            return kind, message, fds

    def acquire_start(self, name, index=0, flags=0, seconds=0, wait_ms=0):
        return self.send(ACQUIRE, struct.pack("<64sIIII", name.encode(), index, flags, seconds, wait_ms))

    def acquire_end(self, serial):
        while True:
            kind, message, fds = self.answer(serial)
            if kind == END:
                raise Refused(struct.unpack_from("<I", message, 32)[0], "not granted")
            if kind == GRANT:
                keys = ("lease", "offset", "length", "bar", "flags", "index", "seconds", "bdf")
                lease = dict(zip(keys, struct.unpack_from("<QQQIIII16s", message, 16)))
                self.leases.add(lease["lease"])
                return lease, fds
            # The request waits.

    def acquire(self, *args, **kwargs):
        return self.acquire_end(self.acquire_start(*args, **kwargs))

    def release(self, lease):
        self.answer(self.send(RELEASE, struct.pack("<Q", lease)))

    def list(self, kind, layout):
        serial = self.send(kind)
        items = []
        while True:
            got, message, _ = self.answer(serial)
            if got == kind + ANSWER:
                return items
            # The list begins again if the broker was restarted.
            del items[struct.unpack_from("<I", message, 4)[0]:]
            items.append(struct.unpack_from(layout, message, 16))

    def wait_end(self, lease):
        while lease not in self.ends:
            kind, serial, message, fds = self.receive()
            self.keep(serial, kind, message, fds)
        return self.ends[lease]


number = failed = 0


def ok(true, what):
    global number, failed
    number += 1
    failed += not true
    print("ok" if true else "not ok", number, "-", what, flush=True)


def refusal(fn, *args, **kwargs):
    try:
        fn(*args, **kwargs)
    except Refused as refused:
        return refused.args[0]
    return None


def main():
    path, name, expected = sys.argv[1], sys.argv[2], int(sys.argv[3], 0)
    broker = Broker(path, "client.py")
    ok(broker.version == VERSION, "the broker speaks version 2")

    slices = broker.list(LIST_SLICES, "<64s16sQQIIIIIII")
    ok(name in [text(s[0]) for s in slices], "the slice is listed")

    lease, (dmabuf, events) = broker.acquire(name)
    memory = mmap.mmap(dmabuf, lease["length"], mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    registers = memoryview(memory).cast("I")
    ok(registers[0] == expected, "the first register has its value")
    registers[1] = 0x12345678
    ok(registers[1] == 0xEDCBA987, "the second reads as what was written, inverted")
    ok(struct.unpack("<IIQ", os.read(events, 16))[0] == LIVE, "the event fd says live")

    other = Broker(path, "other")
    ok(refusal(other.acquire, name) == ERROR_BUSY, "a second client does not get it")
    ok(refusal(other.acquire, name, wait_ms=20) == TIMEOUT, "nor if it waits for a moment")
    waiting = other.acquire_start(name, seconds=1, wait_ms=LIMIT * 1000)

    leases = broker.list(LIST_LEASES, "<Q64s16s64sQQIIIIIIIIII")
    ok(lease["lease"] in [item[0] for item in leases], "the lease is listed")

    broker.release(lease["lease"])
    ok(broker.ends[lease["lease"]] == RELEASED, "it is released")
    poll = select.poll()
    poll.register(events, select.POLLIN)
    ok(poll.poll(0)[0][1] & select.POLLHUP, "after release the event fd hangs up")
    ok(struct.unpack("<IIQ", os.read(events, 16))[0] == REVOKED, "and says revoked")
    ok(os.read(events, 16) == b"", "and is at its end")
    child = os.fork()
    if not child:
        registers[0]
        os._exit(0)
    ok(os.WTERMSIG(os.waitpid(child, 0)[1]) == 7, "an access gets SIGBUS")

    lease, fds = other.acquire_end(waiting)
    ok(lease["seconds"] == 1, "the client that waits gets it now, for a second")
    ok(other.wait_end(lease["lease"]) == EXPIRED, "and is notified when that is over")
    print(f"1..{number}")
    sys.exit(failed != 0)


main()
