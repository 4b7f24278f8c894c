// SPDX-License-Identifier: MIT
// error: E0277
// A program cannot add a width of its own, which the guard would not know.
use vfio_dmabuf::RegisterValue;

pub fn register<T: RegisterValue>() {}

#[derive(Clone, Copy)]
pub struct Wide([u64; 2]);
impl RegisterValue for Wide {} // WRONG
