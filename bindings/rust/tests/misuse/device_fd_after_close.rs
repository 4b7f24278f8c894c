// SPDX-License-Identifier: MIT
// error: E0505
// The same of a device.
use std::os::fd::{AsFd, OwnedFd};
use vfio_dmabuf::Device;

pub fn copy(device: Device) -> std::io::Result<OwnedFd> {
    let fd = device.as_fd();
    drop(device); // WRONG
    fd.try_clone_to_owned()
}
