# SPDX-License-Identifier: MIT
"""The package as a whole: names, constants, documentation."""
import enum
import errno
import inspect
import os
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
                             ("DEVICE_", vfio_dmabuf.DevicePhase), ("LEASE_", vfio_dmabuf.LeasePhase)):
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
                prefixes = ("VDB_CAP_", "VDB_FLAG_", "VDB_STATE_", "VDB_END_", "VDB_DEVICE_", "VDB_LEASE_")
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

    def test_no_such_device(self) -> None:
        with self.assertRaises(FileNotFoundError) as caught:
            vfio_dmabuf.Device("ffff:7f:00.0")
        self.assertEqual(caught.exception.filename, "ffff:7f:00.0")
        with self.assertRaises(vfio_dmabuf.Error) as other:
            vfio_dmabuf.Device("nonsense")
        self.assertEqual(other.exception.errno, errno.EINVAL)


if __name__ == "__main__":
    unittest.main()
