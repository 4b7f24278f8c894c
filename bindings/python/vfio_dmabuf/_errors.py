# SPDX-License-Identifier: MIT
"""Errors: OSError, with a class for each case that a program may want to handle."""
import builtins
import errno
import os


class Error(OSError):
    """A call to the library failed.  errno and strerror say why."""


class NotFoundError(Error, FileNotFoundError):
    """The function, slice, lease, buffer or socket does not exist (ENOENT)."""


class NotAllowedError(Error, PermissionError):
    """This user or mapping is not allowed to do that (EACCES, EPERM)."""


class BusyError(Error):
    """Others have the device or slice (EBUSY)."""


class TimeoutError(Error, builtins.TimeoutError):
    """The broker did not answer, or others had the slice until the time to wait was over (ETIMEDOUT)."""


class DisconnectedError(Error, ConnectionError):
    """The connection to the broker or the other end of a socket has ended (ENOTCONN, EPROTO, ...)."""


class UnreachableError(Error):
    """The device cannot be reached: its memory is disabled, or the slice is revoked (EFAULT)."""


class LostError(Error):
    """The slice is revoked, or the device is not open (ENODEV, EBADFD)."""


class UnsupportedError(Error):
    """The device's driver, the kernel or the broker cannot do that (ENOTTY, EOPNOTSUPP)."""


class WouldBlockError(Error, BlockingIOError):
    """It cannot be done without waiting (EAGAIN)."""


_CLASSES: dict[int, type[Error]] = {
    errno.ENOENT: NotFoundError,
    errno.EACCES: NotAllowedError,
    errno.EPERM: NotAllowedError,
    errno.EBUSY: BusyError,
    errno.ETIMEDOUT: TimeoutError,
    errno.ENOTCONN: DisconnectedError,
    errno.EPROTO: DisconnectedError,
    errno.EPROTONOSUPPORT: DisconnectedError,
    errno.ECONNREFUSED: DisconnectedError,
    errno.ECONNRESET: DisconnectedError,
    errno.EPIPE: DisconnectedError,
    errno.EFAULT: UnreachableError,
    errno.ENODEV: LostError,
    errno.EBADFD: LostError,
    errno.ENOTTY: UnsupportedError,
    errno.EOPNOTSUPP: UnsupportedError,
    errno.EAGAIN: WouldBlockError,
}

# The meaning of an errno in <vfio-dmabuf.h>, if the text of strerror() would not help.
_TEXTS: dict[tuple[str, int], str] = {
    ("from_fd", errno.ENOTTY): "not a VFIO device",
    ("from_fd", errno.ENODEV): "a VFIO device that is not a PCI function",
    ("from_fd", errno.EINVAL): "not a DMABUF with these flags, or an argument makes no sense",
    ("from_memfd", errno.EINVAL): "not a memfd that is sealed like a slice of memory with these flags, or an argument"
                                  " makes no sense",
    ("memory", errno.EOPNOTSUPP): "the slice is of registers: use map()",
    ("reset", errno.EINVAL): "the function cannot be reset alone",
    ("export", errno.EINVAL): "no such BAR or flag, or the ranges are empty, not in whole pages,"
                              " or outside the BAR",
    ("export", errno.ENODEV): "the device has no such BAR, or it cannot be mapped",
    ("export", errno.ENOTTY): "the device's driver is not dmabuf-vfio-pci",
    ("export", errno.EOPNOTSUPP): "no write-combining on this machine, or the device's setting core_export is on",
    ("watch", errno.ENOTTY): "the device's driver cannot report events",
    ("buffers", errno.ENOTTY): "the device's driver cannot list buffers",
    ("buffer", errno.ENOENT): "the device has no such buffer",
    ("revoke", errno.ENOENT): "the device has no such buffer",
    ("revoke", errno.ENODEV): "a slice of another device",
    ("state", errno.ENODATA): "the slice is not watched",
    ("map", errno.EINVAL): "offset or length not in whole pages, or outside the slice",
    ("map", errno.EACCES): "the slice is read-only",
    ("map", errno.ENODEV): "the slice is revoked",
    ("read", errno.EFAULT): "the device cannot be reached: its memory is disabled, or the slice is revoked",
    ("write", errno.EFAULT): "the device cannot be reached: its memory is disabled, or the slice is revoked",
    ("read", errno.EIO): "the CPU reports an error of the bus or the device",
    ("write", errno.EIO): "the CPU reports an error of the bus or the device",
    ("read", errno.EACCES): "the mapping is not readable",
    ("write", errno.EACCES): "the mapping is read-only",
    ("receive", errno.EPROTO): "the message is not a slice's",
    ("receive", errno.EMFILE): "this process has no room for more open files",
    ("receive", errno.ENOTCONN): "the other end is closed",
}


def make(number: int, what: str, text: str) -> Error:
    """The exception for a failed call: called by _native."""
    text = text or _TEXTS.get((what, number)) or os.strerror(number)
    return _CLASSES.get(number, Error)(number, text)
