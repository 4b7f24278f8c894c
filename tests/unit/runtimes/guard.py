# SPDX-License-Identifier: MIT
"""Guarded accesses from Python, as libvfio-dmabuf(3) has it; see test_runtimes.c."""
import ctypes
import errno
import faulthandler
import mmap
import os
import sys

library = ctypes.CDLL(sys.argv[1], use_errno=True)
way = sys.argv[2]

# What a slice is after it was revoked: a mapping of which the file is gone.
file = os.memfd_create("slice")
os.ftruncate(file, 4096)
memory = mmap.mmap(file, 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
os.ftruncate(file, 0)


def check(result):
    """As every call of the library is checked: an error becomes an exception."""
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def read32():
    value = ctypes.c_uint32()
    check(library.vdb_try_read32(ctypes.c_void_p(address), ctypes.byref(value)))
    return value.value


def other_access():
    return memory[0]


if way in ("faulthandler", "other"):
    faulthandler.enable()
check(library.vdb_guard_enable())
if way == "late":
    faulthandler.enable()
try:
    read32()
except OSError as error:
    if way != "other":
        print(errno.errorcode[error.errno])
if way == "other":
    other_access()
