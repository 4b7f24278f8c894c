#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Python package with real devices and a broker.  Prints TAP.

    bindings.py owner EDU NVME IVSHMEM    PCI functions
    bindings.py client SOCKET
    bindings.py tasks SOCKET
    bindings.py interrupt SOCKET
    bindings.py survive SOCKET
"""
import asyncio
import errno
import faulthandler
import gc
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

import vfio_dmabuf
from vfio_dmabuf import (BusyError, Capability, Client, Device, DeviceNews, Dma, End, Flag, Kind, LeaseNews, LostError,
                         Mapping, NewsType, NotAllowedError, NotFoundError, Slice, State, UnreachableError, aio)

PAGE = mmap.PAGESIZE
EDU_SIZE = 4096  # of the device's own memory
LIMIT = 60.0  # seconds, for answers and events
ID = 0x010000ED
LIVENESS = 4  # reads the complement of what was written

number = failed = 0


def ok(true: object, what: str) -> None:
    global number, failed
    number += 1
    failed += not true
    print("ok" if true else "not ok", number, "-", what, flush=True)


def raises(kind: type[BaseException], call, *args, **kwargs):
    """The exception, or None."""
    try:
        call(*args, **kwargs)
    except kind as error:
        return error
    return None


def readable(fd, timeout: float = 0) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return dict(poll.poll(timeout * 1000)).get(fd if isinstance(fd, int) else fd.fileno(), 0)


def fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def set_memory(device: Device, enable: bool) -> None:
    """The command register; VFIO has config space in region 7."""
    config = 7 << 40
    command = int.from_bytes(os.pread(device.fileno(), 2, config + 4), "little")
    command = command | 2 if enable else command & ~2
    os.pwrite(device.fileno(), command.to_bytes(2, "little"), config + 4)


def check_devices(edu: str) -> None:
    with Device(edu) as device:
        ok(device.capabilities() == Capability.EXPORT | Capability.WRITE_COMBINING | Capability.EVENTS
           | Capability.LIST, "the driver has all capabilities")
        bar = device.bar(0)
        ok((bar.size, bar.memory, bar.mappable) == (1 << 20, True, True), "BAR 0 is described")
        ok(device.bar(1).size == 0, "there is no BAR 1")
        ok(device.iommu_fileno() >= 0, "it has an IOMMU")
        error = raises(BusyError, Device, edu)
        ok(error and error.filename == edu and error.strerror, f"it is busy: {error}")
        ok(raises(vfio_dmabuf.Error, device.reset), "it cannot be reset alone")
        ok(raises(LostError, device.export, 1, (0, PAGE)), "a BAR that is not there is not exported")
        for ranges in (), ((0, 1),), ((1, PAGE),), ((1 << 20, PAGE),):
            ok(raises(vfio_dmabuf.Error, device.export, 0, *ranges), f"{ranges} is not exported")


def check_slices(edu: str) -> None:
    with Device(edu) as device:
        slice = device.export(0, (3 * PAGE, PAGE), (0, PAGE))
        ok((slice.bdf, slice.bar, slice.offset, slice.length, slice.flags) ==
           (edu, 0, 3 * PAGE, 2 * PAGE, Flag(0)), f"the slice knows what it is: {slice}")
        registers = slice.map(PAGE)
        ok(len(registers) == PAGE and registers.read32(0) == ID, "its second range has the registers")
        registers.write32(LIVENESS, 0x12345678)
        ok(registers.read32(LIVENESS) == 0xEDCBA987, "they can be written")
        ok(raises(vfio_dmabuf.Error, slice.map, 1), "no mapping at a byte")
        slice.close()
        ok(registers.read32(0) == ID, "the mapping outlives the slice's fds")
        ok(raises(ValueError, slice.map), "the closed slice cannot be mapped")
        registers.close()
        ok(raises(ValueError, registers.read32, 0), "the closed mapping cannot be read")

        with device.export(0, (0, PAGE), read_only=True) as slice, slice.map() as registers:
            ok(slice.flags == Flag.READ_ONLY and not registers.writable, "a read-only slice is mapped read-only")
            ok(registers.read32(0) == ID, "and reads")
            ok(raises(NotAllowedError, registers.write32, 4, 0), "and does not write")
            ok(raises(PermissionError, slice.map, writable=True), "and cannot be mapped writable")


def check_memory(ivshmem: str) -> None:
    with Device(ivshmem) as device, device.export(2, (0, 4 * PAGE), write_combining=True) as slice:
        with slice.map() as memory, device.export(2, (0, PAGE)).map() as registers:
            memory.write32(0, 0x12345678)
            memory.flush()
            ok(registers.read32(0) == 0x12345678, "write-combining memory is flushed")
            registers.write64(8, 0x1122334455667788)
            ok((registers.read8(15), registers.read16(12), registers.read32(8)) == (0x11, 0x3344, 0x55667788),
               "registers have their width")
            data = bytes(range(256)) * 48
            memory.write(3, data)
            memory.flush()
            ok(memory.read(3, len(data)) == data, "blocks are copied")
            memory.write(64, data[:128], 64)
            memory.flush()
            ok(registers.read(64, 128, 4) == data[:128], "blocks of write-combining memory are copied")


def check_suspension(edu: str) -> None:
    with Device(edu) as device, device.export(0, (0, PAGE)) as slice, slice.map() as registers:
        ok(slice.event_fileno() == -1 and raises(vfio_dmabuf.Error, slice.state), "it is not watched")
        device.watch_slice(slice)
        events = device.watch()
        ok(readable(slice.event_fileno()) and slice.state() == State.LIVE, "it is live")
        ok(not readable(slice.event_fileno()), "that has been read")
        ok(readable(events) and events.state() == State.LIVE and not readable(events), "and so is the device")
        set_memory(device, False)
        ok(readable(slice.event_fileno()) and slice.state() == State.SUSPENDED, "it is suspended")
        ok(events.state() == State.SUSPENDED and events.state() == State.SUSPENDED, "and so is the device")
        error = raises(UnreachableError, registers.read32, 0)
        ok(error and "cannot be reached" in str(error), f"reading raises: {error}")
        ok(raises(UnreachableError, registers.write32, 4, 0), "and writing")
        changes = slice.changes()
        set_memory(device, True)
        ok(slice.state() == State.LIVE and slice.changes() > changes, "it is live again")
        ok(registers.read32(0) == ID, "and reads")
        ok(device.revoke(slice) is True, "it is revoked")
        ok(device.revoke(slice) is False, "it was revoked before")
        ok(readable(slice.event_fileno()) & select.POLLHUP and slice.state() == State.REVOKED, "which it reports")
        ok(raises(UnreachableError, registers.read32, 0), "reading raises")
        ok(raises(UnreachableError, registers.read, 0, PAGE), "and copying")
        ok(raises(LostError, slice.map), "it cannot be mapped any more")
    ok(events.state() == State.REVOKED and events.state() == State.REVOKED and readable(events) & select.POLLHUP,
       "closing the device is reported")
    events.close()


def check_buffers(edu: str) -> None:
    with Device(edu) as device:
        first, second = device.export(0, (3 * PAGE, PAGE), (0, PAGE)), device.export(0, (PAGE, PAGE), read_only=True)
        ids = [device.slice_id(slice) for slice in (first, second)]
        mapping = second.map()
        listed = device.buffers()
        ok([buffer.id for buffer in listed] == ids and ids[0] < ids[1], "buffers are listed in order")
        buffer = listed[1]
        ok((buffer.offset, buffer.length, buffer.bar, buffer.flags, buffer.state, buffer.nr_ranges, buffer.mappings) ==
           (PAGE, PAGE, 0, Flag.READ_ONLY, State.LIVE, 1, 1), f"with what they are: {buffer}")
        ok(buffer == device.buffer(ids[1]), "one is found by its id")
        ok(device.buffer_ranges(ids[0]) == [(3 * PAGE, PAGE), (0, PAGE)], "and its ranges")
        ok(raises(NotFoundError, device.buffer, ids[1] + 100), "others are not found")
        events = device.watch(ids[1])
        ok(device.revoke_id(ids[1]) is True and device.revoke_id(ids[1]) is False, "it is revoked by its id")
        ok(events.state() == State.REVOKED, "which its watcher hears")
        events.close()
        ok(raises(UnreachableError, mapping.read32, 0), "and its mapping")
        ok(raises(NotFoundError, device.revoke_id, ids[1] + 100), "others are not revoked")
        ok(raises(OverflowError, device.revoke_id, ids[0] + 2**64) and raises(OverflowError, first.map, 2**64)
           and device.buffer(ids[0]).state == State.LIVE, "nor is a number cut to 64 bits")
        ok(raises(TypeError, device.export, 0, (0, PAGE, PAGE)), "a range has two numbers")
        many = [device.export(0, (0, PAGE)) for _ in range(150)]
        ok(len(device.buffers()) == 152, "many are listed")
        many.clear()
        ok(len(device.buffers()) == 2, "what is collected is closed")


def check_fds(edu: str) -> None:
    before = fds()
    device = Device(edu)
    copy = Device.from_fd(device)
    slice = copy.export(0, (0, PAGE))
    slice_copy = Slice.from_fd(slice.fileno(), bar=0, offset=0, bdf=edu)
    registers = slice_copy.map()
    device.close()
    device.close()
    ok(device.closed and raises(ValueError, device.buffers), "a closed device is closed")
    slice.close()
    ok(registers.read32(0) == ID, "the copy of its fd keeps it open")
    ok(copy.iommu_fileno() == -1, "and has no IOMMU")
    copy.close()
    ok(raises(UnreachableError, registers.read32, 0), "closing that revokes its slices")
    slice_copy.close()
    ok(fds() == before, "all fds are closed")


def check_passing(edu: str) -> None:
    with Device(edu) as device, device.export(0, (0, PAGE), read_only=True) as slice:
        device.watch_slice(slice)
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        there.settimeout(0.01)
        ok(raises(TimeoutError, Slice.receive, there), "nothing has come")
        there.setblocking(False)
        ok(raises(BlockingIOError, Slice.receive, there), "and still nothing")
        there.setblocking(True)
        child = os.fork()
        if not child:
            here.close()
            os.setuid(1000)
            got = Slice.receive(there)
            registers = got.map()
            good = (got.flags, got.bdf, registers.read32(0)) == (Flag.READ_ONLY, edu, ID)
            good = good and readable(got.event_fileno(), LIMIT) and got.state() == State.LIVE
            # The owner revokes it as soon as it has read this.
            there.send(b"x")
            while good and got.state() != State.REVOKED:
                readable(got.event_fileno(), LIMIT)
            os._exit(0 if good and raises(UnreachableError, registers.read32, 0) else 1)
        there.close()
        slice.send(here, device)
        here.recv(1)
        device.revoke(slice)
        ok(slice.state() == State.REVOKED, "the owner has an event fd of its own")
        ok(os.waitpid(child, 0)[1] == 0, "another user's process uses a slice until it is revoked")
        ok(raises(ConnectionError, Slice.receive, here), "the other end is closed")
        here.close()


def waits_for(fd: int, thread: threading.Thread) -> bool:
    """Whether it sleeps in a call whose first argument is that; each architecture has numbers of its own for calls."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/syscall", encoding="ascii") as syscall:
            return syscall.read().split()[1:2] == [hex(fd)]
    except OSError:
        # It has ended.
        return False


def check_blocked_sender(edu: str) -> None:
    with Device(edu) as device, device.export(0, (0, PAGE)) as slice:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        errors: list[BaseException] = []

        def send() -> None:
            try:
                # This waits in the library; slice.send() would wait in Python.
                slice._native.send(here, None)
            except vfio_dmabuf.Error as error:
                errors.append(error)

        # Until there is no room for one more.
        here.setblocking(False)
        while not raises(BlockingIOError, slice.send, here):
            pass
        here.setblocking(True)
        thread = threading.Thread(target=send)
        thread.start()
        while thread.is_alive() and not waits_for(here.fileno(), thread):
            thread.join(0.001)
        ok(device.revoke(slice) and not errors, f"a receiver that does not read holds no revocation up {errors}")
        slice.close()
        ok(slice.closed and raises(ValueError, slice.map), "the slice is closed for others")
        there.close()
        thread.join(LIMIT)
        ok(len(errors) == 1 and isinstance(errors[0], ConnectionError), f"the sender hears of it: {errors}")
        here.close()


def check_threads(edu: str, nvme: str) -> None:
    """Threads read while this one resets and revokes."""
    with Device(nvme) as device, device.export(0, (0, PAGE)) as slice:
        registers = slice.map()
        version = registers.read32(8)
        counts = [0, 0]
        errors: list[BaseException] = []
        running = threading.Barrier(3)

        def read(which: int) -> None:
            running.wait()
            try:
                while registers.read32(8) == version:
                    counts[which] += 1
                errors.append(ValueError("another value"))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        running.wait()
        for _ in range(3):
            before = list(counts)
            device.reset()
            while not all(now > then for now, then in zip(counts, before)):
                threads[0].join(0.001)
                if errors:
                    break
        ok(not errors, f"threads read while the device is reset, {counts} times: {errors}")
        ok(device.revoke(slice), "and then it is revoked")
        for thread in threads:
            thread.join(LIMIT)
        ok([type(error) for error in errors] == [UnreachableError] * 2, "which all threads hear")
        registers.close()


def copy(registers: Mapping, source: int, destination: int, how: int) -> None:
    """The DMA engine copies EDU_SIZE bytes.  It takes 100 ms, and does not report in another way that it is done."""
    for register, value in (0x80, source), (0x88, destination), (0x90, EDU_SIZE), (0x98, how | 1):
        registers.write64(register, value)
    while registers.read64(0x98) & 1:
        time.sleep(0.005)


def to_device(registers: Mapping, iova: int) -> None:
    copy(registers, iova, 0x40000, 0)


def from_device(registers: Mapping, iova: int) -> None:
    copy(registers, 0x40000, iova, 2)


DATA = bytes(range(256)) * (EDU_SIZE // 256)
ZEROS = bytes(EDU_SIZE)


def check_memory_slices(edu: str) -> None:
    with Device(edu) as device, Dma(device) as dma, device.export(0, (0, PAGE)).map() as registers:
        device.set_bus_master(True)
        slice = dma.alloc(2 * PAGE)
        ok((slice.kind, slice.length, slice.flags, slice.iova % PAGE) == (Kind.MEMORY, 2 * PAGE, Flag(0), 0)
           and slice.iova, f"a slice of memory: {slice}")
        memory = slice.memory()
        ok(memory[:] == 2 * ZEROS, "all zeros")
        memory[:EDU_SIZE] = DATA
        to_device(registers, slice.iova)
        from_device(registers, slice.iova + PAGE)
        ok(memory[PAGE:PAGE + EDU_SIZE] == DATA, "which the device reads and writes")
        ok(dma.revoke(slice) is True and dma.revoke(slice) is False, "it is revoked once")
        memory[PAGE:PAGE + EDU_SIZE] = ZEROS
        from_device(registers, slice.iova + PAGE)
        ok(memory[PAGE:PAGE + EDU_SIZE] == ZEROS and memory[:EDU_SIZE] == DATA, "the device does not reach it any more, and we do")

        quiet = dma.alloc(PAGE, device_read_only=True)
        from_device(registers, quiet.iova)
        ok(quiet.flags == Flag.DMA_READ_ONLY and quiet.memory()[:] == ZEROS, "memory that the device only reads")
        only = dma.alloc(PAGE, read_only=True)
        from_device(registers, only.iova)
        ok(only.memory()[:] == DATA and raises(PermissionError, only.memory, writable=True), "and that it only writes")

        # As after a restart: another object, and what was kept.
        with Dma.from_fd(device.iommu_fileno(), dma.ioas) as other:
            again = Slice.from_memfd(only.fileno(), iova=only.iova, flags=Flag.READ_ONLY)
            other.reserve(again.iova, again.length)
            ok(raises(vfio_dmabuf.Error, other.reserve, again.iova, PAGE).errno == errno.EEXIST, "IOVAs are reserved")
            ok(other.revoke(again), "what another object has mapped is revoked")
            ok(raises(NotFoundError, dma.unmap, only.iova, PAGE), "nothing is there any more")
        ok(raises(vfio_dmabuf.Error, dma.revoke, device.export(0, (0, PAGE))), "registers are no memory")
        ok(raises(vfio_dmabuf.UnsupportedError, device.export(0, (0, PAGE)).memory), "nor mapped as memory")
        ok(raises(vfio_dmabuf.Error, dma.alloc, 1), "memory is in whole pages")
        dma.set_width(16)
        error = raises(vfio_dmabuf.Error, dma.alloc, 1 << 16)
        ok(error and error.errno == errno.ENOSPC and "no IOVA left" in error.strerror, f"there is no room: {error}")
    ok(raises(ValueError, dma.alloc, PAGE), "a closed address space is closed")


def check_process_memory(edu: str) -> None:
    with Device(edu) as device, Dma(device) as dma, device.export(0, (0, PAGE)).map() as registers:
        device.set_bus_master(True)
        area = mmap.mmap(-1, 2 * PAGE)
        area[:EDU_SIZE] = DATA
        with dma.map(area) as mapping:
            to_device(registers, mapping.iova)
            from_device(registers, mapping.iova + PAGE)
            ok(area[PAGE:PAGE + EDU_SIZE] == DATA, "the device reads and writes memory of the process")
            ok(raises(BufferError, area.close), "which cannot be closed")
        area[PAGE:PAGE + EDU_SIZE] = ZEROS
        from_device(registers, mapping.iova + PAGE)
        ok(mapping.closed and area[PAGE:PAGE + EDU_SIZE] == ZEROS, "until it is unmapped")
        mapping.close()
        mapping = dma.map(area, device_read_only=True)
        from_device(registers, mapping.iova + PAGE)
        ok(area[PAGE:PAGE + EDU_SIZE] == ZEROS, "memory that the device only reads")
        iova = mapping.iova
        del mapping
        ok(raises(vfio_dmabuf.Error, dma.unmap, iova, 2 * PAGE).errno == errno.EINVAL, "what is dropped is unmapped")

        with Dma(device) as other:
            mapping = other.map(area)
        ok(other.closed and raises(ValueError, other.map, area), "an address space is closed")
        from_device(registers, mapping.iova)
        ok(area[:EDU_SIZE] == DATA and not mapping.closed, "and what it has mapped is not")
        child = os.fork()
        if not child:
            del mapping
            os._exit(0)
        os.waitpid(child, 0)
        from_device(registers, mapping.iova + PAGE)
        ok(area[PAGE:PAGE + EDU_SIZE] == DATA, "nor does a child unmap it")
        mapping.close()
        area[:EDU_SIZE] = ZEROS
        from_device(registers, mapping.iova)
        ok(area[:EDU_SIZE] == ZEROS, "until that is closed")
        area.close()
        ok(raises((BufferError, TypeError), dma.map, bytes(PAGE)), "the device does not write to bytes")
        ok(raises(vfio_dmabuf.Error, dma.map, bytearray(PAGE - 1)).errno == errno.EINVAL, "nor to a part of a page")
        with Device.from_fd(device) as copied:
            ok(raises(vfio_dmabuf.Error, Dma, copied), "a device that has no IOMMU fd")


def owner(edu: str, nvme: str, ivshmem: str) -> None:
    before = fds()
    for check in check_devices, check_slices, check_suspension, check_buffers, check_fds, check_passing, \
            check_blocked_sender, check_memory_slices, check_process_memory:
        check(edu)
    check_memory(ivshmem)
    check_threads(edu, nvme)
    # An exception that a check keeps has the check's frame, and that has the exception.
    gc.collect()
    ok(fds() == before, "nothing is left open")


def as_admin(path: str) -> Client:
    os.seteuid(1001)
    try:
        return Client(path, timeout=LIMIT)
    finally:
        os.seteuid(0)


def client(path: str) -> None:
    before = fds()
    with Client(path, timeout=LIMIT) as first, Client(path, timeout=LIMIT) as second:
        names = {slice.name: slice for slice in first.slices()}
        ok({"edu/page", "edu/array", "edu/short"} <= set(names), f"slices are listed: {sorted(names)}")
        ok(names["edu/array"].count == 8 and names["edu/array"].offset == 8 * PAGE, "and what they are")
        error = raises(NotFoundError, first.acquire, "edu/nothing")
        ok(error and "edu/nothing" in str(error), f"there is no such slice: {error}")

        watch = second.watch()
        with first.acquire("edu/page") as lease:
            news = next(news for news in watch if isinstance(news, LeaseNews))
            ok((news.type, news.lease, news.name, news.pid, news.length, news.end) ==
               (NewsType.GRANTED, lease.id, "edu/page", os.getpid(), PAGE, End.NONE), f"which all are told: {news}")
            ok(0 < news.time <= time.clock_gettime(time.CLOCK_BOOTTIME), "and when")
            registers = lease.slice.map()
            ok(registers.read32(0) == ID and lease.seconds == 0 and lease.index == 0, f"it is granted: {lease}")
            listed = {info.id: info for info in first.leases()}
            ok(listed[lease.id].name == "edu/page" and listed[lease.id].pid == os.getpid(), "the lease is listed")
            error = raises(BusyError, second.acquire, "edu/page")
            ok(error and error.strerror, f"others do not get it: {error}")
            ok(raises(TimeoutError, second.acquire, "edu/page", wait=0.02), "nor if they wait a moment")
            ok(lease.renew() == 0, "it need not be renewed")
        ok(lease.state == State.REVOKED and lease.end == End.RELEASED, f"it is released: {lease}")
        while news.type != NewsType.ENDED:
            news = second.next_news(LIMIT)
        ok((news.lease, news.end) == (lease.id, End.RELEASED), f"which is news as well: {news}")
        ok(raises(UnreachableError, registers.read32, 0), "its registers cannot be reached")
        lease.release()
        ok(first.next_event() is None, "there is no event of what this client has done")
        ok(raises(NotFoundError, lease.renew), "it cannot be renewed")
        ok({first.acquire("edu/array", index=vfio_dmabuf.ANY_INDEX).index for _ in range(1)} <= set(range(8)),
           "any of an array")

        short = first.acquire("edu/short")
        registers = short.slice.map()
        ok(short.seconds == 1, "a lease for a second")
        with second.acquire("edu/page"):
            # It ends while the client waits for another slice.
            ok(raises(TimeoutError, first.acquire, "edu/page", wait=1.5), "others have the page")
        ok(readable(first, LIMIT), "there is an event")
        events = []
        while not any(event.lease == short.id for event in events):
            events.append(first.next_event(LIMIT))
        ok(events[-1].end == End.EXPIRED and short.end == End.EXPIRED, f"its time is over: {events}")
        ok(raises(UnreachableError, registers.read32, 0), "and its registers cannot be reached")
        while first.next_event():
            pass
        ok(not readable(first), "then there is no event")

        lease = first.acquire("edu/page")
        with as_admin(path) as admin:
            ok(admin.status().admin and admin.status().devices == 3, "an administrator")
            ok({device.name for device in admin.devices()} == {"edu", "nvme", "mem"}, "sees the devices")
            ok(any(account.user == 0 and account.leases.kept == 4 for account in admin.accounts()), "and accounts")
            admin.revoke(lease.id)
            ok(raises(NotFoundError, admin.revoke, 999999), "and revokes leases that there are")
            admin.reload()
        event = first.next_event(LIMIT)
        while event and event.lease != lease.id:
            event = first.next_event(LIMIT)
        ok(event and event.end == End.REVOKED and lease.state == State.REVOKED, f"which the client hears: {event}")
        lease.release()
    ok(first.closed and raises(ValueError, first.slices), "a closed client is closed")
    del lease, short, registers
    ok(fds() == before, "nothing is left open")


async def until(watch: aio.Watch, lease: int):
    """News up to the end of a lease."""
    async for news in watch:
        yield news
        if isinstance(news, LeaseNews) and news.lease == lease and news.type == NewsType.ENDED:
            return


async def tasks(path: str) -> None:
    async with await aio.connect(path, timeout=LIMIT) as first, await aio.connect(path, timeout=LIMIT) as second:
        watch = await first.watch()
        lease = await first.acquire("edu/page")
        registers, released = lease.slice.map(), lease.id
        ok(registers.read32(0) == ID, "a slice is granted")
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        waiting = asyncio.create_task(second.acquire("edu/page", wait=LIMIT))
        slices, leases, status = await asyncio.gather(first.slices(), second.leases(), first.status())
        ok({"edu/page"} <= {slice.name for slice in slices} and status.grants, "lists come at the same time")
        ok(not waiting.done(), "the second client waits")
        await lease.release()
        ok(lease.end == End.RELEASED and await lease.wait_end() == End.RELEASED, "the first one releases it")
        lease = await waiting
        ok(lease.slice.map().read32(0) == ID and ticks > 0, f"the second one has it; others ran meanwhile, {ticks} times")
        ticking.cancel()

        waiting = asyncio.create_task(first.acquire("edu/page", wait=LIMIT))
        while not any(slice.waiting for slice in await second.slices() if slice.name == "edu/page"):
            await asyncio.sleep(0)
        waiting.cancel()
        ok(isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError),
           "a request is cancelled")
        while any(slice.waiting for slice in await second.slices() if slice.name == "edu/page"):
            await asyncio.sleep(0)
        ok(True, "and withdrawn from the broker")
        try:
            await first.acquire("edu/page", wait=0.01)
        except TimeoutError as error:
            ok(isinstance(error, vfio_dmabuf.Error), f"waiting ends: {error}")

        async def first_end(lease_id: int) -> vfio_dmabuf.LeaseEvent:
            async for event in first.events():
                if event.lease == lease_id and event.state == State.REVOKED:
                    return event
            raise AssertionError("the events ended")

        async with await first.acquire("edu/short") as short:
            event, end = await asyncio.gather(first_end(short.id), short.wait_end())
        ok(event.end == end == End.EXPIRED == short.end, f"the end of a lease is heard: {event}")
        told = [news async for news in until(watch, short.id) if not isinstance(news, DeviceNews)]
        ok([(news.type, news.end) for news in told if news.lease == released] ==
           [(NewsType.GRANTED, End.NONE), (NewsType.ENDED, End.RELEASED)], "all of that was told")
        ok(told[-1].end == End.EXPIRED, f"up to the last: {told[-1]}")
        kept = await second.acquire("edu/array", index=3)
        ok(kept.index == 3, "one of an array")
    ok(second.closed and isinstance((await asyncio.gather(kept.wait_end(), return_exceptions=True))[0],
                                    ConnectionError), "leases end with the connection")


class Queue:
    """A lent NVMe queue, for flushes of namespace 1.  The broker describes it as drivers/nvme/layout.h says."""

    def __init__(self, lease: vfio_dmabuf.Lease | aio.Lease) -> None:
        self.memory = lease.memory.memory()
        (_, _, _, _, self.entries, sq_doorbell, cq_doorbell, self.sq, _, _,
         self.cq) = struct.unpack_from("<QIIIIQQQIIQ", self.memory)
        self.registers = lease.slice.map()
        self.doorbells = sq_doorbell - lease.slice.offset, cq_doorbell - lease.slice.offset
        self.submitted = self.completed = 0

    def flush(self) -> None:
        struct.pack_into("<BBHI56x", self.memory, self.sq + 64 * (self.submitted % self.entries), 0, 0, self.submitted, 1)
        self.submitted += 1
        self.registers.write32(self.doorbells[0], self.submitted % self.entries)

    def is_complete(self) -> bool:
        """Whether the oldest command is, without an error.  Takes it out of the queue."""
        lap, place = divmod(self.completed, self.entries)
        command, status = struct.unpack_from("<HH", self.memory, self.cq + 16 * place + 12)
        if (command, status) != (self.completed, ~lap & 1):
            return False
        self.completed += 1
        self.registers.write32(self.doorbells[1], self.completed % self.entries)
        return True

    def close(self) -> None:
        self.registers.close()
        self.memory.close()


def flush_and_wait(lease: vfio_dmabuf.Lease, queue: Queue) -> bool:
    """Flushes more often than the queue has entries, and waits for each interrupt."""
    for _ in range(40):
        if lease.interrupt.read(8) is not None:
            return False
        queue.flush()
        if not readable(lease.interrupt, LIMIT) or len(lease.interrupt.read(8)) != 8 or not queue.is_complete():
            return False
    return True


async def interrupt_task(path: str) -> None:
    async with await aio.connect(path, timeout=LIMIT) as client:
        async with await client.acquire("nvme/wakes") as lease:
            queue = Queue(lease)
            woken = asyncio.Event()
            asyncio.get_running_loop().add_reader(lease.interrupt, woken.set)
            queue.flush()
            async with asyncio.timeout(LIMIT):
                await woken.wait()
            asyncio.get_running_loop().remove_reader(lease.interrupt)
            ok(lease.interrupt.read(8) and queue.is_complete(), "a task waits for an interrupt")
            queue.close()
        ok(lease.interrupt.closed, "and the release closes its eventfd")


def interrupt(path: str) -> None:
    before = fds()
    with Client(path, timeout=LIMIT) as client:
        client.watch()
        plain, lease = client.acquire("nvme/queue"), client.acquire("nvme/wakes")
        ok(plain.interrupt is None and lease.interrupt is not None, "one of two leases has an interrupt")
        ok({slice.name: (slice.memory, slice.interrupt) for slice in client.slices()} ==
           {"nvme/queue": (1 << 20, False), "nvme/wakes": (1 << 20, True)}, "which the slices say")
        ok({info.id: (info.memory, info.iova, info.interrupt) for info in client.leases()} ==
           {plain.id: (1 << 20, plain.memory.iova, False), lease.id: (1 << 20, lease.memory.iova, True)}, "and the leases")
        told = []
        while len(told) < 2:
            news = client.next_news(LIMIT)
            if isinstance(news, LeaseNews):
                told.append((news.lease, news.interrupt))
        ok(told == [(plain.id, False), (lease.id, True)], f"and the news: {told}")
        queue = Queue(lease)
        ok(flush_and_wait(lease, queue), "it comes for each command")
        with client.acquire("nvme/wakes") as other:
            other_queue = Queue(other)
            other_queue.flush()
            ok(readable(other.interrupt, LIMIT), "another lease has an interrupt of its own")
            ok(lease.interrupt.read(8) is None and flush_and_wait(lease, queue), "which is not the first one's")
            other_queue.close()
        file = lease.interrupt
        queue.close()
        lease.release()
        ok(file.closed, "the release closes the eventfd")
        plain.release()
    del queue, other_queue
    asyncio.run(interrupt_task(path))
    gc.collect()
    ok(fds() == before, "nothing is left open")


async def survive(path: str) -> None:
    """The program for tests/vm/support/survivor.h: prints a byte on standard output for each successful round."""
    output = os.dup(1)
    os.dup2(2, 1)
    async with await aio.connect(path, timeout=LIMIT) as client:
        lease = await client.acquire("edu/page", wait=LIMIT)
        # If the broker is killed after its answer, and before it stores that, the lease ends.
        await client.leases()
        registers = lease.slice.map()
        counts, errors = [0, 0], []

        def read(which: int) -> None:
            try:
                while registers.read32(0) == ID:
                    counts[which] += 1
                errors.append(ValueError("another value"))
            except BaseException as error:
                errors.append(error)

        for which in range(2):
            threading.Thread(target=read, args=(which,), daemon=True).start()
        number = 0
        while True:
            before = list(counts)
            while not errors and not all(now > then for now, then in zip(counts, before)):
                await asyncio.sleep(0.001)
            granted = await client.acquire("edu/array", index=number % 8, wait=LIMIT)
            number += 1
            good = granted.slice.map().read32(0) is not None and await lease.renew() == 0
            await granted.release()
            if errors or not good or lease.state != State.LIVE:
                sys.exit(f"round {number}: {errors} {good} {lease}")
            os.write(output, b".")
            if not await asyncio.to_thread(os.read, 0, 1):
                return


def main() -> None:
    what, *args = sys.argv[1:]
    # This installs a handler for SIGBUS, before and after the package does.
    faulthandler.enable()
    faulthandler.dump_traceback_later(3 * LIMIT, exit=True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if what == "owner":
        owner(*args)
    elif what == "client":
        client(*args)
    elif what == "interrupt":
        interrupt(*args)
    elif what == "survive":
        asyncio.run(survive(*args))
    else:
        asyncio.run(tasks(*args))
    print(f"1..{number}")
    sys.exit(failed != 0)


main()
