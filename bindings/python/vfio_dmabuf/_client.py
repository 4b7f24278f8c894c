# SPDX-License-Identifier: MIT
"""A client of the broker that waits for its answers; aio.py has one that does not."""
import errno
import os
import select
import time
import weakref
from collections import deque
from types import TracebackType
from typing import Self

from . import _leases, _native
from ._errors import DisconnectedError, NotFoundError, TimeoutError, WouldBlockError
from ._leases import Granted, LeaseEvent, Refused
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
        self.state = State.LIVE  #: from the events that the client has read
        self.end = End.NONE  #: why it has ended, also from the events

    def _take(self, state: State, end: End) -> None:
        self.state, self.end = state, end

    def release(self) -> None:
        """End the lease before its time, and close the slice.

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


class Client:
    """A connection to the broker.

    Every call ends within the timeout (seconds; None: no limit).  As a context
    manager, it is closed at the end, and then its leases end.  Only one thread at a
    time can use it.
    """

    def __init__(self, path: str | None = None, *, timeout: float | None = 10.0) -> None:
        """Connect to the broker; path: its socket, if not the default."""
        # fileno() is readable because of events on the connection, and of events that acquire() has put aside.
        self._aside: deque[LeaseEvent] = deque()
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
                    self._poll_native(deadline)
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
            event.slice.close()
            try:
                self._native.release(event.lease)
            except NotFoundError:
                pass

    def _read(self) -> LeaseEvent | Granted | Refused | None:
        values = self._native.next()
        return None if values is None else _leases.event_of(values)

    def _poll_native(self, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(self._native.fileno(), select.POLLIN)
        left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
        if not poll.poll(left):
            raise TimeoutError(errno.ETIMEDOUT, "the broker did not answer in time")

    def _put_aside(self, event: LeaseEvent) -> None:
        if not self._aside:
            os.eventfd_write(self._bell.fileno(), 1)
        self._aside.append(event)

    def _next(self) -> LeaseEvent | None:
        if self._aside:
            event = self._aside.popleft()
            if not self._aside:
                os.eventfd_read(self._bell.fileno())
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
        while (event := self._next()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            self._epoll.poll(left)
        lease = self._leases.get(event.lease)
        if lease is not None:
            lease._take(event.state, event.end)
        return event

    def fileno(self) -> int:
        """An fd that is readable when next_event() has something to report."""
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

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._native.closed()

    def close(self) -> None:
        """End the connection, and all leases with it.  May be called again."""
        self._epoll.close()
        self._bell.close()
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
