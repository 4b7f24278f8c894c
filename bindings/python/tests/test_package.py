# SPDX-License-Identifier: MIT
"""The package as a whole: names, constants, documentation."""
import enum
import errno
import fcntl
import inspect
import os
import socket
import unittest

import vfio_dmabuf
from vfio_dmabuf import _errors, _native, aio

HEADER = os.path.join(os.path.dirname(__file__), "../../../include/vfio-dmabuf.h")


class Package(unittest.TestCase):
    def test_all(self) -> None:
        public = {name for name, value in vars(vfio_dmabuf).items()
                  if not name.startswith("_") and not inspect.ismodule(value)}
        self.assertEqual(set(vfio_dmabuf.__all__), public)

    def test_everything_is_documented(self) -> None:
        for module in vfio_dmabuf, aio:
            for name in module.__all__:
                value = getattr(module, name)
                if not inspect.isclass(value):
                    continue
                self.assertTrue(value.__doc__, name)
                for member, thing in vars(value).items():
                    if member.startswith("_") or not (inspect.isroutine(thing) or isinstance(thing, property)):
                        continue
                    self.assertTrue(inspect.getdoc(thing), f"{name}.{member}")

    def test_enumerations_are_complete(self) -> None:
        """Every constant of the header that _native has is in an enumeration."""
        for prefix, kind in (("CAP_", vfio_dmabuf.Capability), ("FLAG_", vfio_dmabuf.Flag),
                             ("STATE_", vfio_dmabuf.State), ("END_", vfio_dmabuf.End),
                             ("DEVICE_", vfio_dmabuf.DevicePhase), ("LEASE_", vfio_dmabuf.LeasePhase),
                             ("KIND_", vfio_dmabuf.Kind), ("NEWS_", vfio_dmabuf.NewsType)):
            values = {value for name, value in vars(_native).items() if name.startswith(prefix)}
            assert issubclass(kind, enum.Enum)
            self.assertEqual({member.value for member in kind}, values)
            self.assertEqual(len(kind), len(values))

    def test_native_has_the_headers_constants(self) -> None:
        """_native has all constants of these groups from <vfio-dmabuf.h>."""
        missing = []
        with open(HEADER, encoding="utf-8") as header:
            for line in header:
                words = line.replace(",", " ").split()
                name = words[1] if words[:1] == ["#define"] and len(words) > 2 else words[0] if words else ""
                prefixes = ("VDB_CAP_", "VDB_FLAG_", "VDB_STATE_", "VDB_END_", "VDB_DEVICE_", "VDB_LEASE_",
                            "VDB_KIND_", "VDB_NEWS_")
                if name.startswith(prefixes) and not hasattr(_native, name[4:]):
                    missing.append(name)
        self.assertEqual(missing, [])

    def test_errors(self) -> None:
        for number in errno.errorcode:
            made = _errors.make(number, "read", "")
            self.assertIsInstance(made, vfio_dmabuf.Error)
            self.assertEqual(made.errno, number)
            self.assertTrue(made.strerror)
            # Programs that do not know this package catch it like an exception of open().
            usual = type(OSError(number, ""))
            if number in (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.EAGAIN):
                self.assertIsInstance(made, usual)
        self.assertEqual(_errors.make(errno.EBUSY, "read", "words").strerror, "words")

    def test_bdf(self) -> None:
        self.assertEqual(vfio_dmabuf.parse_bdf("01:00.0"), "0000:01:00.0")
        for bad in "", "nonsense", "0000:01:00.8":
            with self.assertRaises(ValueError):
                vfio_dmabuf.parse_bdf(bad)


class Fds(unittest.TestCase):
    """Each fd is closed once, and the caller's fds are never closed."""

    def fds(self) -> set[str]:
        return set(os.listdir("/proc/self/fd"))

    def test_failures_leak_nothing(self) -> None:
        before = self.fds()
        with open("/dev/null", "rb") as null:
            for call in (lambda: vfio_dmabuf.Device.from_fd(null),
                         lambda: vfio_dmabuf.Device.from_fd(null.fileno()),
                         lambda: vfio_dmabuf.Slice.from_fd(null.fileno(), bar=0, offset=0),
                         lambda: vfio_dmabuf.Slice.from_fd(null.fileno(), event_fd=null.fileno(), bar=0, offset=0)):
                with self.assertRaises(vfio_dmabuf.Error):
                    call()
            null.read()
        self.assertEqual(self.fds(), before)

    def test_bad_fds(self) -> None:
        with self.assertRaises(vfio_dmabuf.Error):
            vfio_dmabuf.Slice.from_fd(-1, bar=0, offset=0)
        # Numbers are not truncated to their width in C.
        for bar, offset in (2**32, 0), (-1, 0), (0, 2**64), (0, -1):
            with self.assertRaises(OverflowError), open("/dev/null", "rb") as null:
                vfio_dmabuf.Slice.from_fd(null.fileno(), bar=bar, offset=offset)
        with self.assertRaises(ValueError):
            vfio_dmabuf.Device.from_fd(-1)
        with self.assertRaises(TypeError):
            vfio_dmabuf.Device.from_fd("x")  # type: ignore[arg-type]

    def test_no_io_address_space(self) -> None:
        before = self.fds()
        with open("/dev/null", "rb") as null:
            for ioas in 0, 1:
                with self.assertRaises(vfio_dmabuf.UnsupportedError) as caught:
                    vfio_dmabuf.Dma.from_fd(null, ioas)
                self.assertTrue(caught.exception.strerror)
            with self.assertRaises(OverflowError):
                vfio_dmabuf.Dma.from_fd(null, 2**32)
        self.assertEqual(self.fds(), before)

    def test_no_such_device(self) -> None:
        with self.assertRaises(FileNotFoundError) as caught:
            vfio_dmabuf.Device("ffff:7f:00.0")
        self.assertEqual(caught.exception.filename, "ffff:7f:00.0")
        with self.assertRaises(vfio_dmabuf.Error) as other:
            vfio_dmabuf.Device("nonsense")
        self.assertEqual(other.exception.errno, errno.EINVAL)


class Memory(unittest.TestCase):
    """A memfd that is sealed as the library does it."""

    def memfd(self, length: int, *seals: int) -> int:
        fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, length)
        for seal in fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, *seals:
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
        return fd

    def slice(self, length: int = 8192) -> vfio_dmabuf.Slice:
        return vfio_dmabuf.Slice.from_memfd(self.memfd(length, fcntl.F_SEAL_SEAL), iova=0x10000)

    def test_slice(self) -> None:
        with self.slice() as slice:
            self.assertEqual((slice.kind, slice.length, slice.iova, slice.bdf, slice.flags),
                             (vfio_dmabuf.Kind.MEMORY, 8192, 0x10000, "", vfio_dmabuf.Flag(0)))
            self.assertEqual(repr(slice), "<vfio_dmabuf.Slice memory at 0x10000+0x2000>")
            with slice.memory(4096) as memory, slice.map() as registers:
                items = memoryview(memory).cast("I")
                items[1] = 0x12345678
                self.assertEqual((len(memory), registers.read32(4100)), (4096, 0x12345678))
                items.release()
        with self.assertRaises(ValueError):
            slice.memory()

    def test_parts(self) -> None:
        slice = self.slice()
        with slice.memory(4096, 4096) as memory:
            self.assertEqual(len(memory), 4096)
        for offset, length in (0, 0), (0, 12288), (8192, None), (-4096, 4096), (4096, 8192), (2**64, 4096), (1, 4096):
            with self.subTest(offset=offset, length=length), self.assertRaises((vfio_dmabuf.Error, ValueError)):
                slice.memory(offset, length)
        with slice.memory(writable=False) as memory, self.assertRaises(TypeError):
            memory[0] = 1

    def test_passing(self) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here, there, self.slice() as sent, sent.memory() as memory:
            memory[8191] = 7
            sent.send(here)
            with vfio_dmabuf.Slice.receive(there) as got, got.memory() as same:
                self.assertEqual((got.kind, got.iova, same[8191]), (sent.kind, sent.iova, 7))

    def test_other_memfds(self) -> None:
        before = os.listdir("/proc/self/fd")
        for fd, iova, flags in ((self.memfd(4096), 0x1000, 0), (self.memfd(100, fcntl.F_SEAL_SEAL), 0x1000, 0),
                                (self.memfd(4096, fcntl.F_SEAL_SEAL), 1, 0),
                                (self.memfd(4096, fcntl.F_SEAL_SEAL), 0x1000, 1)):
            before.append(str(fd))
            with self.assertRaises(vfio_dmabuf.Error) as caught:
                vfio_dmabuf.Slice.from_memfd(fd, iova=iova, flags=vfio_dmabuf.Flag(flags))
            self.assertEqual(caught.exception.errno, errno.EINVAL)
            self.assertIn("memfd", str(caught.exception))
        self.assertEqual(len(os.listdir("/proc/self/fd")), len(before))
        with self.assertRaises(OverflowError):
            vfio_dmabuf.Slice.from_memfd(self.memfd(4096, fcntl.F_SEAL_SEAL), iova=2**64)


if __name__ == "__main__":
    unittest.main()
