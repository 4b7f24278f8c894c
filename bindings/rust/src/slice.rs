// SPDX-License-Identifier: MIT
//! Slices: parts of a BAR, or memory for DMA, that this process can map.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use libc::{c_int, c_uint};

use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::ffi;
use crate::guard;
use crate::mapping::{Access, Mapping};

/// The state of a slice, buffer or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It can be used.
    Live,
    /// It cannot be reached temporarily: accesses wait or fail.
    Suspended,
    /// It cannot be reached any more.  For a device: it was closed.
    Revoked,
}

impl State {
    pub(crate) fn of(raw: c_uint) -> Self {
        match raw {
            ffi::VDB_STATE_LIVE => Self::Live,
            ffi::VDB_STATE_SUSPENDED => Self::Suspended,
            _ => Self::Revoked,
        }
    }
}

/// How a slice is mapped, and what a buffer is: a set of the constants below.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub(crate) c_uint);

bit_set! {
    Flags;
    /// Can never be mapped writable.
    READ_ONLY = ffi::VDB_FLAG_READ_ONLY;
    /// Mapped write-combining instead of uncached.
    WRITE_COMBINING = ffi::VDB_FLAG_WC;
    /// Not a slice, but a mapping of the device fd.  Only
    /// [`Device::buffers`] reports it.
    BAR_MAPPING = ffi::VDB_FLAG_BAR_MAPPING;
    /// Memory of huge pages.
    HUGE = ffi::VDB_FLAG_HUGE;
    /// Memory that the device can read, and not write.
    DMA_READ_ONLY = ffi::VDB_FLAG_DMA_READ_ONLY;
}

/// What a slice is a part of.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Of a BAR.
    Registers,
    /// Of memory, which the device reaches at an IOVA: see [`Dma`](crate::Dma).
    Memory,
}

/// The place of a slice, for [`Slice::from_fd`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The function, "0000:01:00.0", if it is known.
    pub bdf: Option<&'a str>,
    /// 0 to 5.
    pub bar: u32,
    /// Of the slice's byte 0 in the BAR.
    pub offset: u64,
    /// [`Flags::READ_ONLY`] and [`Flags::WRITE_COMBINING`], as it was exported.
    pub flags: Flags,
}

/// A part of a BAR that this process can map: a DMABUF and, if the slice is watched, the
/// event fd that reports suspension and revocation.  Or memory for DMA: a sealed memfd.
///
/// Dropping it closes the fds.  Mappings stay valid, and the slice is not revoked.
///
/// [`AsFd`] is the DMABUF, for other drivers that import one, or the memfd.
///
/// ```compile_fail,E0505
/// # use std::os::fd::{AsFd, OwnedFd};
/// # fn copy(slice: vfio_dmabuf::Slice) -> std::io::Result<OwnedFd> {
/// let fd = slice.as_fd();
/// drop(slice);
/// fd.try_clone_to_owned()
/// # }
/// ```
///
/// # Threads
/// A slice is [`Send`] and [`Sync`]: it keeps nothing of the thread that made it, and the
/// library only reads it in calls that take `&self`.
pub struct Slice {
    raw: NonNull<ffi::vdb_slice>,
}

// SAFETY: see "Threads" above.
unsafe impl Send for Slice {}
// SAFETY: likewise; what changes it takes `&mut self`.
unsafe impl Sync for Slice {}

impl Slice {
    /// # Safety
    /// `raw` is null after a failure that set errno, or a slice that the caller owns.
    pub(crate) unsafe fn take(what: &'static str, raw: *mut ffi::vdb_slice) -> Result<Self> {
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw }),
            None => Err(Error::last(what)),
        }
    }

    pub(crate) fn raw(&self) -> *const ffi::vdb_slice {
        self.raw.as_ptr()
    }

    pub(crate) fn raw_mut(&mut self) -> *mut ffi::vdb_slice {
        self.raw.as_ptr()
    }

    /// Makes a slice of a DMABUF that was not received with [`Slice::receive`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `dmabuf` is not one, if its mode does not match
    /// `place.flags`, or if another value is invalid.  The fds are closed then.
    pub fn from_fd(dmabuf: OwnedFd, event_fd: Option<OwnedFd>, place: Place<'_>) -> Result<Self> {
        const WHAT: &str = "making a slice of an fd";
        let bdf = place.bdf.map(|bdf| c_string(WHAT, bdf)).transpose()?;
        let event = event_fd.as_ref().map_or(-1, OwnedFd::as_raw_fd);
        // SAFETY: the fds are open, and the text has an end.
        let raw = unsafe {
            ffi::vdb_slice_from_fd(
                dmabuf.as_raw_fd(),
                event,
                bdf.as_ref().map_or(ptr::null(), |bdf| bdf.as_ptr()),
                place.bar,
                place.offset,
                place.flags.0,
            )
        };
        // SAFETY: it is ours.
        let slice = unsafe { Self::take(WHAT, raw) }?;
        // The slice owns them now.
        std::mem::forget((dmabuf, event_fd));
        Ok(slice)
    }

    /// Makes a slice of a memfd of [`Dma::alloc`](crate::Dma::alloc) that was kept over a
    /// restart, for example.  [`Dma::reserve`](crate::Dma::reserve) keeps its IOVAs from being
    /// given out again.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is not a memfd that is sealed like a slice of memory
    /// with these flags, or `iova` is invalid.  The fd is closed then.
    pub fn from_memfd(memfd: OwnedFd, iova: u64, flags: Flags) -> Result<Self> {
        // SAFETY: the fd is open, and the slice is ours.
        let slice = unsafe {
            let raw = ffi::vdb_memory_from_fd(memfd.as_raw_fd(), iova, flags.0);
            Self::take("making a slice of a memfd", raw)
        }?;
        // The slice owns it now.
        std::mem::forget(memfd);
        Ok(slice)
    }

    /// Receives what [`Slice::send`] has sent over a connected `AF_UNIX` socket.  The
    /// message is not trusted: bounds and mode are compared with the DMABUF or memfd.  But the
    /// IOVA of memory is what the sender says.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if the message is not a slice, or does not match the DMABUF;
    /// [`ErrorKind::Disconnected`], [`ErrorKind::LimitReached`] (no more fds),
    /// [`ErrorKind::TryAgain`] (a non-blocking socket), or what `recvmsg()` says
    pub fn receive(socket: impl AsFd) -> Result<Self> {
        // SAFETY: the fd is open, and the slice is ours.
        unsafe {
            Self::take("receiving a slice", ffi::vdb_slice_receive(socket.as_fd().as_raw_fd()))
        }
    }

    /// Sends it over a connected `AF_UNIX` socket, `SOCK_SEQPACKET` or `SOCK_STREAM`.
    ///
    /// If it is watched, and `device` is the device that it was exported from, the receiver gets
    /// its own event fd.  Without `device`, both processes share one event fd.  If one of them
    /// has read an event, the other does not see it.
    ///
    /// # Errors
    /// What `sendmsg()` says, and with `device` as [`Device::watch`]
    pub fn send(&self, socket: impl AsFd, device: Option<&Device>) -> Result<()> {
        let device = device.map_or(ptr::null(), Device::raw);
        // SAFETY: the fd is open, the objects live.
        let sent = unsafe { ffi::vdb_slice_send(socket.as_fd().as_raw_fd(), device, self.raw()) };
        check("sending a slice", sent)
    }

    /// Maps all of it.
    ///
    /// The address is chosen so that the kernel can use huge pages.  Installs the guard
    /// ([`guard::enable`]).
    ///
    /// # Errors
    /// [`ErrorKind::Revoked`]; [`ErrorKind::PermissionDenied`] for writing to a read-only
    /// slice; [`ErrorKind::OutOfMemory`]
    pub fn map(&self, access: Access) -> Result<Mapping> {
        self.map_part(0, self.len(), access)
    }

    /// Maps a part of it, in whole pages, which may be huge ones if it is memory.
    ///
    /// # Errors
    /// As [`map`](Self::map); [`ErrorKind::InvalidInput`] if it is not in whole pages, empty
    /// or not within the slice
    pub fn map_part(&self, offset: u64, length: u64, access: Access) -> Result<Mapping> {
        const WHAT: &str = "mapping a slice";
        let invalid = || Error::new(WHAT, libc::EINVAL, String::new());
        let length = usize::try_from(length).map_err(|_| invalid())?;
        // For the library, 0 means everything up to the end.
        if length == 0 {
            return Err(invalid());
        }
        guard::enable_if_supported()?;
        // SAFETY: the slice lives.
        let address = unsafe { ffi::vdb_slice_map(self.raw(), offset, length, access.prot()) };
        match NonNull::new(address) {
            // SAFETY: that is what was mapped.
            Some(address) => Ok(unsafe { Mapping::new(address, length, access) }),
            None => {
                let error = Error::last(WHAT);
                Err(match error.raw_os_error() {
                    libc::ENODEV => error.with_kind(ErrorKind::Revoked),
                    _ => error,
                })
            }
        }
    }

    /// The state of a watched slice, and a number that grows with every suspension,
    /// resumption and revocation.
    ///
    /// After this, the [event fd](Self::event_fd) is not readable until the state changes
    /// again, except after revocation.  Does not block.
    ///
    /// # Errors
    /// With `ENODATA` if the slice is not watched
    pub fn state(&mut self) -> Result<(State, u64)> {
        let mut changes = 0;
        // SAFETY: the slice lives and is ours alone.
        let state = unsafe { ffi::vdb_slice_state(self.raw_mut(), &mut changes) };
        match c_uint::try_from(state) {
            Ok(state) => Ok((State::of(state), changes)),
            Err(_) => Err(Error::last("reading the state of a slice")),
        }
    }

    /// The fd that is readable when [`state`](Self::state) has changed; `None` if the slice
    /// is not watched.
    pub fn event_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the slice lives.
        let fd = unsafe { ffi::vdb_slice_event_fd(self.raw()) };
        // SAFETY: the fd is the slice's, and what closes it takes `&mut self`.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Whether it is of registers or memory.
    pub fn kind(&self) -> Kind {
        // SAFETY: the slice lives.
        match unsafe { ffi::vdb_slice_kind(self.raw()) } {
            ffi::VDB_KIND_REGISTERS => Kind::Registers,
            _ => Kind::Memory,
        }
    }

    /// The address of memory for the device; `None` of registers.
    pub fn iova(&self) -> Option<u64> {
        // SAFETY: the slice lives.
        (self.kind() == Kind::Memory).then(|| unsafe { ffi::vdb_slice_iova(self.raw()) })
    }

    /// The PCI function, "0000:01:00.0", if it is known.
    pub fn bdf(&self) -> Option<&str> {
        // SAFETY: the slice lives, and the text does not change.
        let bdf = unsafe { CStr::from_ptr(ffi::vdb_slice_bdf(self.raw())) };
        bdf.to_str().ok().filter(|bdf| !bdf.is_empty())
    }

    /// The BAR, 0 to 5.
    pub fn bar(&self) -> u32 {
        // SAFETY: the slice lives.
        unsafe { ffi::vdb_slice_bar(self.raw()) }
    }

    /// Of its byte 0 in the BAR.
    pub fn offset(&self) -> u64 {
        // SAFETY: the slice lives.
        unsafe { ffi::vdb_slice_offset(self.raw()) }
    }

    /// Its length in bytes, whole pages and at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        // SAFETY: the slice lives.
        unsafe { ffi::vdb_slice_length(self.raw()) }
    }

    /// [`Flags::READ_ONLY`], [`Flags::WRITE_COMBINING`]; of memory also [`Flags::HUGE`],
    /// [`Flags::DMA_READ_ONLY`]
    pub fn flags(&self) -> Flags {
        // SAFETY: the slice lives.
        Flags(unsafe { ffi::vdb_slice_flags(self.raw()) })
    }
}

impl Drop for Slice {
    fn drop(&mut self) {
        // SAFETY: this object owns it, and nothing uses it any more.
        unsafe { ffi::vdb_slice_free(self.raw.as_ptr()) };
    }
}

impl AsFd for Slice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the fd is the slice's, and open as long as it.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl AsRawFd for Slice {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the slice lives.
        unsafe { ffi::vdb_slice_fd(self.raw()) }
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice")
            .field("kind", &self.kind())
            .field("iova", &self.iova())
            .field("bdf", &self.bdf())
            .field("bar", &self.bar())
            .field("offset", &self.offset())
            .field("length", &self.len())
            .field("flags", &self.flags())
            .finish()
    }
}

pub(crate) fn check(what: &'static str, result: c_int) -> Result<()> {
    if result < 0 {
        Err(Error::last(what))
    } else {
        Ok(())
    }
}

pub(crate) fn c_string(what: &'static str, text: &str) -> Result<CString> {
    CString::new(text)
        .map_err(|_| Error::new(what, libc::EINVAL, format!("{text:?} has a NUL in it")))
}
