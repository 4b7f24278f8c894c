# SPDX-License-Identifier: MIT
"""TAP and the guest's devices, for the Python programs here."""

import os
import sys
import time

# Seconds that one answer may take: the machine is emulated, and not alone.
PATIENCE = 300


class Tap:
    def __init__(self):
        self.number = 0
        self.failed = 0

    def ok(self, passed, name, why=""):
        self.number += 1
        self.failed += not passed
        print(f"{'' if passed else 'not '}ok {self.number} - {name}")
        if not passed:
            for line in str(why).splitlines()[-30:]:
                print(f"# {line}")
        sys.stdout.flush()
        return passed

    def skip(self, name, why):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {why}")
        sys.stdout.flush()

    def end(self):
        print(f"1..{self.number}")
        sys.exit(1 if self.failed else 0)


def devices():
    """The devices' names and addresses."""
    found = {}
    with open("/etc/lab.env", encoding="ascii") as file:
        for line in file:
            name, _, value = line.strip().partition("=")
            if name.startswith("LAB_"):
                found[name[4:]] = value
    return found


def driver_of(bdf):
    path = f"/sys/bus/pci/devices/{bdf}/driver"
    return os.path.basename(os.readlink(path)) if os.path.exists(path) else None


def deadline():
    return time.monotonic() + PATIENCE
