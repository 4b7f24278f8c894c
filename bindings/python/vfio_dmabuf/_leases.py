# SPDX-License-Identifier: MIT
"""Shared by the clients of the broker: lists, times, and events."""
import io
import math
import os
from dataclasses import dataclass

from . import _native
from ._errors import Error, make
from ._slice import Slice
from ._types import (AccountInfo, DeviceInfo, DevicePhase, End, Flag, LeaseInfo, LeasePhase, Share,
                     SliceInfo, State, Status, Total)

#: For acquire(): any free one of an array of slices.
ANY_INDEX: int = _native.ANY_INDEX

_U32 = 0xffffffff


def milliseconds(seconds: float | None) -> int:
    """A time for the library; None: no limit."""
    if seconds is None:
        return -1
    if not 0 <= seconds <= 0x7fffffff / 1000:
        raise ValueError(f"{seconds} is not a number of seconds from 0 to {0x7fffffff // 1000}")
    return math.ceil(seconds * 1000)


def u32(name: str, value: int) -> int:
    """A number for the broker."""
    if not 0 <= value <= _U32:
        raise ValueError(f"{name} {value} is not from 0 to {_U32}")
    return value


def start(native: "_native.Client", name: str, index: int, read_only: bool, seconds: int, wait: float) -> int:
    """Requests a slice; returns the number of the request."""
    return native.acquire_start(name, u32("index", index), Flag.READ_ONLY if read_only else 0,
                                u32("seconds", seconds), milliseconds(wait))


@dataclass(frozen=True)
class LeaseEvent:
    """A lease is suspended, live again, or has ended."""

    lease: int  #: its id
    state: State  #: REVOKED: it has ended
    end: End  #: why; NONE unless state is REVOKED


@dataclass(frozen=True)
class Granted:
    """The parts of a grant."""

    request: int
    lease: int
    index: int
    seconds: int
    slice: Slice
    memory: Slice | None = None
    interrupt: io.FileIO | None = None

    def close(self) -> None:
        """Close what was granted."""
        self.slice.close()
        if self.memory is not None:
            self.memory.close()
        if self.interrupt is not None:
            self.interrupt.close()


@dataclass(frozen=True)
class Refused:
    """A request was not granted."""

    request: int
    error: Error


def event_of(values: "_native._EventTuple") -> LeaseEvent | Granted | Refused:
    """What _native.Client.next() has read."""
    kind, error, request, lease, state, end, text, index, seconds, slice, memory, interrupt = values
    if kind == _native.EVENT_GRANTED:
        assert slice is not None
        return Granted(request, lease, index, seconds, Slice(slice), Slice(memory) if memory is not None else None,
                       os.fdopen(interrupt, "rb", buffering=0) if interrupt >= 0 else None)
    if kind == _native.EVENT_REFUSED:
        return Refused(request, make(error, "acquire", text))
    return LeaseEvent(lease, State(state), End(end))


def slices(native: "_native.Client") -> list[SliceInfo]:
    """The list of slices."""
    return [SliceInfo(v[0], v[1], v[2], Flag(v[3]), v[4], *v[5:11], DevicePhase(v[11]), *v[12:])
            for v in native.slices()]


def leases(native: "_native.Client") -> list[LeaseInfo]:
    """The list of leases."""
    return [LeaseInfo(*v[:5], Flag(v[5]), *v[6:13], State(v[13]), LeasePhase(v[14]), End(v[15]), *v[16:])
            for v in native.leases()]


def devices(native: "_native.Client") -> list[DeviceInfo]:
    """The list of devices."""
    return [DeviceInfo(v[0], v[1], DevicePhase(v[2]), v[3], v[4], v[5], v[6]) for v in native.devices()]


def accounts(native: "_native.Client") -> list[AccountInfo]:
    """The list of accounts."""
    return [AccountInfo(v[0], Share(*v[1]), Share(*v[2])) for v in native.accounts()]


def status(native: "_native.Client") -> Status:
    """The status of the broker."""
    v = native.status()
    return Status(*v[:3], Total(*v[3]), Total(*v[4]), *v[5:])
