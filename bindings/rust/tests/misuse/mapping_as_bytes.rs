// SPDX-License-Identifier: MIT
// error: E0308
// Device memory is not memory of Rust's.
use vfio_dmabuf::Mapping;

pub fn bytes(mapping: &Mapping) {
    let bytes: &[u8] = mapping; // WRONG
}
