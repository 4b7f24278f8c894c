# SPDX-License-Identifier: MIT
"""A client of the broker for asyncio.

    async with await aio.connect() as client:
        async with await client.acquire("nic/doorbell", wait=60) as lease:
            with lease.slice.map() as registers:
                registers.write32(0, 1)

Events and grants are read when the connection's fd is readable.  Other requests are
made in a thread, one at a time, and nothing else uses the connection meanwhile.
"""
import asyncio
import builtins
import contextlib
import errno
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from . import _leases, _native
from ._errors import DisconnectedError, Error, NotFoundError, TimeoutError, WouldBlockError
from ._leases import Granted, LeaseEvent, Refused
from ._news import Backlog, News, news_of
from ._slice import Slice
from ._types import AccountInfo, DeviceInfo, End, LeaseInfo, SliceInfo, State, Status

__all__ = ["Client", "Lease", "Watch", "connect"]

_T = TypeVar("_T")

_RETRY = 0.02  # seconds; a broker that does not read does not report when it reads again
_AT_ONCE = 64  # events, before other tasks run


def _copy(error: Error) -> Error:
    return type(error)(*error.args)


class Lease:
    """A slice that the broker granted; from Client.acquire().

    It ends when it is released or revoked, when its time expires, or when the connection
    ends.  It does not end when its slice is closed.  As an asynchronous context manager,
    it is released at the end.
    """

    def __init__(self, client: "Client", grant: Granted) -> None:
        """For this package; use Client.acquire()."""
        self._client = client
        self._ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.id = grant.lease
        self.index = grant.index  #: which of an array of slices
        self.seconds = grant.seconds  #: until it expires; 0: it does not expire
        self.slice: Slice = grant.slice
        self.memory = grant.memory  #: its memory for DMA, if the slice of the configuration has some
        self.interrupt = grant.interrupt  #: an eventfd, as a file to read 8 bytes from, if it has an interrupt
        self.state = State.LIVE
        self.end = End.NONE  #: why it has ended

    def _take(self, state: State, end: End) -> None:
        self.state, self.end = state, end
        if state == State.REVOKED and not self._ended.done():
            self._ended.set_result(end)

    def _break(self, error: Error) -> None:
        self.state = State.REVOKED
        if not self._ended.done():
            self._ended.set_exception(error)
            # The caller need not wait for it.
            self._ended.exception()

    async def wait_end(self) -> End:
        """Wait until the lease ends, and return why; raises DisconnectedError if the connection ends."""
        return await asyncio.shield(self._ended)

    async def release(self) -> None:
        """End the lease before its time, and close the slice, its memory and its interrupt.

        When it returns, the slice is revoked.  Does nothing if the lease has ended.
        """
        try:
            if self.state != State.REVOKED:
                await self._client._shielded(self._release)
        finally:
            self._close()

    def _close(self) -> None:
        self.slice.close()
        if self.memory is not None:
            self.memory.close()
        if self.interrupt is not None:
            self.interrupt.close()

    async def _release(self) -> None:
        # Also if the caller was cancelled, because the broker does not send an event for a release.
        try:
            await self._client._locked(self._client._native.release, self.id)
        except NotFoundError:
            # It is already ending, and an event reports why.
            pass
        else:
            self._take(State.REVOKED, End.RELEASED)

    async def renew(self, seconds: int = 0) -> int:
        """Renew the lease for this time from now; 0: as long as allowed.

        Returns the seconds granted, 0 if it does not end by itself.
        """
        self.seconds = await self._client._call(self._client._native.renew, self.id,
                                                _leases.u32("seconds", seconds))
        return self.seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        try:
            await self.release()
        except DisconnectedError:
            # All leases have ended with the connection.
            pass


class Watch:
    """What happens to leases and devices: an asynchronous iterator; from Client.watch()."""

    def __init__(self) -> None:
        """For this package; use Client.watch()."""
        self._backlog = Backlog()
        self._changed = asyncio.Event()
        self._end: Error | None = None
        self._closed = False

    def _put(self, news: News) -> None:
        self._backlog.put(news)
        self._changed.set()

    def _break(self, error: Error | None) -> None:
        """No more comes: the client is closed, or the connection has ended."""
        self._end, self._closed = error, True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> News:
        while (news := self._backlog.take()) is None:
            if self._end is not None:
                raise _copy(self._end)
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return news


class Client:
    """A connection to the broker; from connect().

    Every request ends within the timeout.  A task that waits for an answer can be
    cancelled.  A request for a slice is then withdrawn; other requests are completed.
    A client belongs to the event loop in which it was connected.
    """

    def __init__(self, native: "_native.Client", timeout: float | None) -> None:
        """For this package; use connect()."""
        self._native = native
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._in_thread = False
        self._error: Error | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._requests: dict[int, asyncio.Future[Lease]] = {}
        self._withdrawn: list[int] = []
        self._leases: weakref.WeakValueDictionary[int, Lease] = weakref.WeakValueDictionary()
        self._queues: set[asyncio.Queue[LeaseEvent | Error | None]] = set()
        self._watches = False
        # Those that a program no longer uses are gone by themselves.
        self._watchers: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._fd = native.fileno()
        self._loop.add_reader(self._fd, self._read)

    # Events.

    def _read(self) -> None:
        try:
            self._read_some(self._read_event)
            self._read_some(self._read_news)
        except Error as error:
            # First what came before it.
            for read in self._read_event, self._read_news:
                with contextlib.suppress(Error):
                    while read():
                        pass
            self._break(error)

    def _read_some(self, read: Callable[[], bool]) -> None:
        for _ in range(_AT_ONCE):
            if not read():
                return

    def _read_event(self) -> bool:
        values = self._native.next()
        if values is None:
            return False
        self._take(_leases.event_of(values))
        return True

    def _read_news(self) -> bool:
        values = self._native.news() if self._watches else None
        if values is None:
            return False
        for watcher in self._watchers:
            watcher._put(news_of(values))
        return True

    def _take(self, event: LeaseEvent | Granted | Refused) -> None:
        if isinstance(event, LeaseEvent):
            lease = self._leases.get(event.lease)
            if lease is not None:
                lease._take(event.state, event.end)
            for queue in self._queues:
                queue.put_nowait(event)
            return
        future = self._requests.pop(event.request, None)
        if isinstance(event, Granted):
            if future is None or future.done():
                event.close()
                self._give_back(event.lease)
                return
            lease = self._leases[event.lease] = Lease(self, event)
            future.set_result(lease)
        elif future is not None and not future.done():
            future.set_exception(event.error)

    def _give_back(self, lease: int) -> None:
        self._spawn(self._locked(self._native.release, lease))

    def _break(self, error: Error) -> None:
        """The connection has ended."""
        if self._error is not None:
            return
        self._error = error
        if not self._in_thread:
            self._loop.remove_reader(self._fd)
        # Each waiter has its own copy, because raising an exception adds a traceback to it.
        for future in self._requests.values():
            if not future.done():
                future.set_exception(_copy(error))
        self._requests.clear()
        for lease in self._leases.values():
            lease._break(_copy(error))
        for queue in self._queues:
            queue.put_nowait(_copy(error))
        for watcher in self._watchers:
            watcher._break(error)

    # Requests.

    def _check(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("the client belongs to another event loop")
        if self._native.closed():
            raise ValueError("the client is closed")
        if self._error is not None:
            raise _copy(self._error)

    def _spawn(self, coroutine: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # The task that waited for it may have been cancelled.
            task.exception()

    async def _locked(self, function: Callable[..., _T], *args: Any) -> _T:
        async with self._lock:
            self._check()
            self._in_thread = True
            self._loop.remove_reader(self._fd)
            try:
                return await self._loop.run_in_executor(None, function, *args)
            except DisconnectedError as error:
                self._break(error)
                raise
            finally:
                self._in_thread = False
                withdrawn, self._withdrawn = self._withdrawn, []
                if self._error is None:
                    for request in withdrawn:
                        self._cancel(request)
                    self._loop.add_reader(self._fd, self._read)

    async def _shielded(self, function: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> _T:
        self._check()
        # The thread cannot be interrupted, and has the connection until it is done.
        return await asyncio.shield(self._spawn(function(*args)))

    async def _call(self, function: Callable[..., _T], *args: Any) -> _T:
        return await self._shielded(self._locked, function, *args)

    def _cancel(self, request: int) -> None:
        try:
            self._native.acquire_cancel(request)
        except (NotFoundError, DisconnectedError):
            pass

    def _withdraw(self, request: int) -> None:
        if self._in_thread:
            self._withdrawn.append(request)
        elif self._error is None and not self._native.closed():
            self._cancel(request)

    async def _start(self, name: str, index: int, read_only: bool, seconds: int,
                     wait: float) -> "tuple[int, asyncio.Future[Lease]]":
        while True:
            async with self._lock:
                self._check()
                try:
                    request = _leases.start(self._native, name, index, read_only, seconds, wait)
                except WouldBlockError:
                    pass
                else:
                    future: asyncio.Future[Lease] = self._loop.create_future()
                    self._requests[request] = future
                    return request, future
            await asyncio.sleep(_RETRY)

    async def acquire(self, name: str, *, index: int = 0, read_only: bool = False, seconds: int = 0,
                      wait: float = 0) -> Lease:
        """Acquire a slice; arguments and exceptions are those of vfio_dmabuf.Client.acquire().

        Other tasks run while it waits.
        """
        self._check()
        limit = None if self._timeout is None else self._timeout + wait
        try:
            async with asyncio.timeout(limit):
                request, future = await self._start(name, index, read_only, seconds, wait)
                try:
                    return await future
                except asyncio.CancelledError:
                    if self._requests.pop(request, None) is not None:
                        self._withdraw(request)
                    elif not future.cancelled() and future.exception() is None:
                        future.result()._close()
                        self._give_back(future.result().id)
                    raise
        except Error:
            raise
        except builtins.TimeoutError:
            raise TimeoutError(errno.ETIMEDOUT, "the broker did not answer in time") from None

    async def slices(self) -> list[SliceInfo]:
        """The slices that this user may lease; for an administrator: all."""
        return await self._call(_leases.slices, self._native)

    async def leases(self) -> list[LeaseInfo]:
        """This client's leases; for an administrator: all."""
        return await self._call(_leases.leases, self._native)

    async def devices(self) -> list[DeviceInfo]:
        """The broker's devices; for administrators."""
        return await self._call(_leases.devices, self._native)

    async def accounts(self) -> list[AccountInfo]:
        """This user's account; for an administrator: all."""
        return await self._call(_leases.accounts, self._native)

    async def status(self) -> Status:
        """The status of the broker."""
        return await self._call(_leases.status, self._native)

    async def revoke(self, lease: int) -> None:
        """End any lease, by its id; for administrators."""
        await self._call(self._native.revoke, lease)

    async def reload(self) -> None:
        """Make the broker read its configuration again; for administrators."""
        await self._call(self._native.reload)

    async def events(self) -> AsyncIterator[LeaseEvent]:
        """What happens to this client's leases, from the first step of the iteration on.

        It ends when the client is closed.  It raises DisconnectedError when the
        connection ends.
        """
        self._check()
        queue: asyncio.Queue[LeaseEvent | Error | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while (event := await queue.get()) is not None:
                if isinstance(event, Error):
                    raise event
                yield event
        finally:
            self._queues.discard(queue)

    async def watch(self) -> Watch:
        """What happens to leases and devices from now on.

            async for news in await client.watch():
                print(news)

        Which news come, and exceptions, are those of vfio_dmabuf.Client.watch().  It ends
        when the client is closed.
        """
        watcher = Watch()
        # News may come before the answer.
        self._watchers.add(watcher)
        await self._shielded(self._start_watching)
        return watcher

    async def _start_watching(self) -> None:
        # Also if the caller was cancelled: what the library has received must be read.
        try:
            await self._locked(self._native.watch)
        except TimeoutError:
            # The broker may still do it.
            self._watches = True
            raise
        self._watches = True

    @property
    def closed(self) -> bool:
        """Whether close() was called."""
        return self._native.closed()

    async def close(self) -> None:
        """End the connection and all its leases.  May be called again.

        It waits for a request that is running.  If that wait is cancelled, the
        connection ends after the request.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("the client belongs to another event loop")
        if not self._native.closed():
            for queue in self._queues:
                queue.put_nowait(None)
            self._queues.clear()
            for watcher in self._watchers:
                watcher._break(None)
            self._watchers.clear()
            self._break(DisconnectedError(errno.ENOTCONN, "the client is closed"))
            # A call that runs in a thread ends first.
            self._native.close()
        async with self._lock:
            pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()


async def connect(path: str | None = None, *, timeout: float | None = 10.0) -> Client:
    """Connect to the broker; path: its socket, if not the default.

    timeout: seconds within which every request ends; None: no limit.
    """
    loop = asyncio.get_running_loop()
    try:
        native = await loop.run_in_executor(None, _native.connect, path, _leases.milliseconds(timeout))
    except OSError as error:
        error.filename = path or _native.BROKER_SOCKET
        raise
    return Client(native, timeout)
