// SPDX-License-Identifier: MIT
//! A client: reads the first register of a slice until the slice is revoked.
//!
//! ```text
//! client SOCKET         a slice of the example `owner`
//! client DEVICE/SLICE   a slice of the broker
//! ```

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use vfio_dmabuf::{Access, AccessError, Acquire, Client, Slice};

/// Reads until the slice is revoked; returns the number of reads.
fn read(slice: &Slice) -> Result<u64, Box<dyn Error>> {
    let mapping = slice.map(Access::Read)?;
    let register = mapping.register::<u32>(0)?;
    println!("client: the first register says 0x{:08x}", register.read()?);

    for reads in 1.. {
        match register.read() {
            Ok(_) => {}
            Err(AccessError::Unreachable) => return Ok(reads),
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!()
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(from) = std::env::args().nth(1) else {
        return Err("usage: client SOCKET|DEVICE/SLICE".into());
    };
    let reads = if from.starts_with('/') {
        read(&Slice::receive(UnixStream::connect(from)?)?)?
    } else {
        let mut client = Client::connect(Some(Duration::from_secs(10)))?;
        let lease = client.acquire(&Acquire::new(from))?;
        read(&lease.slice)?
    };
    println!("client: after {reads} reads the slice is revoked");
    Ok(())
}
