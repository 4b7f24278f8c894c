# SPDX-License-Identifier: MIT
"""Slices, and their mappings."""
import errno
import mmap
import select
import socket
from typing import TYPE_CHECKING, Self

from . import _native
from ._errors import TimeoutError, make
from ._handle import FileHandle
from ._types import Flag, Kind, State

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


class Slice(FileHandle["_native.Slice"]):
    """A part of a BAR, or memory for DMA, that can be mapped, and sent to other processes.

    It comes from Device.export(), Dma.alloc(), Slice.receive(), or a lease of the broker.
    As a context manager, it is closed at the end.  Closing a slice does not revoke it, and
    does not unmap its mappings.

    fileno() is the DMABUF, or the memfd.
    """

    __slots__ = ("kind", "bdf", "bar", "offset", "length", "iova", "flags")

    kind: Kind
    bdf: str  #: the PCI function, "" if not known, and of memory
    bar: int  #: of registers, like the next one
    offset: int  #: of its byte 0 in the BAR
    length: int  #: bytes
    iova: int  #: of memory: the address for the device
    flags: Flag

    def __init__(self, native: "_native.Slice") -> None:
        """For this package; use one of the sources above."""
        self._native = native
        kind, self.bdf, self.bar, self.offset, self.length, self.iova, flags = native.about()
        self.kind, self.flags = Kind(kind), Flag(flags)

    @classmethod
    def from_fd(cls, fd: int, *, bar: int, offset: int, event_fd: int = -1, bdf: str | None = None,
                flags: Flag = Flag(0)) -> Self:
        """Make a slice of a DMABUF fd that was not received with receive().

        The slice has copies of the fds; the caller closes its own.
        """
        return cls(_native.slice_from_fd(fd, event_fd, bdf, bar, offset, flags))

    @classmethod
    def from_memfd(cls, fd: int, *, iova: int, flags: Flag = Flag(0)) -> Self:
        """Make a slice of a memfd of Dma.alloc() that was kept over a restart, for example.

        The slice has a copy of the fd; the caller closes its own.  Dma.reserve() keeps its
        IOVAs from being given out again.
        """
        return cls(_native.slice_from_memfd(fd, iova, flags))

    @classmethod
    def receive(cls, sock: socket.socket) -> Self:
        """Receive what send() has sent to the other end of an AF_UNIX socket.

        It does not trust the message, except for the IOVA of memory.  It waits up to the
        socket's timeout.
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

        Accesses are those to registers, also if it is memory: each is one access of its
        width, in the order of the program.  So poll what the device writes with them.

        writable: None: yes, unless the slice is read-only.
        """
        if length is not None and length <= 0:
            raise ValueError("length must be positive")
        if writable is None:
            writable = not self.flags & Flag.READ_ONLY
        return self._native.map(offset, length or 0, writable)

    def memory(self, offset: int = 0, length: int | None = None, *, writable: bool | None = None) -> mmap.mmap:
        """Map a slice of memory or a part of it, in whole pages, as ordinary memory.

        memoryview(slice.memory()).cast("I") has items of 32 bits, for example.

        Raises UnsupportedError if it is not a slice of memory.  writable: as in map().
        """
        if self.kind != Kind.MEMORY:
            raise make(errno.EOPNOTSUPP, "memory", "")
        if writable is None:
            writable = not self.flags & Flag.READ_ONLY
        if length is None:
            length = self.length - offset
        # Of mmap(), 0 would mean all of the file.
        if length <= 0 or offset < 0 or offset > self.length - length:
            raise make(errno.EINVAL, "map", "")
        try:
            return mmap.mmap(self.fileno(), length, offset=offset,
                             prot=mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0))
        except OSError as error:
            raise make(error.errno or errno.EINVAL, "map", "") from None

    def state(self) -> State:
        """The state of a watched slice.  After this, event_fileno() is not readable until the state changes."""
        return State(self._native.state()[0])

    def changes(self) -> int:
        """A number that grows with every suspension, resumption and revocation of a watched slice."""
        return self._native.state()[1]

    def event_fileno(self) -> int:
        """An fd that is readable when the state has changed; -1 if the slice is not watched."""
        return self._native.event_fileno()

    def __repr__(self) -> str:
        place = (f"memory at {self.iova:#x}" if self.kind == Kind.MEMORY else
                 f"{self.bdf or '?'}/{self.bar} {self.offset:#x}")
        return f"<vfio_dmabuf.Slice {place}+{self.length:#x}{', closed' if self.closed else ''}>"
