// SPDX-License-Identifier: MIT
// error: E0608
// Nor can it be indexed.
use vfio_dmabuf::Mapping;

pub fn first(mapping: &Mapping) -> u8 {
    return mapping[0]; // WRONG
    0
}
