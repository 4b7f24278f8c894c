// SPDX-License-Identifier: MIT
//! Memory that a device reaches, for its owner.

use std::ffi::CStr;
use std::fmt;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libc::{c_int, c_void};

use crate::device::{Device, Reason};
use crate::error::{errno, Error, ErrorKind, Result};
use crate::ffi;
use crate::slice::{Flags, Slice};

/// The object of the library; one thread at a time uses it.
struct Raw(NonNull<ffi::vdb_dma>);

// SAFETY: the library keeps nothing of the thread that made it.
unsafe impl Send for Raw {}

struct Space {
    raw: Mutex<Raw>,
    /// A copy of the container's or iommufd's, which the object uses.
    _fd: OwnedFd,
}

impl Space {
    fn lock(&self) -> MutexGuard<'_, Raw> {
        // No code of a program runs while it is locked.
        self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call, and its error with the library's words.
    fn call(
        &self,
        what: &'static str,
        call: impl FnOnce(*mut ffi::vdb_dma) -> c_int,
    ) -> Result<()> {
        let raw = self.lock();
        if call(raw.0.as_ptr()) < 0 {
            Err(raw.error(what))
        } else {
            Ok(())
        }
    }

    fn unmap(&self, iova: u64, length: u64) -> Result<()> {
        // SAFETY: the object lives.
        self.call("unmapping memory", |raw| unsafe { ffi::vdb_dma_unmap(raw, iova, length) })
    }
}

impl Raw {
    /// The error of the call that has just failed.
    fn error(&self, what: &'static str) -> Error {
        let errno = errno();
        // SAFETY: the object lives, and the text is valid until its next call.
        let text = unsafe { CStr::from_ptr(ffi::vdb_dma_error(self.0.as_ptr())) };
        Error::new(what, errno, text.to_string_lossy().into_owned())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: this object owns it, and nothing uses it any more.
        unsafe { ffi::vdb_dma_close(self.0.as_ptr()) };
    }
}

/// An IO address space: what the IO virtual addresses (IOVAs) of a device belong to.
///
/// It maps memory for the device's DMA.  Slices of memory ([`alloc`](Self::alloc)) are safe:
/// the kernel keeps their pages as long as the device reaches them.  Memory of this process
/// ([`map`](Self::map)) is the caller's responsibility.
///
/// Dropping it unmaps nothing.  What is mapped lasts until it is unmapped or revoked, or until
/// the last fd of the container or iommufd is closed.  This object has one, and the device.
///
/// The object knows which IOVAs it has given out.  Use one for an address space.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use vfio_dmabuf::{Access, Device, Dma, Flags};
///
/// let device = Device::open("0000:01:00.0")?;
/// let dma = Dma::new(&device)?;
/// let mut queue = dma.alloc(0x1000, Flags::default())?;
/// let memory = queue.map(Access::ReadWrite)?;
/// memory.write_from(0, b"a command")?;
/// println!("the device's address is {:#x}", queue.iova().unwrap());
/// // ... and when the device has stopped:
/// dma.revoke(&mut queue)?;
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// It is [`Send`] and [`Sync`]; calls of several threads run one after the other.
pub struct Dma {
    space: Arc<Space>,
}

impl Dma {
    /// The address space of a device.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a device of [`Device::from_fd`];
    /// [`ErrorKind::Unsupported`] if the device has no IOMMU
    pub fn new(device: &Device) -> Result<Self> {
        const WHAT: &str = "using an IO address space";
        let mut reason = Reason::new();
        // SAFETY: the device lives, and the buffer has the size that the library wants.
        let raw = unsafe { ffi::vdb_dma_from_device(device.raw(), reason.as_mut_ptr()) };
        let Some(raw) = NonNull::new(raw).map(Raw) else {
            return Err(reason.error(WHAT));
        };
        // SAFETY: the object lives.
        let ioas = NonZeroU32::new(unsafe { ffi::vdb_dma_ioas(raw.0.as_ptr()) });
        let fd = device.iommu_fd().map(|fd| fd.try_clone_to_owned());
        match fd {
            Some(Ok(fd)) => Self::from_fd(fd, ioas),
            _ => Err(Error::last(WHAT)),
        }
    }

    /// An address space of the program: a type 1 container (`None`), or an iommufd and the
    /// number of the address space in it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the iommufd does not have it; [`ErrorKind::InvalidInput`]
    /// for a container without an IOMMU; [`ErrorKind::Unsupported`] for another fd.  The fd
    /// is closed then.
    pub fn from_fd(fd: OwnedFd, ioas: Option<NonZeroU32>) -> Result<Self> {
        let ioas = ioas.map_or(0, NonZeroU32::get);
        let mut reason = Reason::new();
        // SAFETY: the fd is open as long as the object, and the buffer has that size.
        let raw = unsafe { ffi::vdb_dma_from_fd(fd.as_raw_fd(), ioas, reason.as_mut_ptr()) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { space: Arc::new(Space { raw: Mutex::new(Raw(raw)), _fd: fd }) }),
            None => Err(reason.error("using an IO address space")),
        }
    }

    /// The number of the address space in the iommufd; `None`: it is a container.
    pub fn ioas(&self) -> Option<NonZeroU32> {
        // SAFETY: the object lives.
        NonZeroU32::new(unsafe { ffi::vdb_dma_ioas(self.space.lock().0.as_ptr()) })
    }

    /// Limits later IOVAs to the number of bits that the device has in its registers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it is not 1 to 64
    pub fn set_width(&self, bits: u32) -> Result<()> {
        self.space.call("limiting IOVAs", |raw| {
            // SAFETY: the object lives.
            unsafe { ffi::vdb_dma_set_width(raw, bits) }
        })
    }

    /// Keeps IOVAs from being given out, for example because an earlier process has mapped
    /// something there.
    ///
    /// # Errors
    /// With `EEXIST` if part of it is given out; [`ErrorKind::InvalidInput`]
    pub fn reserve(&self, iova: u64, length: u64) -> Result<()> {
        self.space.call("reserving IOVAs", |raw| {
            // SAFETY: the object lives.
            unsafe { ffi::vdb_dma_reserve(raw, iova, length) }
        })
    }

    /// Takes all that this object has neither mapped nor reserved away from the device, for
    /// an owner that was restarted.  Nobody else uses the address space.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if a reserved range is a part of a mapping, which stays
    pub fn unmap_unknown(&self) -> Result<()> {
        self.space.call("unmapping what is not known", |raw| {
            // SAFETY: the object lives.
            unsafe { ffi::vdb_dma_unmap_unknown(raw) }
        })
    }

    /// Takes what is mapped at reserved IOVAs away from the device, and ends the reservation.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if nothing was mapped there, [`ErrorKind::InvalidInput`]
    pub fn unmap(&self, iova: u64, length: u64) -> Result<()> {
        self.space.unmap(iova, length)
    }

    /// Allocates a slice of memory, in whole pages: all zeros, and mapped for the device.
    ///
    /// With [`Flags::READ_ONLY`] only the device can write to it, with
    /// [`Flags::DMA_READ_ONLY`] the device cannot.  [`Flags::HUGE`] uses huge pages if there
    /// are any.  [`Slice::iova`] is the address for the device.
    ///
    /// Dropping the slice leaves it mapped for the device; see [`revoke`](Self::revoke).
    ///
    /// # Errors
    /// [`ErrorKind::LimitReached`] if `RLIMIT_MEMLOCK` is too low (the text says what it
    /// must be); with `ENOSPC` if no IOVA is left; [`ErrorKind::InvalidInput`]
    pub fn alloc(&self, length: u64, flags: Flags) -> Result<Slice> {
        const WHAT: &str = "allocating memory";
        let raw = self.space.lock();
        // SAFETY: the object lives.
        let slice = unsafe { ffi::vdb_memory_alloc(raw.0.as_ptr(), length, flags.0) };
        if slice.is_null() {
            return Err(raw.error(WHAT));
        }
        // SAFETY: it is ours.
        unsafe { Slice::take(WHAT, slice) }
    }

    /// Takes a slice of memory away from the device.
    ///
    /// When it returns, the device cannot reach the memory.  It does not wait for clients.  They
    /// keep it as ordinary memory: give another client new memory.  Stop the device's queue
    /// before its IOVA is given out again.
    ///
    /// # Errors
    /// [`ErrorKind::Revoked`] if that was done before; [`ErrorKind::InvalidInput`] if it is not
    /// a slice of memory
    pub fn revoke(&self, slice: &mut Slice) -> Result<()> {
        self.space.call("revoking memory", |raw| {
            // SAFETY: both live, and the slice is ours alone.
            unsafe { ffi::vdb_dma_revoke(raw, slice.raw_mut()) }
        })
    }

    /// Maps memory of this process, in whole pages, until the mapping is dropped.  Flags are
    /// empty, or [`Flags::DMA_READ_ONLY`].
    ///
    /// # Errors
    /// As [`alloc`](Self::alloc); [`ErrorKind::Unreachable`] if there is no memory, or it is
    /// not writable
    ///
    /// # Safety
    /// The device changes the memory at any time, like another thread.  As long as it is
    /// mapped, the program does not free it or use it for anything else, and accesses it with
    /// atomic or volatile operations only.  If the mapping is leaked (`mem::forget`), it is mapped
    /// for good.  (So a type that borrows the memory would not be enough: a borrow ends also if
    /// the type is leaked.)
    pub unsafe fn map(
        &self,
        address: NonNull<u8>,
        length: usize,
        flags: Flags,
    ) -> Result<DmaMapping> {
        let address: *mut c_void = address.as_ptr().cast();
        let (mut iova, length) = (0, length as u64);
        self.space.call("mapping memory", |raw| {
            // SAFETY: the object lives, and the caller has promised what is said of the memory.
            unsafe { ffi::vdb_dma_map(raw, address, length, flags.0, &mut iova) }
        })?;
        Ok(DmaMapping { space: Arc::clone(&self.space), iova, length })
    }
}

impl fmt::Debug for Dma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dma").field("ioas", &self.ioas()).finish()
    }
}

/// Memory of this process that a device reaches, until this is dropped; from [`Dma::map`].
///
/// It keeps the address space.
#[must_use = "dropping it unmaps the memory from the device"]
pub struct DmaMapping {
    space: Arc<Space>,
    iova: u64,
    length: u64,
}

impl DmaMapping {
    /// The address for the device.
    pub fn iova(&self) -> u64 {
        self.iova
    }

    /// Its length in bytes, whole pages.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Takes the memory away from the device.  When it returns, the device cannot reach it.
    /// Dropping does the same.
    pub fn unmap(self) {}
}

impl Drop for DmaMapping {
    /// Ends the process if the kernel does not unmap it: the program would use memory again
    /// that the device still reaches.
    fn drop(&mut self) {
        match self.space.unmap(self.iova, self.length) {
            Ok(()) => {}
            // It was unmapped by its IOVA before.
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::InvalidInput].contains(&error.kind()) => {}
            Err(error) => {
                eprintln!("{error}");
                std::process::abort();
            }
        }
    }
}

impl fmt::Debug for DmaMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DmaMapping")
            .field("iova", &self.iova)
            .field("length", &self.length)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_fds_are_refused_with_words() {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        for ioas in [None, NonZeroU32::new(1)] {
            let error = Dma::from_fd(null(), ioas).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(!error.reason().is_empty(), "{error}");
        }
    }
}
