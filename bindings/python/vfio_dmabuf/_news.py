# SPDX-License-Identifier: MIT
"""News of the broker, and those that wait until the program takes them."""
from collections import deque
from dataclasses import dataclass

from . import _native
from ._types import End, Flag, NewsType

_ROOM = 1024


@dataclass(frozen=True)
class News:
    """What has happened at the broker.

    RESTARTED, and types of a later broker, have only this class.  All other types have a
    class of their own.
    """

    type: NewsType
    time: float | None  #: seconds of time.CLOCK_BOOTTIME; None: not known


@dataclass(frozen=True)
class LeaseNews(News):
    """A lease was granted, was renewed, or has ended."""

    lease: int  #: its id
    end: End  #: why; NONE unless type is ENDED
    name: str  #: of the slice
    index: int  #: which of an array of slices
    bdf: str
    bar: int
    offset: int
    length: int
    flags: Flag
    seconds: int  #: until it expires; 0: it does not expire, or has ended
    pid: int  #: of the client; 0 if it has disconnected, like the next two
    uid: int
    gid: int
    client: str  #: the name that it gave itself; "" if it has disconnected
    interrupt: bool  #: the lease has an eventfd for its interrupt


@dataclass(frozen=True)
class DeviceNews(News):
    """The broker has opened or lost a device, or the device is suspended or resumed."""

    name: str  #: "" if it is no longer configured
    bdf: str
    reason: str  #: why it is lost


@dataclass(frozen=True)
class MissedNews(News):
    """News came faster than the program has taken them."""

    missed: int  #: how many the program does not get


_OF_LEASES = {NewsType.GRANTED, NewsType.RENEWED, NewsType.ENDED}
_OF_DEVICES = {NewsType.DEVICE_OPEN, NewsType.DEVICE_LOST, NewsType.DEVICE_SUSPENDED, NewsType.DEVICE_RESUMED}


def news_of(values: "_native._NewsTuple") -> News:
    """What _native.Client.news() has read."""
    (kind, end, microseconds, missed, lease, offset, length, bar, flags, index, seconds, pid, uid, gid,
     name, bdf, client, reason, interrupt) = values
    type = NewsType(kind)
    time = microseconds / 1000000 if microseconds else None
    if type in _OF_LEASES:
        return LeaseNews(type, time, lease, End(end), name, index, bdf, bar, offset, length, Flag(flags), seconds,
                         pid, uid, gid, client, interrupt)
    if type in _OF_DEVICES:
        return DeviceNews(type, time, name, bdf, reason)
    if type == NewsType.MISSED:
        return MissedNews(type, time, missed)
    return News(type, time)


class Backlog:
    """News that the program has not taken yet.  If there are too many, the latest are only counted."""

    __slots__ = ("_list", "_missed")

    def __init__(self) -> None:
        self._list: deque[News] = deque()
        self._missed = 0

    def __bool__(self) -> bool:
        return bool(self._list or self._missed)

    def put(self, news: News) -> None:
        """Adds the latest."""
        # What comes after those that are missed would be out of order.
        if self._missed or len(self._list) == _ROOM:
            self._missed += news.missed if isinstance(news, MissedNews) else 1
        else:
            self._list.append(news)

    def take(self) -> News | None:
        """The oldest; None: there is none."""
        if self._list:
            return self._list.popleft()
        if not self._missed:
            return None
        missed, self._missed = self._missed, 0
        return MissedNews(NewsType.MISSED, None, missed)
