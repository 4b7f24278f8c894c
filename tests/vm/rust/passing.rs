// SPDX-License-Identifier: MIT
//! Slices that are sent to a process without rights.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use vfio_dmabuf::{Access, AccessError, Device, ErrorKind, Flags, Slice, State};

use crate::support::*;

const CLIENT_UID: u32 = 1000;

/// Runs this program as another user, with one end of a socket.
fn start_child(what: &str) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new("/proc/self/exe")
        .args(["child", what])
        .uid(CLIENT_UID)
        .gid(CLIENT_UID)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    (child, ours)
}

/// Whether the event fd is readable.
fn has_news(slice: &Slice) -> bool {
    let fd = slice.event_fd().unwrap().as_raw_fd();
    let mut polled = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: it is one, and lives.
    unsafe { libc::poll(&mut polled, 1, 0) == 1 }
}

pub fn child_receives() {
    let socket: UnixStream = std::io::stdin().as_fd().try_clone_to_owned().unwrap().into();
    let mut slice = Slice::receive(&socket).unwrap();
    assert_eq!(slice.bdf(), Some(bdf("EDU").as_str()));
    assert_eq!((slice.bar(), slice.offset(), slice.len()), (0, 0, page_size()));
    assert_eq!(slice.flags(), Flags::READ_ONLY);
    assert_eq!(Device::open(&bdf("EDU2")).unwrap_err().kind(), ErrorKind::PermissionDenied);

    let mapping = slice.map(Access::Read).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));
    // As an event fd of its own is at first, whatever the owner has read.
    assert!(has_news(&slice));
    assert_eq!(slice.state().unwrap().0, State::Live);
    assert!(!has_news(&slice));
    (&socket).write_all(b"r").unwrap();
    // The owner answers when it is revoked.
    (&socket).read_exact(&mut [0]).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));
    assert_eq!(slice.state().unwrap().0, State::Revoked);
}

pub fn passed_on() {
    let device = open("EDU");
    let mut slice = device.export(0, &[(0..page_size()).into()], Flags::READ_ONLY).unwrap();
    device.watch(&mut slice).unwrap();
    assert!(has_news(&slice));
    assert_eq!(slice.state().unwrap().0, State::Live);
    assert!(!has_news(&slice));

    let (mut child, mut socket) = start_child("receive");
    slice.send(&socket, Some(&device)).unwrap();
    socket.read_exact(&mut [0]).unwrap();
    device.revoke(&slice).unwrap();
    assert!(has_news(&slice));
    assert_eq!(slice.state().unwrap().0, State::Revoked);
    socket.write_all(b"d").unwrap();
    assert!(child.wait().unwrap().success());
}

pub fn not_received() {
    let device = open("EDU");
    let slice = page(&device);
    let (ours, theirs) = UnixStream::pair().unwrap();

    ours.set_nonblocking(true).unwrap();
    assert_eq!(Slice::receive(&ours).unwrap_err().kind(), ErrorKind::TryAgain);
    (&theirs).write_all(b"no slice").unwrap();
    assert_eq!(Slice::receive(&ours).unwrap_err().kind(), ErrorKind::Protocol);
    slice.send(&theirs, None).unwrap();
    assert_eq!(Slice::receive(&ours).unwrap().event_fd().map(|_| ()), None);
    drop(theirs);
    assert_eq!(Slice::receive(&ours).unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(slice.send(&ours, None).unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(slice.send(dev_null(), None).unwrap_err().raw_os_error(), libc::ENOTSOCK);
}
