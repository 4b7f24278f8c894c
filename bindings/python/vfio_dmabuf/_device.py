# SPDX-License-Identifier: MIT
"""Devices, for their owner."""
import os
from typing import Protocol, Self

from . import _native
from ._handle import Closing, FileHandle
from ._slice import Slice
from ._types import Bar, Buffer, Capability, Flag, State


class HasFileno(Protocol):
    """An object with a file descriptor, such as a file or a socket."""

    def fileno(self) -> int:
        """The file descriptor."""


class Events(Closing):
    """Reports when a device or buffer is suspended, resumed and revoked; from Device.watch().

    It does not keep the buffer or the device.
    """

    __slots__ = ("_file", "_state", "_changes")

    def __init__(self, fd: int) -> None:
        """For this package; use Device.watch()."""
        self._file = os.fdopen(fd, "rb", buffering=0)
        self._state = State.LIVE
        self._changes = 0

    def state(self) -> State:
        """The current state.  After this, fileno() is not readable until it changes, except after revocation."""
        event = _native.event_read(self._file)
        if event is not None:
            self._state = State(event[0])
            # The end of the file: revocation was read before.
            self._changes = event[1] or self._changes
        return self._state

    def changes(self) -> int:
        """A number that grows with every suspension, resumption and revocation."""
        self.state()
        return self._changes

    def fileno(self) -> int:
        """An fd that is readable at first and when the state has changed."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the fd.  May be called again."""
        self._file.close()


class Device(FileHandle["_native.Device"]):
    """A PCI function, opened through VFIO.

    If the function can be reset, opening it resets it.  As a context manager, it is
    closed at the end.  When the last fd of a device is closed, all its slices are
    revoked; they stay valid objects.  Threads can use it at the same time.

    fileno() is the VFIO device fd, for everything that VFIO can do.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, bdf: str, *, vf_token: str | None = None) -> None:
        """Open a function by its name, "0000:01:00.0"; domain 0000 may be left out.

        vf_token: a UUID, for a function with virtual functions, or one of these.
        """
        try:
            self._native = _native.open_device(bdf, vf_token)
        except OSError as error:
            error.filename = bdf
            raise

    @classmethod
    def from_fd(cls, fd: int | HasFileno) -> Self:
        """Use a VFIO device fd.

        The device has a copy of the fd; the caller closes its own.  The slices are
        revoked when both are closed.
        """
        device = cls.__new__(cls)
        device._native = _native.device_from_fd(fd)
        return device

    def iommu_fileno(self) -> int:
        """The type 1 container or iommufd that Dma uses; -1 after from_fd()."""
        return self._native.iommu_fileno()

    def capabilities(self) -> Capability:
        """What the device's driver supports; nothing for stock vfio-pci."""
        return Capability(self._native.capabilities())

    def bar(self, index: int) -> Bar:
        """Describe a BAR, 0 to 5."""
        if not 0 <= index < _native.BARS:
            raise ValueError(f"a function has no BAR {index}")
        return Bar(*self._native.bar(index))

    def reset(self) -> None:
        """Reset the function; its slices are suspended meanwhile."""
        self._native.reset()

    def set_bus_master(self, on: bool) -> None:
        """Let the device do DMA and send interrupts, or not.

        After it was opened, and after a reset, it does neither.
        """
        self._native.set_bus_master(on)

    def export(self, bar: int, *ranges: tuple[int, int], read_only: bool = False,
               write_combining: bool = False) -> Slice:
        """Export ranges (offset, length) of a BAR, in whole pages, as one slice."""
        flags = (Flag.READ_ONLY if read_only else Flag(0)) | (Flag.WRITE_COMBINING if write_combining else Flag(0))
        if not 0 <= bar < _native.BARS:
            raise ValueError(f"a function has no BAR {bar}")
        return Slice(self._native.export(bar, ranges, flags))

    def revoke(self, slice: Slice) -> bool:
        """Revoke a slice for good.

        When this returns, no mapping in any process, and no DMA of another device, can
        access the device through it.  It does not wait for clients.

        Returns False if it was revoked before.
        """
        return self._native.revoke(slice._native)

    def watch_slice(self, slice: Slice) -> None:
        """Give a slice an event fd, which send() sends with it; see Slice.state()."""
        self._native.watch_slice(slice._native)

    def slice_id(self, slice: Slice) -> int:
        """The id of a slice's buffer."""
        return self._native.slice_id(slice._native)

    def buffers(self) -> list[Buffer]:
        """All slices of the device, and mappings of its fd, also those of other processes."""
        return [_buffer(*values) for values in self._native.buffers()]

    def buffer(self, id: int) -> Buffer:
        """One buffer, by its id."""
        return _buffer(*self._native.buffer(id))

    def buffer_ranges(self, id: int) -> list[tuple[int, int]]:
        """The ranges (offset, length) of a buffer, in its order."""
        ranges: list[tuple[int, int]] = []
        while more := self._native.ranges(id, len(ranges)):
            ranges += more
        return ranges

    def revoke_id(self, id: int) -> bool:
        """Revoke a buffer for good, also one of another process; see revoke()."""
        return self._native.revoke_id(id)

    def watch(self, id: int | None = None) -> Events:
        """Be notified when the device, or one buffer, is suspended and revoked."""
        if id == 0:
            raise ValueError("0 is not the id of a buffer")
        return Events(self._native.watch(id or 0))


def _buffer(id: int, inode: int, offset: int, length: int, bar: int, flags: int, state: int,
            nr_ranges: int, mappings: int, importers: int, dma_maps: int) -> Buffer:
    return Buffer(id, inode, offset, length, bar, Flag(flags), State(state), nr_ranges, mappings,
                  importers, dma_maps)


def parse_bdf(text: str) -> str:
    """The full name of a PCI function: "01:00.0" is "0000:01:00.0".

    Raises ValueError if it is not the name of one.
    """
    return _native.parse_bdf(text)
