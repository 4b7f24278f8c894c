#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A client of the broker: acquires a slice and reads a register of it until the lease ends.

    worker.py SLICE [OFFSET [SOCKET]]
"""
import asyncio
import sys

from vfio_dmabuf import Error, UnreachableError, aio


async def poll(registers, offset):
    """Reads the register ten times a second; returns when it cannot be reached any more."""
    last = None
    while True:
        value = registers.read32(offset)
        if value != last:
            print(f"{offset:#x}: {value:#010x}", flush=True)
        last = value
        await asyncio.sleep(0.1)


async def main(name, offset="0", path=None):
    async with await aio.connect(path) as client:
        async with await client.acquire(name, wait=60) as lease:
            print(f"lease {lease.id} of {name}: {lease.slice.length} bytes of {lease.slice.bdf}", flush=True)
            with lease.slice.map() as registers:
                try:
                    await poll(registers, int(offset, 0))
                except UnreachableError as error:
                    print(f"{offset}: {error.strerror}", flush=True)
            # Suspension would be over some time.  Revocation is for good.
            print(f"lease {lease.id} has ended: {(await lease.wait_end()).name.lower()}", flush=True)


if not 2 <= len(sys.argv) <= 4:
    sys.exit(__doc__)
try:
    asyncio.run(main(*sys.argv[1:]))
except Error as error:
    sys.exit(f"{sys.argv[1]}: {error.strerror}")
