// SPDX-License-Identifier: MIT
// error: E0308
// Memory that a device writes to is not memory of Rust's, either.
use vfio_dmabuf::{Access, Dma, Flags, Result};

pub fn bytes(dma: &Dma) -> Result<()> {
    let memory = dma.alloc(4096, Flags::default())?.map(Access::Read)?;
    let bytes: &[u8] = &memory; // WRONG
    Ok(())
}
