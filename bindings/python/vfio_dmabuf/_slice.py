# SPDX-License-Identifier: MIT
"""Slices, and their mappings."""
import errno
import select
import socket
from types import TracebackType
from typing import TYPE_CHECKING, Self

from . import _native
from ._errors import TimeoutError
from ._types import Flag, State

if TYPE_CHECKING:
    from ._device import Device


def _wait_for(sock: socket.socket, event: int) -> None:
    """Waits up to the socket's timeout, and lets signal handlers run meanwhile."""
    timeout = sock.gettimeout()
    if timeout == 0:
        return
    poll = select.poll()
    poll.register(sock, event)
    if not poll.poll(None if timeout is None else timeout * 1000):
        raise TimeoutError(errno.ETIMEDOUT, "the socket's timeout is over")


class Slice:
    """A part of a BAR that can be mapped, and sent to other processes.

    It comes from Device.export(), Slice.receive(), or a lease of the broker.  As a
    context manager, it is closed at the end.  Closing a slice does not revoke it, and
    does not unmap its mappings.
    """

    __slots__ = ("_native", "bdf", "bar", "offset", "length", "flags")

    bdf: str  #: the PCI function, "" if not known
    bar: int
    offset: int  #: of its byte 0 in the BAR
    length: int  #: bytes
    flags: Flag

    def __init__(self, native: "_native.Slice") -> None:
        """For this package; use one of the sources above."""
        self._native = native
        self.bdf, self.bar, self.offset, self.length, flags = native.about()
        self.flags = Flag(flags)

    @classmethod
    def from_fd(cls, fd: int, *, bar: int, offset: int, event_fd: int = -1, bdf: str | None = None,
                flags: Flag = Flag(0)) -> Self:
        """Make a slice of a DMABUF fd that was not received with receive().

        The slice has copies of the fds; the caller closes its own.
        """
        return cls(_native.slice_from_fd(fd, event_fd, bdf, bar, offset, flags))

    @classmethod
    def receive(cls, sock: socket.socket) -> Self:
        """Receive what send() has sent to the other end of an AF_UNIX socket.

        It does not trust the message.  It waits up to the socket's timeout.
        """
        _wait_for(sock, select.POLLIN)
        return cls(_native.slice_receive(sock))

    def send(self, sock: socket.socket, device: "Device | None" = None) -> None:
        """Send the slice to another process, through an AF_UNIX socket.

        device: the device that it was exported from.  If the slice is watched, the
        receiver then has its own event fd.  Without the device, it shares the event fd of
        this process: if one of them has read an event, the other does not see it.
        """
        _wait_for(sock, select.POLLOUT)
        self._native.send(sock, None if device is None else device._native)

    def map(self, offset: int = 0, length: int | None = None, *, writable: bool | None = None) -> "_native.Mapping":
        """Map the slice or a part of it, in whole pages.

        writable: None: yes, unless the slice is read-only.
        """
        if length is not None and length <= 0:
            raise ValueError("length must be positive")
        if writable is None:
            writable = not self.flags & Flag.READ_ONLY
        return self._native.map(offset, length or 0, writable)

    def state(self) -> State:
        """The state of a watched slice.  After this, event_fileno() is not readable until the state changes."""
        return State(self._native.state()[0])

    def changes(self) -> int:
        """A number that grows with every suspension, resumption and revocation of a watched slice."""
        return self._native.state()[1]

    def fileno(self) -> int:
        """The DMABUF's fd; it belongs to the slice."""
        return self._native.fileno()

    def event_fileno(self) -> int:
        """An fd that is readable when the state has changed; -1 if the slice is not watched."""
        return self._native.event_fileno()

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._native.closed()

    def close(self) -> None:
        """Close the fds.  May be called again."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return (f"<vfio_dmabuf.Slice {self.bdf or '?'}/{self.bar} {self.offset:#x}+{self.length:#x}"
                f"{', closed' if self.closed else ''}>")
