// SPDX-License-Identifier: MIT
// error: E0507
// Two of one mapping would unmap it twice.
use vfio_dmabuf::Mapping;

pub fn copy(mapping: &Mapping) {
    let _two: Mapping = *mapping; // WRONG
}
