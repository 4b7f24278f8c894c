// SPDX-License-Identifier: MIT
// error: E0505
// A register borrows its mapping, so the mapping cannot be unmapped before its last use.
use vfio_dmabuf::{AccessError, Mapping};

pub fn read(mapping: Mapping) -> Result<u32, AccessError> {
    let register = mapping.register::<u32>(0)?;
    drop(mapping); // WRONG
    register.read()
}
