// SPDX-License-Identifier: MIT
// error: E0277
// Registers have the widths that one access has.
use vfio_dmabuf::Mapping;

pub fn float(mapping: &Mapping) {
    let _ = mapping.read::<f32>(0); // WRONG
}
