# SPDX-License-Identifier: MIT
"""A client of the broker that waits for its answers; aio.py has one that does not."""
import errno
import os
import select
import time
import weakref
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from . import _leases, _native
from ._errors import DisconnectedError, NotFoundError, TimeoutError, WouldBlockError
from ._handle import Handle
from ._leases import Granted, LeaseEvent, Refused
from ._news import Backlog, News, news_of
from ._slice import Slice
from ._types import AccountInfo, DeviceInfo, End, LeaseInfo, SliceInfo, State, Status

# If the broker does not read, it does not report when it reads again.
_RETRY = 0.02


class Lease:
    """A slice that the broker granted; from Client.acquire().

    It ends when it is released or revoked, when its time expires, or when the connection
    ends.  It does not end when its slice is closed or this object is dropped.  As a
    context manager, it is released at the end.
    """

    def __init__(self, client: "Client", grant: Granted) -> None:
        """For this package; use Client.acquire()."""
        self._client = client
        self.id = grant.lease
        self.index = grant.index  #: which of an array of slices
        self.seconds = grant.seconds  #: until it expires; 0: it does not expire
        self.slice: Slice = grant.slice
        self.memory = grant.memory  #: its memory for DMA, if the slice of the configuration has some
        self.interrupt = grant.interrupt  #: an eventfd, as a file to read 8 bytes from, if it has an interrupt
        self.state = State.LIVE  #: from the events that the client has read
        self.end = End.NONE  #: why it has ended, also from the events

    def _take(self, state: State, end: End) -> None:
        self.state, self.end = state, end

    def release(self) -> None:
        """End the lease before its time, and close the slice, its memory and its interrupt.

        When it returns, the slice is revoked.  Does nothing if the lease has ended.
        """
        try:
            if self.state != State.REVOKED:
                self._client._native.release(self.id)
                self._take(State.REVOKED, End.RELEASED)
        except NotFoundError:
            # It is already ending, and an event reports why.
            pass
        finally:
            self.slice.close()
            if self.memory is not None:
                self.memory.close()
            if self.interrupt is not None:
                self.interrupt.close()

    def renew(self, seconds: int = 0) -> int:
        """Renew the lease for this time from now; 0: as long as allowed.

        Returns the seconds granted, 0 if it does not expire.
        """
        self.seconds = self._client._native.renew(self.id, _leases.u32("seconds", seconds))
        return self.seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self.release()
        except DisconnectedError:
            # All leases have ended with the connection.
            pass

    def __repr__(self) -> str:
        return f"<vfio_dmabuf.Lease {self.id} {self.state.name.lower()}>"


class Client(Handle["_native.Client"]):
    """A connection to the broker.

    Every call ends within the timeout (seconds; None: no limit).  As a context
    manager, it is closed at the end, and then its leases end.  Only one thread at a
    time can use it.
    """

    def __init__(self, path: str | None = None, *, timeout: float | None = 10.0) -> None:
        """Connect to the broker; path: its socket, if not the default."""
        # fileno() is readable because of the connection, and because of what was put aside while
        # the program waited for something else.
        self._aside: deque[LeaseEvent] = deque()
        self._news = Backlog()
        self._watches = self._rung = False
        self._leases: weakref.WeakValueDictionary[int, Lease] = weakref.WeakValueDictionary()
        self._timeout = timeout
        try:
            self._native = _native.connect(path, _leases.milliseconds(timeout))
        except OSError as error:
            error.filename = path or _native.BROKER_SOCKET
            raise
        self._bell = os.fdopen(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK), "r+b", buffering=0)
        self._epoll = select.epoll()
        self._epoll.register(self._native.fileno(), select.EPOLLIN)
        self._epoll.register(self._bell, select.EPOLLIN)

    def set_timeout(self, timeout: float | None) -> None:
        """Change the time limit of later calls."""
        self._native.set_timeout(_leases.milliseconds(timeout))
        self._timeout = timeout

    def acquire(self, name: str, *, index: int = 0, read_only: bool = False, seconds: int = 0,
                wait: float = 0) -> Lease:
        """Acquire a slice, "device/slice".

        index: which of an array, or ANY_INDEX; seconds: how long, 0: as long as
        allowed; wait: seconds to wait until other leases of the slice end.  The timeout
        is added to that.

        Raises NotFoundError: no such slice, or not for this user; BusyError: others have
        it, and wait is 0; TimeoutError: others had it for all of that time;
        LostError: the device is not open; Error with EDQUOT: too many leases, ...
        """
        deadline = None if self._timeout is None else time.monotonic() + self._timeout + wait
        request = self._start(name, index, read_only, seconds, wait, deadline)
        try:
            while True:
                event = self._read()
                if isinstance(event, LeaseEvent):
                    self._put_aside(event)
                elif event is None:
                    if self._put_news_aside() and not self._poll_native(deadline):
                        raise TimeoutError(errno.ETIMEDOUT, "the broker did not answer in time")
                elif event.request != request:
                    # The event of a request that was interrupted before its number was known.
                    self._drop(event)
                elif isinstance(event, Refused):
                    request = 0
                    raise event.error
                else:
                    request = 0
                    lease = self._leases[event.lease] = Lease(self, event)
                    return lease
        finally:
            if request and not self._native.closed():
                self._cancel(request)

    def _start(self, name: str, index: int, read_only: bool, seconds: int, wait: float,
               deadline: float | None) -> int:
        while True:
            try:
                return _leases.start(self._native, name, index, read_only, seconds, wait)
            except WouldBlockError:
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(errno.ETIMEDOUT, "the broker does not read requests") from None
                time.sleep(_RETRY)

    def _cancel(self, request: int) -> None:
        try:
            self._native.acquire_cancel(request)
        except (NotFoundError, DisconnectedError):
            pass

    def _drop(self, event: Granted | Refused) -> None:
        if isinstance(event, Granted):
            event.close()
            try:
                self._native.release(event.lease)
            except NotFoundError:
                pass

    def _read(self) -> LeaseEvent | Granted | Refused | None:
        values = self._native.next()
        return None if values is None else _leases.event_of(values)

    def _poll_native(self, deadline: float | None) -> bool:
        poll = select.poll()
        poll.register(self._native.fileno(), select.POLLIN)
        left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
        return bool(poll.poll(left))

    def _wait(self, deadline: float | None) -> bool:
        """Until there is something to read; False: the time is over."""
        return (deadline is None or time.monotonic() < deadline) and self._poll_native(deadline)

    # The connection's fd is readable until all events and news are read.  So what waits for one reads the other.

    def _put_aside(self, event: LeaseEvent) -> None:
        self._aside.append(event)
        self._ring()

    def _put_events_aside(self) -> bool:
        """False: the connection has ended, which is reported after all that came before."""
        try:
            while (read := self._read()) is not None:
                if isinstance(read, LeaseEvent):
                    self._put_aside(read)
                else:
                    self._drop(read)
        except DisconnectedError:
            return False
        return True

    def _put_news_aside(self) -> bool:
        """Likewise."""
        try:
            while self._watches and (values := self._native.news()) is not None:
                self._news.put(news_of(values))
                self._ring()
        except DisconnectedError:
            return False
        return True

    def _ring(self) -> None:
        """Makes fileno() readable while something is put aside."""
        wanted = bool(self._aside or self._news)
        if wanted and not self._rung:
            os.eventfd_write(self._bell.fileno(), 1)
        elif self._rung and not wanted:
            os.eventfd_read(self._bell.fileno())
        self._rung = wanted

    def _next_event(self) -> LeaseEvent | None:
        if self._aside:
            event = self._aside.popleft()
            self._ring()
            return event
        while (read := self._read()) is not None:
            if isinstance(read, LeaseEvent):
                return read
            self._drop(read)
        return None

    def next_event(self, timeout: float | None = 0) -> LeaseEvent | None:
        """What has happened to a lease of this client.

        Waits up to timeout seconds; None: without limit.  Returns None if there is no
        event.  If a lease has had several states, it may report only the last.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (event := self._next_event()) is None:
            if self._put_news_aside() and not self._wait(deadline):
                return None
        lease = self._leases.get(event.lease)
        if lease is not None:
            lease._take(event.state, event.end)
        return event

    def watch(self) -> Iterator[News]:
        """What happens to leases and devices from now on: an iterator that waits for the next news.

        An administrator gets all.  Others get what happens to the leases of their user, on
        all connections.  If the program is slow, MissedNews says how many it has missed.
        The iterator raises DisconnectedError when the connection ends.

        Raises UnsupportedError if the broker is older.
        """
        try:
            self._native.watch()
        except TimeoutError:
            # The broker may still do it.
            self._watches = True
            raise
        self._watches = True
        return self._watch()

    def _watch(self) -> Iterator[News]:
        while True:
            news = self.next_news(None)
            if news is not None:
                yield news

    def _next_news(self) -> News | None:
        if self._news:
            news = self._news.take()
            self._ring()
            return news
        values = self._native.news()
        return None if values is None else news_of(values)

    def next_news(self, timeout: float | None = 0) -> News | None:
        """The next news, after watch(); for programs that do more than wait for them.

        Waits up to timeout seconds; None: without limit.  Returns None if there is none.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (news := self._next_news()) is None:
            if self._put_events_aside() and not self._wait(deadline):
                return None
        return news

    def fileno(self) -> int:
        """An fd that is readable when next_event() or next_news() has something to report."""
        return self._epoll.fileno()

    def slices(self) -> list[SliceInfo]:
        """The slices that this user may lease; for an administrator: all."""
        return _leases.slices(self._native)

    def leases(self) -> list[LeaseInfo]:
        """This client's leases; for an administrator: all."""
        return _leases.leases(self._native)

    def devices(self) -> list[DeviceInfo]:
        """The broker's devices; for administrators."""
        return _leases.devices(self._native)

    def accounts(self) -> list[AccountInfo]:
        """This user's account; for an administrator: all."""
        return _leases.accounts(self._native)

    def status(self) -> Status:
        """The status of the broker."""
        return _leases.status(self._native)

    def revoke(self, lease: int) -> None:
        """End any lease, by its id; for administrators."""
        self._native.revoke(lease)

    def reload(self) -> None:
        """Make the broker read its configuration again; for administrators."""
        self._native.reload()

    def close(self) -> None:
        """End the connection, and all leases with it.  May be called again."""
        self._epoll.close()
        self._bell.close()
        self._native.close()
