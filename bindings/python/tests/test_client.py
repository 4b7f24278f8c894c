# SPDX-License-Identifier: MIT
"""Clients of a broker whose answers the test defines."""
import asyncio
import dataclasses
import errno
import gc
import select
import signal
import struct
import threading
import types
import typing
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable

import fake_broker
import vfio_dmabuf
from fake_broker import (ACQUIRE, ANSWER, ITEM, LIST_ACCOUNTS, LIST_DEVICES, LIST_LEASES, LIST_SLICES, RELEASE,
                         RENEW, STATE, STATUS, WATCH, end, error, news, packet)
from vfio_dmabuf import DeviceNews, End, Flag, LeaseNews, MissedNews, News, NewsType, State, _leases, _news, aio

LIMIT = 60.0  # seconds, for answers that come


def items(kind: int, *bodies: bytes) -> Callable[[int, bytes], list[bytes]]:
    def answer(serial: int, request: bytes) -> list[bytes]:
        return [packet(kind + ITEM, serial, body, i) for i, body in enumerate(bodies)] + [packet(kind + ANSWER, serial)]
    return answer


SLICE = struct.pack("<64s16sQQIIIIIIIIQ", b"nic/doorbell", b"0000:01:00.0", 65536, 4096, 2, 1 | 4 | 8, 64, 63, 1, 30,
                    3, 0, 8192)
LEASE = struct.pack("<Q64s16s64sQQIIIIIIIIIIQQ", 7, b"nic/doorbell", b"0000:01:00.0", b"me", 65536, 4096, 2, 2 | 8, 5, 9,
                    10, 11, 12, 1, 3, 77, 8192, 0x10000)
# Without an interrupt, of a broker that does not know memory.
PLAIN_SLICE = struct.pack("<64s16sQQIIIIIIII", b"nic/plain", b"0000:01:00.0", 0, 4096, 0, 0, 1, 1, 0, 0, 3, 0)
PLAIN_LEASE = struct.pack("<Q64s16s64sQQIIIIIIIIII", 8, b"nic/plain", b"0000:01:00.0", b"me", 0, 4096, 0, 0, 0, 0,
                          10, 11, 12, 0, 3, 0)
DEVICE = struct.pack("<64s16sIIII192s", b"nic", b"0000:01:00.0", 9, 1, 4, 5, b"it is asleep")
ACCOUNT = struct.pack("<QIIIIIIII", 1000, 1, 2, 3, 0, 4, 5, 6, 0)
STATUS_BODY = struct.pack("<II6I6III192s", 3, 16, 1, 2, 3, 4, 5, 0, 6, 7, 8, 9, 10, 0, 2, 1, b"all is wrong")


LEASE_NEWS = news(3, time=1500000, lease=7, end=2, name=b"nic/doorbell")
# What the broker sends, and what the program gets.
ALL_NEWS = [
    (LEASE_NEWS, LeaseNews(NewsType.ENDED, 1.5, 7, End.EXPIRED, "nic/doorbell", 3, "0000:01:00.0", 2, 0x1000, 0x2000,
                           Flag.READ_ONLY, 4, 5, 6, 7, "me", True)),
    (news(5, name=b"nic", reason=b"gone"), DeviceNews(NewsType.DEVICE_LOST, None, "nic", "0000:01:00.0", "gone")),
    (news(8), News(NewsType.RESTARTED, None)),
    (news(9, missed=3), MissedNews(NewsType.MISSED, None, 3)),
    (news(77), News(NewsType(77), None)),
]


def watched(serial: int, request: bytes) -> list[bytes]:
    return [packet(WATCH + ANSWER, serial)]


class BacklogTest(unittest.TestCase):
    def test_news_that_do_not_fit_are_counted(self) -> None:
        backlog = _news.Backlog()
        self.assertFalse(backlog)
        restarted = News(NewsType.RESTARTED, None)
        for _ in range(_news._ROOM + 2):
            backlog.put(restarted)
        backlog.put(MissedNews(NewsType.MISSED, 1.0, 5))
        self.assertEqual([backlog.take() for _ in range(_news._ROOM)], [restarted] * _news._ROOM)
        self.assertTrue(backlog)
        # What comes after them is missed as well, until the program has been told.
        backlog.put(restarted)
        self.assertEqual(backlog.take(), MissedNews(NewsType.MISSED, None, 8))
        backlog.put(restarted)
        self.assertEqual((backlog.take(), backlog.take()), (restarted, None))
        self.assertFalse(backlog)


class ClientTest(unittest.TestCase):
    def setUp(self) -> None:
        self.broker = fake_broker.Broker()
        self.addCleanup(self.broker.close)
        self.client = vfio_dmabuf.Client(self.broker.path, timeout=LIMIT)
        self.addCleanup(self.client.close)

    def test_lists(self) -> None:
        self.broker.answers[LIST_SLICES] = items(LIST_SLICES, SLICE, PLAIN_SLICE)
        self.broker.answers[LIST_LEASES] = items(LIST_LEASES, LEASE, PLAIN_LEASE)
        self.broker.answers[LIST_DEVICES] = items(LIST_DEVICES, DEVICE)
        self.broker.answers[LIST_ACCOUNTS] = items(LIST_ACCOUNTS, ACCOUNT)
        expected = vfio_dmabuf.SliceInfo("nic/doorbell", "0000:01:00.0", 2, Flag.READ_ONLY, True, 65536, 4096, 64,
                                         63, 1, 30, vfio_dmabuf.DevicePhase.OPEN, 8192, True)
        listed, plain_slice = self.client.slices()
        self.assertEqual(listed, expected)
        lease, plain_lease = self.client.leases()
        for plain in plain_slice, plain_lease:
            self.assertEqual((plain.name, plain.memory, plain.interrupt), ("nic/plain", 0, False))
        self.assertEqual(lease, vfio_dmabuf.LeaseInfo(
            7, "nic/doorbell", "0000:01:00.0", "me", 2, Flag.WRITE_COMBINING, 65536, 4096, 5, 9, 10, 11, 12,
            State.SUSPENDED, vfio_dmabuf.LeasePhase.GRANTED, End(77), 8192, 0x10000, True))
        self.assertEqual(lease.end.name, "UNKNOWN_77")
        (device,) = self.client.devices()
        self.assertEqual((device.name, device.phase, device.suspended, device.leases, device.waiting, device.reason),
                         ("nic", 9, True, 4, 5, "it is asleep"))
        self.assertEqual(self.client.accounts(), [vfio_dmabuf.AccountInfo(
            1000, vfio_dmabuf.Share(1, 2, 3), vfio_dmabuf.Share(4, 5, 6))])

    def test_status(self) -> None:
        self.broker.answers[STATUS] = lambda serial, request: [packet(STATUS + ANSWER, serial, STATUS_BODY)]
        self.assertEqual(self.client.status(), vfio_dmabuf.Status(
            True, True, 16, vfio_dmabuf.Total(1, 2, 3, 4, 5), vfio_dmabuf.Total(6, 7, 8, 9, 10), 2, 1, "all is wrong"))

    def test_errors_have_the_brokers_words(self) -> None:
        for code, number, kind, builtin in (
                (5, errno.ENOENT, vfio_dmabuf.NotFoundError, FileNotFoundError),
                (6, errno.EBUSY, vfio_dmabuf.BusyError, OSError),
                (8, errno.EDQUOT, vfio_dmabuf.Error, OSError),
                (10, errno.EPERM, vfio_dmabuf.NotAllowedError, PermissionError),
                (11, errno.ENODEV, vfio_dmabuf.LostError, OSError)):
            self.broker.answers[ACQUIRE] = self.broker.answers[LIST_DEVICES] = \
                lambda serial, request: [error(serial, code, f"words {code}")]
            for call in lambda: self.client.acquire("nic/doorbell"), self.client.devices:
                with self.subTest(code=code), self.assertRaises(kind) as caught:
                    call()
                self.assertIsInstance(caught.exception, builtin)
                self.assertEqual((caught.exception.errno, caught.exception.strerror), (number, f"words {code}"))

    def test_not_granted_in_time(self) -> None:
        self.broker.answers[ACQUIRE] = lambda serial, request: [
            packet(ACQUIRE + ANSWER, serial, struct.pack("<Q", 3)), end(serial, 3, 0, 9)]
        with self.assertRaises(TimeoutError) as caught:
            self.client.acquire("nic/doorbell", wait=1)
        self.assertIsInstance(caught.exception, vfio_dmabuf.Error)

    def test_watch(self) -> None:
        # The first comes before the answer.
        self.broker.answers[WATCH] = lambda serial, request: [
            ALL_NEWS[0][0], packet(WATCH + ANSWER, serial), *(packet for packet, _ in ALL_NEWS[1:])]
        watch = self.client.watch()
        for _, expected in ALL_NEWS:
            self.assertEqual(next(watch), expected)
        self.assertEqual(NewsType(77).name, "UNKNOWN_77")
        self.assertIsNone(self.client.next_news())
        self.assertIsNone(self.client.next_news(0.01))
        with self.assertRaises(dataclasses.FrozenInstanceError):
            ALL_NEWS[0][1].time = 2.0  # type: ignore[misc]
        self.broker.hang_up()
        with self.assertRaises(vfio_dmabuf.DisconnectedError):
            next(watch)

    def test_not_watched(self) -> None:
        with self.assertRaises(vfio_dmabuf.Error) as caught:
            self.client.next_news()
        self.assertEqual((caught.exception.errno, caught.exception.strerror),
                         (errno.EINVAL, "this client does not watch"))
        self.broker.answers[WATCH] = lambda serial, request: [error(serial, 4, "no such request")]
        with self.assertRaises(vfio_dmabuf.UnsupportedError):
            self.client.watch()

    def test_events_and_news_wait_for_each_other(self) -> None:
        """What is read while the program waits for the other is kept, and fileno() stays readable."""
        self.broker.answers[WATCH] = watched
        poll = select.poll()
        poll.register(self.client, select.POLLIN)
        watch = self.client.watch()
        self.broker.send(LEASE_NEWS)
        # The library is done with them: nothing keeps the connection's own fd readable.
        self.assertIsNone(self.client.next_event(0.05))
        self.assertFalse(self.client._poll_native(0))
        self.assertTrue(poll.poll(0))
        self.broker.send(LEASE_NEWS)
        self.broker.answers[ACQUIRE] = lambda serial, request: [error(serial, 6, "busy")]
        with self.assertRaises(vfio_dmabuf.BusyError):
            self.client.acquire("nic/doorbell")
        self.client._put_aside(vfio_dmabuf.LeaseEvent(7, State.SUSPENDED, End.NONE))
        self.assertEqual([next(watch), next(watch)], [ALL_NEWS[0][1]] * 2)
        self.assertTrue(poll.poll(0))
        self.assertEqual(self.client.next_event(), vfio_dmabuf.LeaseEvent(7, State.SUSPENDED, End.NONE))
        self.assertIsNone(self.client.next_event())
        self.assertFalse(poll.poll(0))

    def test_news_before_the_end_of_the_connection(self) -> None:
        self.broker.answers[WATCH] = watched
        watch = self.client.watch()
        self.broker.send(LEASE_NEWS)
        self.broker.send(LEASE_NEWS)
        self.broker.hang_up()
        # This reads all of it.
        with self.assertRaises(vfio_dmabuf.DisconnectedError):
            self.client.next_event(LIMIT)
        self.assertEqual([next(watch), next(watch)], [ALL_NEWS[0][1]] * 2)
        with self.assertRaises(vfio_dmabuf.DisconnectedError):
            next(watch)

    def test_end_of_the_connection_while_the_other_is_read(self) -> None:
        """It is not reported before what came before it."""
        self.broker.answers[WATCH] = watched
        watch = self.client.watch()
        self.broker.send(LEASE_NEWS)
        self.broker.hang_up()
        self.assertFalse(self.client._put_events_aside())
        self.assertFalse(self.client._put_news_aside())
        self.assertEqual(next(watch), ALL_NEWS[0][1])
        for call in self.client.next_news, self.client.next_event:
            with self.assertRaises(vfio_dmabuf.DisconnectedError):
                call()

    def test_late_answer_to_watch(self) -> None:
        """The broker does it all the same, and its news do not keep the fd readable."""
        self.client.set_timeout(0.02)
        with self.assertRaises(vfio_dmabuf.TimeoutError):
            self.client.watch()
        self.broker.send(packet(WATCH + ANSWER, self.broker.wait(WATCH)))
        self.broker.send(LEASE_NEWS)
        self.assertIsNone(self.client.next_event(0.05))
        self.assertFalse(self.client._poll_native(0))
        self.assertEqual(self.client.next_news(), ALL_NEWS[0][1])

    def test_what_is_asked(self) -> None:
        requests = []

        def answer(serial: int, request: bytes) -> list[bytes]:
            requests.append(struct.unpack_from("<64sIIII", request, 16))
            return [error(serial, 6, "")]

        self.broker.answers[ACQUIRE] = answer
        with self.assertRaises(vfio_dmabuf.BusyError):
            self.client.acquire("a/b", index=vfio_dmabuf.ANY_INDEX, read_only=True, seconds=5, wait=0.0015)
        self.assertEqual(requests, [(b"a/b".ljust(64, b"\0"), 0xFFFFFFFF, 1, 5, 2)])
        for lease, seconds in (2**64 + 7, 0), (7, 2**32 + 1):
            with self.assertRaises(OverflowError):
                self.client._native.renew(lease, seconds)
        for bad in {"index": -1}, {"seconds": 2**32}, {"wait": -1.0}, {"wait": float("nan")}, {"wait": 1e10}:
            with self.subTest(bad), self.assertRaises(ValueError):
                self.client.acquire("a/b", **bad)

    def test_no_answer(self) -> None:
        self.client.set_timeout(0.05)
        for call in lambda: self.client.acquire("nic/doorbell"), self.client.slices:
            with self.assertRaises(vfio_dmabuf.TimeoutError):
                call()
        # The request is withdrawn: its lease is released when the broker says which it is.
        serial = self.broker.wait(ACQUIRE)
        self.broker.send(packet(ACQUIRE + ANSWER, serial, struct.pack("<Q", 3)))
        self.client.set_timeout(LIMIT)
        self.assertIsNone(self.client.next_event(0.01))
        self.broker.wait(RELEASE)

    def test_end_of_the_connection(self) -> None:
        self.broker.connected.wait()
        self.broker.hang_up()
        for call in (lambda: self.client.acquire("nic/doorbell"), self.client.slices,
                     lambda: self.client.next_event(LIMIT)):
            with self.assertRaises(ConnectionError) as caught:
                call()
            self.assertIsInstance(caught.exception, vfio_dmabuf.DisconnectedError)

    def test_no_broker(self) -> None:
        with self.assertRaises(FileNotFoundError) as caught:
            vfio_dmabuf.Client("/nonexistent/broker")
        self.assertEqual(caught.exception.filename, "/nonexistent/broker")
        self.assertIn("broker", str(caught.exception))

    def test_closed(self) -> None:
        self.client.close()
        self.client.close()
        self.assertTrue(self.client.closed)
        for call in self.client.slices, lambda: self.client.acquire("nic/doorbell"), self.client.next_event:
            with self.assertRaises(ValueError):
                call()

    def test_closed_while_it_waits(self) -> None:
        """The call in the other thread receives its answer, and then the connection ends."""
        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(self.client.status()))
        thread.start()
        serial = self.broker.wait(STATUS)
        self.client.close()
        with self.assertRaises(ValueError):
            self.client.slices()
        self.broker.send(packet(STATUS + ANSWER, serial, STATUS_BODY))
        thread.join()
        self.assertEqual(len(results), 1)
        self.broker.thread.join(LIMIT)
        self.assertFalse(self.broker.thread.is_alive())

    def test_interrupted(self) -> None:
        """An exception of a signal handler ends the wait, and the request is withdrawn."""
        def interrupt() -> None:
            self.broker.wait(ACQUIRE)
            signal.pthread_kill(main.ident or 0, signal.SIGINT)

        main = threading.current_thread()
        thread = threading.Thread(target=interrupt)
        thread.start()
        with self.assertRaises(KeyboardInterrupt):
            self.client.acquire("nic/doorbell", wait=LIMIT)
        thread.join()


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.broker = fake_broker.Broker()
        self.client = await aio.connect(self.broker.path, timeout=LIMIT)

    async def asyncTearDown(self) -> None:
        await self.client.close()
        self.broker.close()

    async def wait(self, kind: int) -> int:
        return await asyncio.to_thread(self.broker.wait, kind)

    async def test_many_at_once(self) -> None:
        self.broker.answers[LIST_SLICES] = items(LIST_SLICES, SLICE)
        self.broker.answers[STATUS] = lambda serial, request: [packet(STATUS + ANSWER, serial, STATUS_BODY)]
        self.broker.answers[ACQUIRE] = lambda serial, request: [error(serial, 6, "busy")]
        results = await asyncio.gather(*(call for _ in range(10) for call in (
            self.client.slices(), self.client.status(), self.client.acquire("nic/doorbell"))), return_exceptions=True)
        for i in range(0, 30, 3):
            slices, status, refused = results[i:i + 3]
            assert isinstance(slices, list) and isinstance(status, vfio_dmabuf.Status)
            self.assertEqual((len(slices), status.problem), (1, "all is wrong"))
            assert isinstance(refused, vfio_dmabuf.BusyError)
            self.assertEqual(refused.strerror, "busy")

    async def test_loop_runs_while_requests_wait(self) -> None:
        acquire = asyncio.create_task(self.client.acquire("nic/doorbell", wait=LIMIT))
        serial = await self.wait(ACQUIRE)
        renew = asyncio.create_task(self.client._call(self.client._native.renew, 1, 0))
        renewed = await self.wait(RENEW)
        # The refusal comes while a thread has the connection, and is read when it has its answer.
        self.broker.send(error(serial, 5, "no such slice"))
        poll = select.poll()
        poll.register(self.client._fd, select.POLLIN)
        self.assertTrue(await asyncio.to_thread(poll.poll, LIMIT * 1000))
        for _ in range(10):
            await asyncio.sleep(0)
        self.broker.send(error(renewed, 9, "no such lease"))
        with self.assertRaises(vfio_dmabuf.NotFoundError) as caught:
            await acquire
        self.assertEqual(caught.exception.strerror, "no such slice")
        with self.assertRaises(vfio_dmabuf.NotFoundError):
            await renew

    async def test_watch(self) -> None:
        self.broker.answers[WATCH] = lambda serial, request: [LEASE_NEWS, packet(WATCH + ANSWER, serial)]
        first = await self.client.watch()
        second = await self.client.watch()
        for packet_, _ in ALL_NEWS[1:]:
            self.broker.send(packet_)
        # The second request has another answer with news.
        self.assertEqual([await anext(first) for _ in range(6)],
                         [ALL_NEWS[0][1], *(expected for _, expected in ALL_NEWS)])
        self.assertEqual([await anext(second) for _ in range(5)], [expected for _, expected in ALL_NEWS])
        waiting = asyncio.create_task(anext(first))
        await asyncio.sleep(0)
        await self.client.close()
        with self.assertRaises(StopAsyncIteration):
            await waiting
        self.assertEqual([news async for news in second], [])

    async def test_watch_that_is_not_used(self) -> None:
        self.broker.answers[WATCH] = watched
        await self.client.watch()
        gc.collect()
        self.assertEqual(len(self.client._watchers), 0)
        self.broker.send(LEASE_NEWS)
        self.broker.answers[STATUS] = lambda serial, request: [packet(STATUS + ANSWER, serial, STATUS_BODY)]
        await self.client.status()

    async def test_watch_ends_with_the_connection(self) -> None:
        self.broker.answers[WATCH] = watched
        watch = await self.client.watch()
        self.broker.send(LEASE_NEWS)
        self.broker.hang_up()
        self.assertEqual(await anext(watch), ALL_NEWS[0][1])
        for _ in range(2):
            with self.assertRaises(vfio_dmabuf.DisconnectedError):
                await anext(watch)

    async def test_older_broker(self) -> None:
        self.broker.answers[WATCH] = lambda serial, request: [error(serial, 4, "no such request")]
        with self.assertRaises(vfio_dmabuf.UnsupportedError):
            await self.client.watch()

    async def test_cancelled_request(self) -> None:
        for lease, in_thread in (3, False), (4, True):
            acquire = asyncio.create_task(self.client.acquire("nic/doorbell", wait=LIMIT))
            serial = await self.wait(ACQUIRE)
            if in_thread:
                status = asyncio.create_task(self.client.status())
                asked = await self.wait(STATUS)
            acquire.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await acquire
            if in_thread:
                self.broker.send(packet(STATUS + ANSWER, asked, STATUS_BODY))
                await status
            # It is released as soon as the broker says which lease it is.
            self.broker.send(packet(ACQUIRE + ANSWER, serial, struct.pack("<Q", lease)))
            await self.wait(RELEASE)

    async def test_cancelled_call_goes_on(self) -> None:
        """Its thread keeps the connection; the loop does not wait for either."""
        other = fake_broker.Broker()
        client = await aio.connect(other.path, timeout=10)
        results: list[object] = []

        def status() -> None:
            try:
                results.append(client._native.status())
            except Exception as failure:
                results.append(failure)

        task = asyncio.create_task(client._call(status))
        serial = await asyncio.to_thread(other.wait, STATUS)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        other.answers[ACQUIRE] = lambda serial, request: [error(serial, 6, "busy")]
        acquire = asyncio.create_task(client.acquire("nic/doorbell"))
        # By then it has done everything that it can do before the thread has its answer.
        for _ in range(10):
            await asyncio.sleep(0)
        other.send(packet(STATUS + ANSWER, serial, STATUS_BODY))
        with self.assertRaises(vfio_dmabuf.BusyError):
            await acquire
        self.assertIsInstance(results[0], tuple)
        await client.close()
        other.close()

    async def test_no_answer(self) -> None:
        other = fake_broker.Broker()
        async with await aio.connect(other.path, timeout=0.05) as client:
            with self.assertRaises(vfio_dmabuf.TimeoutError):
                await client.acquire("nic/doorbell")
            with self.assertRaises(vfio_dmabuf.TimeoutError):
                await client.slices()
        other.close()

    async def test_end_of_the_connection(self) -> None:
        async def next_event(events: AsyncIterator[vfio_dmabuf.LeaseEvent]) -> None:
            async for _ in events:
                pass

        events = asyncio.create_task(next_event(self.client.events()))
        acquire = asyncio.create_task(self.client.acquire("nic/doorbell", wait=LIMIT))
        await self.wait(ACQUIRE)
        self.broker.hang_up()
        calls: list[Awaitable[object]] = [acquire, events, self.client.slices(), self.client.acquire("nic/doorbell")]
        for call in calls:
            with self.assertRaises(vfio_dmabuf.DisconnectedError):
                await call

    async def test_closing(self) -> None:
        async def count(events: AsyncIterator[vfio_dmabuf.LeaseEvent]) -> int:
            return len([event async for event in events])

        events = asyncio.create_task(count(self.client.events()))
        acquire = asyncio.create_task(self.client.acquire("nic/doorbell", wait=LIMIT))
        await self.wait(ACQUIRE)
        await self.client.close()
        self.assertEqual(await events, 0)
        with self.assertRaises(vfio_dmabuf.DisconnectedError):
            await acquire
        with self.assertRaises(ValueError):
            await self.client.slices()
        self.assertTrue(self.client.closed)

    def lease(self) -> aio.Lease:
        """As if the broker had granted it; its slice is a stand-in."""
        granted = _leases.Granted(1, 3, 0, 0, typing.cast(vfio_dmabuf.Slice, types.SimpleNamespace(close=lambda: None)))
        lease = self.client._leases[3] = aio.Lease(self.client, granted)
        return lease

    async def test_cancelled_release_ends_the_lease(self) -> None:
        """The broker does what was requested, and does not report an end."""
        lease = self.lease()
        waiting = asyncio.create_task(lease.wait_end())
        release = asyncio.create_task(lease.release())
        serial = await self.wait(RELEASE)
        release.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await release
        self.broker.send(end(serial, 3, serial, 1))
        self.assertEqual(await asyncio.wait_for(waiting, LIMIT), End.RELEASED)
        self.assertEqual((lease.state, lease.end), (State.REVOKED, End.RELEASED))

    async def test_cancelled_closing(self) -> None:
        """The connection ends when the thread that has it has its answer."""
        status = asyncio.create_task(self.client.status())
        serial = await self.wait(STATUS)
        closing = asyncio.create_task(self.client.close())
        await asyncio.sleep(0)
        closing.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await closing
        self.assertTrue(self.client.closed)
        with self.assertRaises(ValueError):
            await self.client.slices()
        self.broker.send(packet(STATUS + ANSWER, serial, STATUS_BODY))
        self.assertEqual((await status).problem, "all is wrong")
        await asyncio.to_thread(self.broker.thread.join, LIMIT)
        self.assertFalse(self.broker.thread.is_alive())

    async def test_another_loop(self) -> None:
        """The client is not used there, where an error would not be reported."""
        lease = self.lease()

        async def use() -> list[object]:
            return list(await asyncio.gather(self.client.slices(), self.client.acquire("nic/doorbell"),
                                             lease.release(), self.client.close(), return_exceptions=True))

        for result in await asyncio.to_thread(asyncio.run, use()):
            self.assertIsInstance(result, RuntimeError)
        self.assertFalse(self.client.closed)

    async def test_exceptions_do_not_grow(self) -> None:
        """Each call raises its own exception, with its own traceback."""
        await asyncio.to_thread(self.broker.connected.wait)
        self.broker.hang_up()
        raised = await asyncio.gather(*(self.client.slices() for _ in range(3)), self.client.acquire("nic/doorbell"),
                                      return_exceptions=True)
        for error in raised:
            self.assertIsInstance(error, vfio_dmabuf.DisconnectedError)
        self.assertEqual(len(set(map(id, raised))), 4)

    async def test_message_of_an_unknown_lease(self) -> None:
        await asyncio.to_thread(self.broker.connected.wait)
        self.broker.send(packet(STATE, 0, struct.pack("<QII", 99, 1, 0)))
        await self.wait(RELEASE)

    async def test_no_broker(self) -> None:
        with self.assertRaises(FileNotFoundError):
            await aio.connect("/nonexistent/broker")


if __name__ == "__main__":
    unittest.main()
