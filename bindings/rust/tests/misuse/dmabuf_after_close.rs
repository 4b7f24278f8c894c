// SPDX-License-Identifier: MIT
// error: E0505
// An fd of a slice cannot be used once the slice has closed it.
use std::os::fd::{AsFd, OwnedFd};
use vfio_dmabuf::Slice;

pub fn copy(slice: Slice) -> std::io::Result<OwnedFd> {
    let fd = slice.as_fd();
    drop(slice); // WRONG
    fd.try_clone_to_owned()
}
