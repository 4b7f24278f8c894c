// SPDX-License-Identifier: MIT
//! The crate's examples work as described.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vfio_dmabuf::{Client, ErrorKind, LeasePhase};

use crate::broker::SOCKET;
use crate::support::*;

const OWNER: &str = "/lab/programs/rust-owner";
const CLIENT: &str = "/lab/programs/rust-client";

fn start(program: &str, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

/// Reads until a line contains a text; fails at the end of the output.
fn wait_for(output: &mut impl BufRead, text: &str) {
    let mut said = String::new();
    loop {
        let start = said.len();
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "no {text:?} in:\n{said}");
        if said[start..].contains(text) {
            return;
        }
    }
}

pub fn owner_and_client() {
    let socket = format!("/tmp/rust-owner-{}", std::process::id());
    let (mut owner, mut owner_says) = start(OWNER, &[&bdf("EDU"), &socket]);
    wait_for(&mut owner_says, "waiting for a client");
    let (mut client, mut client_says) = start(CLIENT, &[&socket]);
    wait_for(&mut owner_says, "press Enter");
    wait_for(&mut client_says, "the first register says 0x010000ed");
    owner.stdin.take().unwrap().write_all(b"\n").unwrap();
    wait_for(&mut owner_says, "no process reaches the device");
    wait_for(&mut client_says, "the slice is revoked");
    assert!(owner.wait().unwrap().success());
    assert!(client.wait().unwrap().success());
}

/// A link at the default path to the broker's socket, because the example uses that path.
/// Removed at the end.
struct UsualSocket;

impl UsualSocket {
    const DIR: &str = "/run/vfio-dmabuf";
    const PATH: &str = "/run/vfio-dmabuf/broker";

    fn new() -> Self {
        fs::create_dir_all(Self::DIR).unwrap();
        std::os::unix::fs::symlink(SOCKET, Self::PATH).unwrap();
        Self
    }
}

impl Drop for UsualSocket {
    fn drop(&mut self) {
        fs::remove_file(Self::PATH).unwrap();
    }
}

pub fn client_of_the_broker() {
    let _socket = UsualSocket::new();
    let mut admin = Client::connect(Some(Duration::from_secs(60))).unwrap();
    // Its first try may find the device not open yet.
    while admin.devices().unwrap().iter().any(|device| device.name == "edu" && !is_open(device)) {
        std::thread::sleep(Duration::from_millis(50));
    }

    let (mut client, mut says) = start(CLIENT, &["edu/page"]);
    wait_for(&mut says, "the first register says 0x010000ed");
    let leases = admin.leases().unwrap();
    assert_eq!((leases.len(), leases[0].phase), (1, LeasePhase::Granted));
    admin.revoke(leases[0].id).unwrap();
    wait_for(&mut says, "the slice is revoked");
    assert!(client.wait().unwrap().success());
    // It ends with the connection, if not before.
    match admin.revoke(leases[0].id) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        Ok(()) => panic!("it was revoked twice"),
    }
}

fn is_open(device: &vfio_dmabuf::DeviceInfo) -> bool {
    device.phase == vfio_dmabuf::DevicePhase::Open
}
