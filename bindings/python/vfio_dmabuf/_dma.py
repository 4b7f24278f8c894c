# SPDX-License-Identifier: MIT
"""Memory that a device reaches, for its owner."""
from typing import TYPE_CHECKING, Self

from . import _native
from ._device import Device
from ._handle import Closing, Handle
from ._slice import Slice
from ._types import Flag

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._device import HasFileno


class DmaMapping(Closing):
    """Memory of this process that a device reaches; from Dma.map().

    As a context manager, it is unmapped at the end.  An object that is not used any more
    is unmapped.
    """

    __slots__ = ("_native", "iova", "__weakref__")

    iova: int  #: the address for the device

    def __init__(self, native: "_native.DmaMapping") -> None:
        """For this package; use Dma.map()."""
        self._native = native
        self.iova = native.iova()

    @property
    def closed(self) -> bool:
        """Whether close() was called, and has unmapped it."""
        return not self._native.mapped()

    def close(self) -> None:
        """End the device's access to the memory.  May be called again.

        When it returns, the device cannot reach the memory, and its object can be resized
        and closed.
        """
        self._native.unmap()


class Dma(Handle["_native.Dma"]):
    """An IO address space: what IO virtual addresses (IOVAs) of a device belong to.

    It maps memory for the device's DMA.  As a context manager, it is closed at the end.

    Closing it unmaps nothing.  A DmaMapping stays until it is closed or not used any more.
    A slice of memory stays mapped until it is revoked, or until the container or iommufd
    is closed: this object has a copy of its fd, and the device has it.

    The object knows which IOVAs it has given out.  Use one for an address space.  Threads
    can use it at the same time.
    """

    __slots__ = ("__weakref__",)

    def __init__(self, device: Device) -> None:
        """Use the address space of a device; not for one from Device.from_fd().

        Raises UnsupportedError if the device has no IOMMU.
        """
        self._native = _native.dma_from_device(device._native)

    @classmethod
    def from_fd(cls, fd: "int | HasFileno", ioas: int = 0) -> Self:
        """Use a type 1 container, or an iommufd and the number of the address space in it.

        The object has a copy of the fd; the caller closes its own.
        """
        dma = cls.__new__(cls)
        dma._native = _native.dma_from_fd(fd, ioas)
        return dma

    @property
    def ioas(self) -> int:
        """The number of the address space in the iommufd; 0: it is a container."""
        return self._native.ioas()

    def set_width(self, bits: int) -> None:
        """Limit later IOVAs to the number of bits that the device has in its registers."""
        self._native.set_width(bits)

    def reserve(self, iova: int, length: int) -> None:
        """Keep IOVAs from being given out, for example because an earlier process has mapped something there."""
        self._native.reserve(iova, length)

    def unmap_unknown(self) -> None:
        """Unmap everything that this object has neither mapped nor reserved.

        For an owner that was restarted.  No other object or process may use the address space.
        """
        self._native.unmap_unknown()

    def map(self, memory: "Buffer", *, device_read_only: bool = False) -> DmaMapping:
        """Map memory of this process: an object with a buffer in whole pages, such as mmap.mmap(-1, length).

        The object cannot be resized or closed until the mapping is closed.

        Raises Error with EDQUOT if RLIMIT_MEMLOCK is too low (the text says what it must
        be), with ENOSPC if no IOVA is left, and with EINVAL if it is not in whole pages.
        """
        return DmaMapping(self._native.map(memory, Flag.DMA_READ_ONLY if device_read_only else 0))

    def unmap(self, iova: int, length: int) -> None:
        """Unmap what is mapped at reserved IOVAs, and end the reservation.

        Raises NotFoundError if nothing was mapped there; the reservation ends then, too.
        """
        self._native.unmap(iova, length)

    def alloc(self, length: int, *, read_only: bool = False, device_read_only: bool = False,
              huge: bool = False) -> Slice:
        """Allocate a slice of memory, in whole pages: all zeros, and mapped for the device.

        read_only: only the device can write to it; device_read_only: the device cannot;
        huge: use huge pages if there are any.  Slice.iova is the address for the device,
        and Slice.memory() maps it into this process.

        The slice stays mapped for the device when it is closed; see revoke().
        Exceptions are those of map().
        """
        flags = Flag(0)
        for flag, wanted in (Flag.READ_ONLY, read_only), (Flag.DMA_READ_ONLY, device_read_only), (Flag.HUGE, huge):
            if wanted:
                flags |= flag
        return Slice(self._native.alloc(length, flags))

    def revoke(self, slice: Slice) -> bool:
        """End the device's access to a slice of memory.

        When this returns, the device cannot reach the memory.  It does not wait for clients.
        They keep it as ordinary memory, so do not give it to another client.  Stop the
        device's queue before its IOVA is given out again.

        Returns False if it was revoked before.
        """
        return self._native.revoke(slice._native)
