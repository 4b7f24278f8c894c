# SPDX-License-Identifier: MIT
"""Share parts of a PCI device's BARs between processes, with libvfio-dmabuf.

The owner of a device exports slices of its BARs and revokes them:

    with Device("0000:01:00.0") as device:
        slice = device.export(0, (0, 4096))
        slice.send(sock)
        ...
        device.revoke(slice)

The owner also maps memory for the device's DMA:

        with Dma(device) as dma:
            slice = dma.alloc(2 << 20)
            slice.memory()[:4] = b"data"     # slice.iova is its address for the device
            ...
            dma.revoke(slice)

A client receives a slice from the owner or from the broker, maps it, and accesses
registers through it:

    with Client() as client, client.acquire("nic/doorbell") as lease:
        registers = lease.slice.map()
        registers.write32(0, 1)

If an access would cause SIGBUS in a C program, for example after the slice was
revoked, it raises UnreachableError.  vfio_dmabuf.aio has a client for asyncio.

The module handles SIGBUS.  Its handler passes on faults of other code.  If another
handler has replaced it, the module installs it again.
"""
from ._client import Client, Lease
from ._device import Device, Events, parse_bdf
from ._dma import Dma, DmaMapping
from ._errors import (BusyError, DisconnectedError, Error, LostError, NotAllowedError, NotFoundError,
                      TimeoutError, UnreachableError, UnsupportedError, WouldBlockError)
from ._leases import ANY_INDEX, LeaseEvent
from ._native import BROKER_SOCKET, Mapping
from ._news import DeviceNews, LeaseNews, MissedNews, News
from ._slice import Slice
from ._types import (AccountInfo, Bar, Buffer, Capability, DeviceInfo, DevicePhase, End, Flag, Kind,
                     LeaseInfo, LeasePhase, NewsType, Share, SliceInfo, State, Status, Total)

__all__ = [
    "ANY_INDEX", "BROKER_SOCKET",
    "AccountInfo", "Bar", "Buffer", "BusyError", "Capability", "Client", "Device", "DeviceInfo",
    "DeviceNews", "DevicePhase", "DisconnectedError", "Dma", "DmaMapping", "End", "Error", "Events", "Flag",
    "Kind", "Lease", "LeaseEvent", "LeaseInfo", "LeaseNews", "LeasePhase", "LostError", "Mapping", "MissedNews",
    "News", "NewsType", "NotAllowedError", "NotFoundError", "Share", "Slice", "SliceInfo", "State", "Status",
    "TimeoutError", "Total", "UnreachableError", "UnsupportedError", "WouldBlockError", "parse_bdf",
]
