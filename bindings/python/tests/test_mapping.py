# SPDX-License-Identifier: MIT
"""Mappings of a file in memory.  A truncated part faults like a revoked slice."""
import faulthandler
import mmap
import os
import signal
import subprocess
import sys
import threading
import unittest
from collections.abc import Callable

import vfio_dmabuf
from vfio_dmabuf import _native

PAGE = mmap.PAGESIZE


class Memory:
    def __init__(self, pages: int = 1, writable: bool = True) -> None:
        self.fd = os.memfd_create("registers")
        os.ftruncate(self.fd, pages * PAGE)
        self.mapping = _native._map_fd(self.fd, pages * PAGE, writable)

    def revoke(self) -> None:
        os.ftruncate(self.fd, 0)

    def __del__(self) -> None:
        os.close(self.fd)


def mapped(fd: int) -> int:
    """How many mappings this process has of a file."""
    inode = os.fstat(fd).st_ino
    with open("/proc/self/maps", encoding="ascii") as maps:
        return sum(int(line.split()[4]) == inode for line in maps)


class Accesses(unittest.TestCase):
    def setUp(self) -> None:
        self.memory = Memory()
        self.mapping = self.memory.mapping

    def test_widths(self) -> None:
        m = self.mapping
        m.write64(0, 0x1122334455667788)
        self.assertEqual(m.read8(7), 0x11)
        self.assertEqual(m.read16(4), 0x3344)
        self.assertEqual(m.read32(0), 0x55667788)
        m.write8(0, 0xaa)
        m.write16(2, 0xbbbb)
        m.write32(4, 0xcccccccc)
        self.assertEqual(m.read64(0), 0xccccccccbbbb77aa)
        m.write64(PAGE - 8, 2**64 - 1)
        self.assertEqual(m.read64(PAGE - 8), 2**64 - 1)
        m.flush()

    def test_bounds(self) -> None:
        m = self.mapping
        for offset in PAGE, PAGE - 2, -1, -4, 2**63, 2**64, 2**64 - 4, -2**80:
            with self.subTest(offset=offset):
                with self.assertRaises(IndexError):
                    m.read32(offset)
                with self.assertRaises(IndexError):
                    m.write32(offset, 0)
                with self.assertRaises(IndexError):
                    m.read(offset, 4)
                with self.assertRaises(IndexError):
                    m.write(offset, b"1234")
                with self.assertRaises(IndexError):
                    m.readinto(offset, bytearray(4))
        with self.assertRaises(IndexError):
            m.read(0, PAGE + 1)
        with self.assertRaises(IndexError):
            m.read(8, 2**64 - 1)

    def test_alignment(self) -> None:
        m = self.mapping
        for read, write, bad in ((m.read16, m.write16, 1), (m.read32, m.write32, 2), (m.read64, m.write64, 4)):
            with self.assertRaises(ValueError):
                read(bad)
            with self.assertRaises(ValueError):
                write(bad, 0)

    def test_values(self) -> None:
        m = self.mapping
        for write, bits in ((m.write8, 8), (m.write16, 16), (m.write32, 32), (m.write64, 64)):
            write(0, 2**bits - 1)
            for value in 2**bits, -1, 2**80:
                with self.assertRaises(OverflowError):
                    write(0, value)
        for bad in 1.0, "1", None:
            with self.assertRaises(TypeError):
                m.write32(0, bad)  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                m.read32(bad)  # type: ignore[arg-type]
        with self.assertRaises(TypeError):
            m.write32(0)  # type: ignore[call-arg]

    def test_blocks(self) -> None:
        m = self.mapping
        data = bytes(range(256)) * (PAGE // 256)
        for offset, length in ((0, PAGE), (1, 30), (7, 9), (8, 8), (5, 2), (16, 0), (PAGE, 0)):
            with self.subTest(offset=offset, length=length):
                m.write(0, bytes(PAGE))
                m.write(offset, data[:length])
                self.assertEqual(m.read(0, PAGE), (bytes(offset) + data[:length]).ljust(PAGE, b"\0"))
                self.assertEqual(m.read(offset, length), data[:length])
                buffer = bytearray(length + 2)
                m.readinto(offset, memoryview(buffer)[1:length + 1])
                self.assertEqual(buffer, b"\0" + data[:length] + b"\0")
        with self.assertRaises(BufferError):
            m.readinto(0, b"1234")

    def test_blocks_of_a_width(self) -> None:
        m = self.mapping
        data = bytes(range(1, 129))
        for width in 1, 2, 4, 8, 64:
            with self.subTest(width=width):
                m.write(0, bytes(PAGE))
                m.write(width, data, width)
                self.assertEqual(m.read(0, PAGE), (bytes(width) + data).ljust(PAGE, b"\0"))
                if width > 8:
                    continue
                self.assertEqual(m.read(width, 128, width), data)
                buffer = bytearray(128)
                m.readinto(width, buffer, width)
                self.assertEqual(buffer, data)
        for offset, length, width in ((0, 64, 3), (0, 64, 16), (2, 64, 4), (0, 6, 4), (0, 64, 2**40)):
            with self.subTest(offset=offset, length=length, width=width):
                with self.assertRaises(ValueError):
                    m.read(offset, length, width)
                with self.assertRaises(ValueError):
                    m.write(offset, bytes(length), width)
        with self.assertRaises(ValueError):
            m.read(0, 64, 64)
        with self.assertRaises(TypeError):
            m.write(0, b"", 1, 1)  # type: ignore[call-arg]

    def test_no_memoryview(self) -> None:
        with self.assertRaises(TypeError):
            memoryview(self.mapping)  # type: ignore[arg-type]

    def test_read_only(self) -> None:
        m = Memory(writable=False).mapping
        self.assertFalse(m.writable)
        self.assertEqual(m.read32(0), 0)
        for write in m.write8, m.write16, m.write32, m.write64:
            with self.assertRaises(PermissionError):
                write(0, 0)
        with self.assertRaises(vfio_dmabuf.NotAllowedError):
            m.write(0, b"x")

    def test_cannot_be_made(self) -> None:
        with self.assertRaises(TypeError):
            _native.Mapping()
        with self.assertRaises(TypeError):
            type("Sub", (_native.Mapping,), {})


class Closing(unittest.TestCase):
    def test_closed(self) -> None:
        memory = Memory()
        m = memory.mapping
        self.assertEqual(mapped(memory.fd), 1)
        with m:
            m.write32(0, 1)
        self.assertTrue(m.closed)
        self.assertEqual(mapped(memory.fd), 0)
        m.close()
        for call in (lambda: m.read32(0), lambda: m.write32(0, 0), lambda: m.read(0, 1), m.flush, m.__enter__):
            with self.assertRaises(ValueError):
                call()

    def test_collected(self) -> None:
        memory = Memory()
        del memory.mapping
        self.assertEqual(mapped(memory.fd), 0)

    def test_closed_while_it_is_read(self) -> None:
        """Until the thread has ended its access, the memory stays."""
        memory = Memory(pages=16384)
        buffer = bytearray(16384 * PAGE)
        reading = threading.Event()
        errors = []

        def read() -> None:
            try:
                reading.set()
                memory.mapping.readinto(0, buffer)
            except Exception as error:
                errors.append(error)

        for _ in range(100):
            thread = threading.Thread(target=read)
            reading.clear()
            thread.start()
            reading.wait()
            # When this thread runs, the other one is inside, without the interpreter's lock.
            memory.mapping.close()
            inside = mapped(memory.fd)
            thread.join()
            self.assertEqual(mapped(memory.fd), 0)
            if inside:
                break
            errors.clear()
            memory.mapping = _native._map_fd(memory.fd, 16384 * PAGE, True)
        self.assertEqual((inside, errors), (1, []))


class Guard(unittest.TestCase):
    def check_unreachable(self, m: vfio_dmabuf.Mapping) -> None:
        calls: list[Callable[[], object]] = [
            lambda: m.read8(0), lambda: m.read16(0), lambda: m.read32(0), lambda: m.read64(0),
            lambda: m.write8(0, 0), lambda: m.write16(0, 0), lambda: m.write32(0, 0), lambda: m.write64(0, 0),
            lambda: m.read(0, 100), lambda: m.read(1, 3), lambda: m.write(0, bytes(100)), lambda: m.write(1, b"x"),
            lambda: m.readinto(0, bytearray(8))]
        for call in calls:
            with self.assertRaises(vfio_dmabuf.UnreachableError) as caught:
                call()
            self.assertIn("revoked", str(caught.exception))

    def revoked(self) -> vfio_dmabuf.Mapping:
        memory = Memory()
        memory.mapping.write32(0, 7)
        memory.revoke()
        return memory.mapping

    def test_raises(self) -> None:
        self.check_unreachable(self.revoked())

    def test_faulthandler_comes_later(self) -> None:
        m = self.revoked()
        self.check_unreachable(m)
        faulthandler.enable()
        try:
            self.check_unreachable(m)
        finally:
            faulthandler.disable()
        self.check_unreachable(m)

    def test_handler_of_the_program(self) -> None:
        m = self.revoked()
        heard = []
        signal.signal(signal.SIGBUS, lambda number, frame: heard.append(number))
        try:
            self.check_unreachable(m)
            self.assertEqual(heard, [])
            signal.raise_signal(signal.SIGBUS)
            self.assertEqual(heard, [signal.SIGBUS])
            self.check_unreachable(m)
        finally:
            signal.signal(signal.SIGBUS, signal.SIG_DFL)

    def test_blocked(self) -> None:
        m = self.revoked()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGBUS})
        try:
            self.check_unreachable(m)
            self.assertIn(signal.SIGBUS, signal.pthread_sigmask(signal.SIG_BLOCK, []))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def test_threads(self) -> None:
        m = self.revoked()
        failures = []

        def check() -> None:
            try:
                for _ in range(200):
                    self.check_unreachable(m)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=check) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


# Faults of other code must have the same effect as without this module.
FAULT = """
import faulthandler, mmap, os, signal, sys
from vfio_dmabuf import _native
fd = os.memfd_create("x")
os.ftruncate(fd, 4096)
plain = mmap.mmap(fd, 4096)
def guard():
    _native._map_fd(fd, 4096, True).read32(0)
for word in sys.argv[1:]:
    if word == "guard": guard()
    elif word == "faulthandler": faulthandler.enable()
    elif word == "kill": os.kill(os.getpid(), signal.SIGBUS)
    elif word == "fault":
        os.ftruncate(fd, 0)
        plain[0]
print("survived")
"""


class OthersFaults(unittest.TestCase):
    def test_ends_the_process(self) -> None:
        for words in ("fault", "guard fault", "faulthandler guard fault", "guard faulthandler fault",
                      "guard faulthandler guard fault", "kill", "guard kill", "faulthandler guard kill",
                      "guard faulthandler kill", "guard faulthandler guard kill"):
            with self.subTest(words):
                done = subprocess.run([sys.executable, "-c", FAULT, *words.split()], capture_output=True,
                                      text=True, timeout=60)
                self.assertEqual(done.returncode, -signal.SIGBUS, done.stderr)
                self.assertEqual("Bus error" in done.stderr, "faulthandler" in words, done.stderr)
                self.assertLessEqual(done.stderr.count("Bus error"), 1)


if __name__ == "__main__":
    unittest.main()
