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

HELLO, ACQUIRE, RELEASE, RENEW, LIST_SLICES, LIST_LEASES = 1, 2, 3, 4, 5, 6
ANSWER, ITEM, EVENT, ERROR = 0x100, 0x200, 0x300, 0x3FF
LIVE, SUSPENDED, REVOKED = 0, 1, 2


class Broker:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(path)
        self.serial = 0
        self.events = []

    def send(self, kind, body=b""):
        self.serial += 1
        self.socket.send(struct.pack("<HHI", kind, 0, self.serial) + body)

    def receive(self):
        message, fds, _, _ = socket.recv_fds(self.socket, 512, 2)
        kind, _, serial = struct.unpack_from("<HHI", message)
        return kind, serial, message, fds

    def answer(self):
        while True:
            kind, serial, message, fds = self.receive()
            if kind == EVENT:
                self.events.append(struct.unpack_from("<QII", message, 8))
            elif serial != self.serial:
                for fd in fds:
                    os.close(fd)
            elif kind == ERROR:
                code, _, text = struct.unpack_from("<II192s", message, 8)
                raise RuntimeError(code, text.rstrip(b"\0").decode())
            else:
                return kind, message, fds

    def hello(self, name):
        self.send(HELLO, struct.pack("<II64s", 1, 1, name.encode()))
        return struct.unpack_from("<II", self.answer()[1], 8)

    def acquire(self, name, index=0, flags=0, seconds=0):
        self.send(ACQUIRE, struct.pack("<64sIIII", name.encode(), index, flags, seconds, 0))
        _, message, fds = self.answer()
        keys = ("lease", "offset", "length", "bar", "flags", "index", "seconds", "bdf")
        return dict(zip(keys, struct.unpack_from("<QQQIIII16s", message, 8))), fds

    def release(self, lease):
        self.send(RELEASE, struct.pack("<Q", lease))
        self.answer()

    def list(self, kind, layout):
        self.send(kind)
        items = []
        while True:
            got, message, _ = self.answer()
            if got == kind + ANSWER:
                return items
            items.append(struct.unpack_from(layout, message, 8))


number = failed = 0


def ok(true, what):
    global number, failed
    number += 1
    failed += not true
    print("ok" if true else "not ok", number, "-", what, flush=True)


def main():
    path, name, expected = sys.argv[1], sys.argv[2], int(sys.argv[3], 0)
    broker = Broker(path)
    ok(broker.hello("client.py")[0] == 1, "the broker speaks version 1")

    slices = broker.list(LIST_SLICES, "<64s16sQQIIIIII")
    ok(name.encode() in [s[0].rstrip(b"\0") for s in slices], "the slice is listed")

    lease, (dmabuf, events) = broker.acquire(name)
    memory = mmap.mmap(dmabuf, lease["length"], mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    registers = memoryview(memory).cast("I")
    ok(registers[0] == expected, "the first register has its value")
    registers[1] = 0x12345678
    ok(registers[1] == 0xEDCBA987, "the second reads as what was written, inverted")
    ok(struct.unpack("<IIQ", os.read(events, 16))[0] == LIVE, "the event fd says live")

    other = Broker(path)
    other.hello("other")
    try:
        other.acquire(name)
        ok(False, "a second client does not get it")
    except RuntimeError as error:
        ok(error.args[0] == 6, "a second client does not get it")

    leases = broker.list(LIST_LEASES, "<Q64s16s64sQQIIIIIIII")
    ok([item[0] for item in leases] == [lease["lease"]], "the lease is listed")

    broker.release(lease["lease"])
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

    lease, fds = other.acquire(name, seconds=1)
    ok(lease["seconds"] == 1, "the other client gets it now, for a second")
    _, _, message, _ = other.receive()
    ok(struct.unpack_from("<QII", message, 8) == (lease["lease"], REVOKED, 2), "and is told when that is over")
    print(f"1..{number}")
    sys.exit(failed != 0)


main()
