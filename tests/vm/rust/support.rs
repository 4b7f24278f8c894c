// SPDX-License-Identifier: MIT
//! The lab's devices, and functions that several tests need.

use std::fs;
use std::os::fd::AsFd;

use vfio_dmabuf::{Access, Device, Flags, Mapping, Slice};

/// Bytes of a page of this machine.
pub fn page_size() -> u64 {
    // SAFETY: it reads a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 }
}

/// Registers of QEMU's "edu", in BAR 0.
pub const EDU_ID: usize = 0x00;
pub const EDU_ID_VALUE: u32 = 0x010000ed;
pub const EDU_LIVENESS: usize = 0x04;

/// The address of a device of the lab.
pub fn bdf(name: &str) -> String {
    let prefix = format!("LAB_{name}=");
    let env = fs::read_to_string("/etc/lab.env").expect("the lab's values");
    let found = env.lines().find_map(|line| line.strip_prefix(&prefix));
    found.unwrap_or_else(|| panic!("the lab has no {name}")).to_owned()
}

pub fn open(name: &str) -> Device {
    Device::open(&bdf(name)).unwrap()
}

/// The first page of BAR 0.
pub fn page(device: &Device) -> Slice {
    device.export(0, &[(0..page_size()).into()], Flags::default()).unwrap()
}

pub fn map(slice: &Slice) -> Mapping {
    slice.map(Access::ReadWrite).unwrap()
}

/// How many fds this process has.
pub fn fds() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The line of an address in this process' map.
pub fn maps_line(mapping: *const u8) -> Option<String> {
    let start = format!("{:x}-", mapping as usize);
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
}

/// An fd that stands for one of another process.
pub fn dev_null() -> std::os::fd::OwnedFd {
    fs::File::open("/dev/null").unwrap().as_fd().try_clone_to_owned().unwrap()
}
