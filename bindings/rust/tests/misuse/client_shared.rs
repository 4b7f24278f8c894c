// SPDX-License-Identifier: MIT
// error: E0596
// Threads that share a connection cannot both talk to the broker; a lock makes it work.
use std::sync::Arc;
use vfio_dmabuf::{Client, LeaseId};

pub fn release(client: Arc<Client>, lease: LeaseId) {
    let _ = client.release(lease); // WRONG
}
