// SPDX-License-Identifier: MIT
// error: E0133
// That nothing else uses memory that a device writes to is a promise.
use std::ptr::NonNull;
use vfio_dmabuf::{Dma, Flags};

pub fn map(dma: &Dma, page: NonNull<u8>) {
    let _ = dma.map(page, 4096, Flags::default()); // WRONG
}
