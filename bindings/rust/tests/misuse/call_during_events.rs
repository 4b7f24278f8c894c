// SPDX-License-Identifier: MIT
// error: E0499
// While an iterator reads the connection, nothing else does.
use vfio_dmabuf::{Client, LeaseId};

pub fn release(client: &mut Client, lease: LeaseId) {
    for _event in client.events() {
        let _ = client.release(lease); // WRONG
    }
}
