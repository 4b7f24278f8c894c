# SPDX-License-Identifier: MIT
"""Share parts of a PCI device's BARs between processes, with libvfio-dmabuf.

The owner of a device exports slices of its BARs and revokes them:

    with Device("0000:01:00.0") as device:
        slice = device.export(0, (0, 4096))
        slice.send(sock)
        ...
        device.revoke(slice)

A client maps a slice, which it has from the owner or from the broker, and uses
registers through it:

    with Client() as client, client.acquire("nic/doorbell") as lease:
        registers = lease.slice.map()
        registers.write32(0, 1)

An access raises UnreachableError where a C program gets SIGBUS, for example after
the slice was revoked.  vfio_dmabuf.aio has a client for asyncio.

The module handles SIGBUS: its handler passes on faults of other code, and is
installed again if another one has replaced it.
"""
from ._client import Client, Lease
from ._device import Device, Events, parse_bdf
from ._errors import (BusyError, DisconnectedError, Error, LostError, NotAllowedError, NotFoundError,
                      TimeoutError, UnreachableError, UnsupportedError, WouldBlockError)
from ._leases import ANY_INDEX, LeaseEvent
from ._native import BROKER_SOCKET, Mapping
from ._slice import Slice
from ._types import (AccountInfo, Bar, Buffer, Capability, DeviceInfo, DevicePhase, End, Flag,
                     LeaseInfo, LeasePhase, Share, SliceInfo, State, Status, Total)

__all__ = [
    "ANY_INDEX", "BROKER_SOCKET",
    "AccountInfo", "Bar", "Buffer", "BusyError", "Capability", "Client", "Device", "DeviceInfo",
    "DevicePhase", "DisconnectedError", "End", "Error", "Events", "Flag", "Lease", "LeaseEvent",
    "LeaseInfo", "LeasePhase", "LostError", "Mapping", "NotAllowedError", "NotFoundError", "Share",
    "Slice", "SliceInfo", "State", "Status", "TimeoutError", "Total", "UnreachableError",
    "UnsupportedError", "WouldBlockError", "parse_bdf",
]
