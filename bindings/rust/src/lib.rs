// SPDX-License-Identifier: MIT
//! Share parts of a PCI device's BARs between processes: safe bindings of
//! libvfio-dmabuf, on top of the driver dmabuf-vfio-pci.
//!
//! An owner holds a [`Device`].  It exports [`Slice`]s of BARs, sends them, lists them and
//! revokes them.  A client holds slices and nothing else of the device.  It receives them
//! from an owner ([`Slice::receive`]) or as a [`Lease`] from the broker ([`Client`]), maps
//! them ([`Slice::map`]), and accesses registers through the [`Mapping`].
//!
//! A slice can be revoked at any time.  An access then returns
//! [`AccessError::Unreachable`].  It never raises SIGBUS as long as the guard's handler is
//! installed ([`guard`]).
//!
//! # What is safe about it
//! All objects own their fds and mappings.  They cannot be used after they were closed or
//! unmapped.  There are no references to device memory.  When a program writes registers,
//! the device can do DMA.  The IOMMU limits that to memory that the program has mapped for
//! DMA ([`Dma`]).  Slices of memory are safe, because the program accesses them only as it
//! accesses registers.  [`Dma::map`], which maps the program's own memory, is not.

#[macro_use]
mod bits;
mod client;
mod device;
mod dma;
mod error;
#[doc(hidden)]
pub mod ffi;
pub mod guard;
mod lists;
mod mapping;
mod news;
mod slice;

pub use client::{Acquire, Client, ClientEvents, End, Event, Lease, LeaseId, RequestId};
pub use device::{Bar, Buffer, BufferId, Capabilities, Device, Events, Range};
pub use dma::{Dma, DmaMapping};
pub use error::{AccessError, Error, ErrorKind, Result};
pub use lists::{
    AccountInfo, DeviceInfo, DevicePhase, LeaseInfo, LeasePhase, Share, SliceInfo, Status, Total,
};
pub use mapping::{flush_write_combining, Access, Mapping, Register, RegisterValue};
pub use news::{DeviceNews, Happened, LeaseNews, News};
pub use slice::{Flags, Kind, Place, Slice, State};

/// The version of the C library that the program runs with: major, minor, patch.
pub fn library_version() -> (u32, u32, u32) {
    // SAFETY: it takes nothing.
    let version = unsafe { ffi::vdb_version() };
    (version >> 16, (version >> 8) & 0xff, version & 0xff)
}

/// What the documentation says about threads.
const _: () = {
    const fn threads<T: Send + Sync>() {}
    threads::<Client>();
    threads::<Device>();
    threads::<Dma>();
    threads::<DmaMapping>();
    threads::<Events>();
    threads::<Lease>();
    threads::<Mapping>();
    threads::<Register<'_, u32>>();
    threads::<Slice>();
    threads::<Error>();
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
