# SPDX-License-Identifier: MIT
"""Plain data: flags, states, and the items of lists."""
import enum
from dataclasses import dataclass

from . import _native


class _OpenEnum(enum.IntEnum):
    """An enumeration whose later versions may have more members."""

    @classmethod
    def _missing_(cls, value: object) -> "_OpenEnum | None":
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"UNKNOWN_{value}"
        member._value_ = value
        return member


class Capability(enum.IntFlag):
    """What the driver of a device supports."""

    EXPORT = _native.CAP_EXPORT  #: slices that can be mapped, and revoked
    WRITE_COMBINING = _native.CAP_WC  #: write-combining slices
    EVENTS = _native.CAP_EVENTS  #: Device.watch_slice()
    LIST = _native.CAP_LIST  #: Device.buffers(), and all that takes an id


class Flag(enum.IntFlag):
    """Properties of a slice or buffer."""

    READ_ONLY = _native.FLAG_READ_ONLY  #: can never be mapped writable
    WRITE_COMBINING = _native.FLAG_WC  #: mapped write-combining instead of uncached
    BAR_MAPPING = _native.FLAG_BAR_MAPPING  #: not a slice: a mapping of the device fd
    HUGE = _native.FLAG_HUGE  #: memory of huge pages
    DMA_READ_ONLY = _native.FLAG_DMA_READ_ONLY  #: memory that the device cannot write to


class Kind(_OpenEnum):
    """The kind of a slice."""

    REGISTERS = _native.KIND_REGISTERS  #: part of a BAR
    MEMORY = _native.KIND_MEMORY  #: memory for DMA


class State(enum.IntEnum):
    """The state of a slice or device."""

    LIVE = _native.STATE_LIVE
    SUSPENDED = _native.STATE_SUSPENDED  #: temporarily: accesses wait or raise UnreachableError
    REVOKED = _native.STATE_REVOKED  #: for good


class End(_OpenEnum):
    """Why a lease ended.  A later broker may have other reasons."""

    NONE = _native.END_NONE  #: it has not ended
    RELEASED = _native.END_RELEASED
    EXPIRED = _native.END_EXPIRED
    REVOKED = _native.END_REVOKED  #: by an administrator, or by a new configuration
    DEVICE = _native.END_DEVICE  #: the broker has lost the device
    CLIENT = _native.END_CLIENT  #: its client has disconnected, or no process has the slice
    UNSENT = _native.END_UNSENT  #: the broker could not send it
    EXPORT = _native.END_EXPORT  #: the kernel did not export it
    BUSY = _native.END_BUSY  #: not granted: others have it
    TIMEOUT = _native.END_TIMEOUT  #: not granted within the time to wait


class DevicePhase(_OpenEnum):
    """What the broker does with a device."""

    ABSENT = _native.DEVICE_ABSENT  #: not open; the broker tries again
    OPENING = _native.DEVICE_OPENING
    SETTLING = _native.DEVICE_SETTLING  #: being prepared
    OPEN = _native.DEVICE_OPEN
    CLOSING = _native.DEVICE_CLOSING  #: lost; its leases end when it is closed


class LeasePhase(_OpenEnum):
    """The phase of a lease."""

    WAITING = _native.LEASE_WAITING
    EXPORTING = _native.LEASE_EXPORTING
    GRANTED = _native.LEASE_GRANTED
    ENDING = _native.LEASE_ENDING  #: being revoked, then the on-release actions
    ENDED = _native.LEASE_ENDED  #: its client has not read that yet


class NewsType(_OpenEnum):
    """The type of news.  A later broker may have other types."""

    GRANTED = _native.NEWS_GRANTED  #: this and the next two: LeaseNews
    RENEWED = _native.NEWS_RENEWED
    ENDED = _native.NEWS_ENDED
    DEVICE_OPEN = _native.NEWS_DEVICE_OPEN  #: this and the next three: DeviceNews
    DEVICE_LOST = _native.NEWS_DEVICE_LOST
    DEVICE_SUSPENDED = _native.NEWS_DEVICE_SUSPENDED
    DEVICE_RESUMED = _native.NEWS_DEVICE_RESUMED
    RESTARTED = _native.NEWS_RESTARTED  #: the broker; what happened meanwhile is not known
    MISSED = _native.NEWS_MISSED  #: MissedNews


@dataclass(frozen=True)
class Bar:
    """A BAR of a device."""

    size: int  #: bytes; 0: the BAR does not exist
    memory: bool  #: false: I/O ports
    mappable: bool  #: slices of it can be exported
    prefetchable: bool  #: write-combining has no side effects
    is_64bit: bool


@dataclass(frozen=True)
class Buffer:
    """What the kernel reports about a slice, or about a mapping of the device fd."""

    id: int
    inode: int  #: as in fstat() and /proc/<pid>/maps
    offset: int  #: of its byte 0 in the BAR
    length: int
    bar: int
    flags: Flag
    state: State
    nr_ranges: int  #: ranges that continue each other are one
    mappings: int  #: in all processes
    importers: int  #: devices that are attached to it
    dma_maps: int  #: mappings for DMA that they have


@dataclass(frozen=True)
class SliceInfo:
    """A slice, or an array of slices, that the broker grants to clients."""

    name: str  #: "device/slice"
    bdf: str
    bar: int
    flags: Flag
    exclusive: bool
    offset: int  #: of the first of an array
    length: int  #: of each
    count: int  #: 1: not an array
    free: int  #: the number of these that could be granted now
    waiting: int  #: requests that wait for it
    max_seconds: int  #: 0: no limit
    device: DevicePhase
    memory: int  #: bytes for DMA that each lease gets; 0: none
    interrupt: bool  #: each lease gets an eventfd for its interrupt


@dataclass(frozen=True)
class LeaseInfo:
    """A lease that the broker knows."""

    id: int
    name: str  #: of the slice
    bdf: str
    client: str  #: the name that it gave itself
    bar: int
    flags: Flag
    offset: int
    length: int
    index: int  #: for a request that waits: as requested
    seconds: int  #: left, also to wait; 0: no limit
    pid: int
    uid: int
    gid: int
    state: State  #: REVOKED: it has ended
    phase: LeasePhase
    end: End  #: also of one that is ending
    memory: int  #: bytes for DMA; 0: none
    iova: int  #: where the device has them; 0: not mapped, yet or any more
    interrupt: bool  #: it has an eventfd for its interrupt


@dataclass(frozen=True)
class DeviceInfo:
    """A device of the broker."""

    name: str  #: "" if it is no longer configured
    bdf: str
    phase: DevicePhase
    suspended: bool
    leases: int  #: that have a slice of it
    waiting: int  #: requests that wait for one
    reason: str  #: why it is not open; "" if it is, or not known


@dataclass(frozen=True)
class Share:
    """What a user uses of a limited resource."""

    used: int
    kept: int  #: places that only this user can take
    limit: int


@dataclass(frozen=True)
class AccountInfo:
    """What a user has at the broker; all user ids of a login share one account."""

    user: int
    clients: Share
    leases: Share


@dataclass(frozen=True)
class Total:
    """What all users use.  Only per_user is known if this client is not an administrator."""

    used: int
    limit: int
    pool_used: int  #: used places that are not kept for one user
    pool: int
    per_user: int  #: limit of a user without kept places


@dataclass(frozen=True)
class Status:
    """The status of the broker."""

    grants: bool  #: false: the configuration has errors, nothing new is granted
    admin: bool  #: this client is an administrator, and all members below are known
    leases_per_client: int
    clients: Total
    leases: Total
    devices: int
    devices_open: int
    problem: str  #: of the configuration; "" if none
