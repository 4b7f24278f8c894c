// SPDX-License-Identifier: MIT
//! An owner: gives the first page of BAR 0 to one client, until Enter is pressed.
//!
//! ```text
//! owner BDF SOCKET
//! ```
//!
//! The example `client` with the same socket is the other side.

use std::error::Error;
use std::io;
use std::os::unix::net::UnixListener;

use vfio_dmabuf::{Device, Flags};

const PAGE: u64 = 0x1000;

fn serve(bdf: &str, socket: &str) -> Result<(), Box<dyn Error>> {
    let device = Device::open(bdf)?;
    let bar = device.bar(0)?.filter(|bar| bar.mappable).ok_or("BAR 0 cannot be mapped")?;
    println!("owner: {bdf} has {} KiB in BAR 0", bar.size / 1024);

    let mut slice = device.export(0, &[(0..PAGE).into()], Flags::default())?;
    device.watch(&mut slice)?;

    let listener = UnixListener::bind(socket)?;
    println!("owner: waiting for a client at {socket}");
    let (client, _) = listener.accept()?;
    slice.send(&client, Some(&device))?;

    println!("owner: the client has the slice; press Enter to revoke it");
    io::stdin().read_line(&mut String::new())?;
    device.revoke(&slice)?;
    println!("owner: no process reaches the device through the slice any more");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bdf, socket] = arguments.as_slice() else {
        return Err("usage: owner BDF SOCKET".into());
    };
    serve(bdf, socket)
}
