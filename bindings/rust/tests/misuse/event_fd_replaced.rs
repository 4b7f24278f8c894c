// SPDX-License-Identifier: MIT
// error: E0502
// Watching a slice again closes its event fd, which must not be in use.
use std::os::fd::OwnedFd;
use vfio_dmabuf::{Device, Slice};

pub fn copy(device: &Device, slice: &mut Slice) -> Option<OwnedFd> {
    let fd = slice.event_fd()?;
    device.watch(slice).ok()?; // WRONG
    fd.try_clone_to_owned().ok()
}
