// SPDX-License-Identifier: MIT
// error: E0515
// A register cannot leave the function that unmaps its mapping.
use vfio_dmabuf::{Access, Mapping, Register, Result, Slice};

pub fn unused(slice: &Slice) -> Result<Mapping> {
    slice.map(Access::Read)
}

pub fn register(slice: &Slice) -> Result<Register<'_, u32>> {
    let mapping = slice.map(Access::Read)?;
    return Ok(mapping.register(0)?); // WRONG
    unimplemented!()
}
