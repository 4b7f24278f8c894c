// SPDX-License-Identifier: MIT
//! A mapped slice, and access to its registers.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::{align_of, size_of, size_of_val};
use std::ptr::NonNull;

use libc::{c_int, c_uint, c_void};

use crate::error::AccessError;
use crate::ffi;

/// What a mapping is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing; not for slices that are read-only.
    ReadWrite,
}

impl Access {
    pub(crate) fn prot(self) -> c_int {
        match self {
            Self::Read => libc::PROT_READ,
            Self::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        }
    }
}

mod sealed {
    use super::*;

    pub trait Width: Copy {
        /// # Safety
        /// `address` is aligned and within a mapping of a slice.
        unsafe fn try_read(address: *const c_void, value: *mut Self) -> c_int;
        /// # Safety
        /// The same, and the mapping is writable.
        unsafe fn try_write(address: *mut c_void, value: Self) -> c_int;
    }

    macro_rules! width {
        ($($type:ty, $read:ident, $write:ident;)*) => {$(
            impl Width for $type {
                #[inline]
                unsafe fn try_read(address: *const c_void, value: *mut Self) -> c_int {
                    // SAFETY: the caller has promised that.
                    unsafe { ffi::$read(address, value) }
                }

                #[inline]
                unsafe fn try_write(address: *mut c_void, value: Self) -> c_int {
                    // SAFETY: the caller has promised that.
                    unsafe { ffi::$write(address, value) }
                }
            }

            impl super::RegisterValue for $type {}
        )*};
    }

    width! {
        u8, vdb_try_read8, vdb_try_write8;
        u16, vdb_try_read16, vdb_try_write16;
        u32, vdb_try_read32, vdb_try_write32;
        u64, vdb_try_read64, vdb_try_write64;
    }
}

/// The widths of registers: `u8`, `u16`, `u32` and `u64`.  Values are in the CPU's byte
/// order; PCI's is little endian.
pub trait RegisterValue: sealed::Width {}

/// A slice or a part of it, mapped into this process until the mapping is dropped.
///
/// The registers are not memory of Rust.  A `&[u8]` of them does not exist, because the
/// device changes them at any time, and reading a register can have side effects.  Each
/// access is one volatile access of its width, made by the library.  It waits while the
/// device is reset.  If the slice is revoked, it fails with [`AccessError::Unreachable`].
///
/// The accesses of one thread to a mapping that is not write-combining reach the device
/// in the order of the program.  What the thread wrote to ordinary memory before
/// [`write`](Self::write) is visible to the device's DMA before the register is written,
/// and what the device wrote by DMA before it answered is visible after
/// [`read`](Self::read).
///
/// ```no_run
/// # fn show(slice: vfio_dmabuf::Slice) -> Result<(), Box<dyn std::error::Error>> {
/// use vfio_dmabuf::{Access, AccessError};
///
/// let mapping = slice.map(Access::ReadWrite)?;
/// mapping.write_u32(0x14, 0x0046_0000)?;
/// match mapping.read_u32(0x08) {
///     Ok(version) => println!("version {version:08x}"),
///     Err(AccessError::Unreachable) => println!("the owner has revoked the slice"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
///
/// A register cannot be used after the mapping is dropped:
///
/// ```compile_fail,E0505
/// # fn read(mapping: vfio_dmabuf::Mapping) -> Result<u32, vfio_dmabuf::AccessError> {
/// let version = mapping.register::<u32>(0x08)?;
/// drop(mapping);
/// version.read()
/// # }
/// ```
///
/// # Threads
/// A mapping is [`Send`] and [`Sync`].  It points to memory of the device, which is never
/// accessed through a reference.  An access is a single instruction in the library.  For
/// the compiler it is a call of a foreign function.  The device orders two simultaneous
/// accesses, like those of two CPUs.  If registers must be accessed in sequence (an index
/// and its data), the program needs a lock.
pub struct Mapping {
    address: NonNull<c_void>,
    length: usize,
    access: Access,
}

// SAFETY: munmap() can be called in any thread, and the rest is as for Sync.
unsafe impl Send for Mapping {}
// SAFETY: see "Threads" above: shared use makes only accesses that are single
// instructions, to memory of which no Rust reference exists.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// # Safety
    /// `address` comes from `vdb_slice_map()` with that length and access, nothing else
    /// unmaps it, and `length` is greater than 0.
    pub(crate) unsafe fn new(address: NonNull<c_void>, length: usize, access: Access) -> Self {
        Self { address, length, access }
    }

    /// Its length in bytes, whole pages.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.length
    }

    /// What it was mapped for.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Its address, for VMMs that pass it to the kernel (for memory slots of KVM, for example).
    ///
    /// Do not read or write registers through it.  After the slice is revoked, such an access
    /// raises SIGBUS.  Memory stays; use atomic or volatile operations, because the device and
    /// other processes change it at any time.
    pub fn as_ptr(&self) -> *mut u8 {
        self.address.as_ptr().cast()
    }

    /// Checks that a register lies within the mapping, for accesses that need not be
    /// checked again.
    ///
    /// # Errors
    /// [`AccessError::OutOfBounds`], [`AccessError::Misaligned`]
    pub fn register<T: RegisterValue>(
        &self,
        offset: usize,
    ) -> Result<Register<'_, T>, AccessError> {
        let size = size_of::<T>();
        if offset > self.length || size > self.length - offset {
            return Err(AccessError::OutOfBounds);
        }
        // The mapping begins at a page.
        if offset % size != 0 {
            return Err(AccessError::Misaligned);
        }
        debug_assert!(align_of::<T>() <= size);
        // SAFETY: it is within the mapping.
        let address = unsafe { self.address.byte_add(offset) };
        Ok(Register { address, access: self.access, mapping: PhantomData })
    }

    /// Copies a block of memory from an offset in bytes on.  For memory, not for registers: the
    /// width of the accesses is not defined.  If it fails, a part may have been copied.
    ///
    /// # Errors
    /// Any [`AccessError`] except [`Misaligned`](AccessError::Misaligned)
    pub fn read_into(&self, offset: usize, bytes: &mut [u8]) -> Result<(), AccessError> {
        self.check(offset, bytes.len(), 1)?;
        let (head, rest) = bytes.split_at_mut(unaligned(offset, bytes.len()));
        let (body, tail) = rest.split_at_mut(rest.len() & !7);
        self.copy_from(offset, head, 1)?;
        self.copy_from(offset + head.len(), body, 8)?;
        self.copy_from(offset + head.len() + body.len(), tail, 1)
    }

    /// Copies a block to memory at an offset in bytes, likewise.
    ///
    /// # Errors
    /// Any [`AccessError`] except [`Misaligned`](AccessError::Misaligned)
    pub fn write_from(&self, offset: usize, bytes: &[u8]) -> Result<(), AccessError> {
        self.check(offset, bytes.len(), 1)?;
        let (head, rest) = bytes.split_at(unaligned(offset, bytes.len()));
        let (body, tail) = rest.split_at(rest.len() & !7);
        self.copy_to(offset, head, 1)?;
        self.copy_to(offset + head.len(), body, 8)?;
        self.copy_to(offset + head.len() + body.len(), tail, 1)
    }

    /// Reads consecutive registers, each in one access of its width, from an offset in bytes on.
    /// If it fails, a part may have been read.
    ///
    /// # Errors
    /// Any [`AccessError`]
    pub fn read_all<T: RegisterValue>(
        &self,
        offset: usize,
        values: &mut [T],
    ) -> Result<(), AccessError> {
        // SAFETY: a register's value is an integer, which any bytes are.
        let bytes = unsafe {
            std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values))
        };
        self.copy_from(offset, bytes, size_of::<T>())
    }

    /// Writes consecutive registers likewise.
    ///
    /// # Errors
    /// Any [`AccessError`]
    pub fn write_all<T: RegisterValue>(
        &self,
        offset: usize,
        values: &[T],
    ) -> Result<(), AccessError> {
        // SAFETY: a register's value is an integer, without padding.
        let bytes =
            unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) };
        self.copy_to(offset, bytes, size_of::<T>())
    }

    /// Writes blocks of 64 bytes to a slice with
    /// [`Flags::WRITE_COMBINING`](crate::Flags::WRITE_COMBINING).  The CPU normally sends each
    /// as one transaction, but can send it in parts.  Call [`flush_write_combining`] after the
    /// last one, and before the first one if the device then reads memory by DMA.
    ///
    /// # Errors
    /// Any [`AccessError`]
    pub fn write_blocks(&self, offset: usize, blocks: &[[u8; 64]]) -> Result<(), AccessError> {
        self.copy_to(offset, blocks.as_flattened(), 64)
    }

    /// Checks a copy in accesses of `width` bytes.
    fn check(&self, offset: usize, length: usize, width: usize) -> Result<(), AccessError> {
        if offset > self.length || length > self.length - offset {
            return Err(AccessError::OutOfBounds);
        }
        // The mapping begins at a page.
        if (offset | length) % width != 0 {
            return Err(AccessError::Misaligned);
        }
        Ok(())
    }

    fn copy_from(&self, offset: usize, bytes: &mut [u8], width: usize) -> Result<(), AccessError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check(offset, bytes.len(), width)?;
        // SAFETY: both are that long, by the check.
        let ret = unsafe {
            ffi::vdb_try_copy_from(
                bytes.as_mut_ptr().cast(),
                self.address.as_ptr().byte_add(offset),
                bytes.len(),
                width as c_uint,
                std::ptr::null_mut(),
            )
        };
        if ret != 0 {
            return Err(failure());
        }
        Ok(())
    }

    fn copy_to(&self, offset: usize, bytes: &[u8], width: usize) -> Result<(), AccessError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.check(offset, bytes.len(), width)?;
        if self.access == Access::Read {
            return Err(AccessError::ReadOnly);
        }
        // SAFETY: both are that long, by the check, and the mapping is writable.
        let ret = unsafe {
            ffi::vdb_try_copy_to(
                self.address.as_ptr().byte_add(offset),
                bytes.as_ptr().cast(),
                bytes.len(),
                width as c_uint,
                std::ptr::null_mut(),
            )
        };
        if ret != 0 {
            return Err(failure());
        }
        Ok(())
    }

    /// Reads the register at an offset in bytes.
    ///
    /// # Errors
    /// Any [`AccessError`]
    #[inline]
    pub fn read<T: RegisterValue>(&self, offset: usize) -> Result<T, AccessError> {
        self.register::<T>(offset)?.read()
    }

    /// Writes the register at an offset in bytes.
    ///
    /// # Errors
    /// Any [`AccessError`]
    #[inline]
    pub fn write<T: RegisterValue>(&self, offset: usize, value: T) -> Result<(), AccessError> {
        self.register::<T>(offset)?.write(value)
    }
}

/// The bytes up to an offset that is aligned to 8 bytes.
fn unaligned(offset: usize, length: usize) -> usize {
    length.min(offset.wrapping_neg() % 8)
}

macro_rules! named_accesses {
    ($($type:ty, $read:ident, $write:ident;)*) => {
        /// The same, with the name that device drivers in Rust use.
        impl Mapping {$(
            #[doc = concat!("[`read`](Self::read) of a `", stringify!($type), "`")]
            /// # Errors
            /// Any [`AccessError`]
            #[inline]
            pub fn $read(&self, offset: usize) -> Result<$type, AccessError> {
                self.read(offset)
            }

            #[doc = concat!("[`write`](Self::write) of a `", stringify!($type), "`")]
            /// # Errors
            /// Any [`AccessError`]
            #[inline]
            pub fn $write(&self, offset: usize, value: $type) -> Result<(), AccessError> {
                self.write(offset, value)
            }
        )*}
    };
}

named_accesses! {
    u8, read_u8, write_u8;
    u16, read_u16, write_u16;
    u32, read_u32, write_u32;
    u64, read_u64, write_u64;
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nothing else unmaps it, and registers borrow it, so none is left.  It
        // is what vdb_slice_unmap() does, without the slice.
        unsafe { libc::munmap(self.address.as_ptr(), self.length) };
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping")
            .field("address", &self.address)
            .field("length", &self.length)
            .field("access", &self.access)
            .finish()
    }
}

/// A register of a [`Mapping`], whose offset has been checked.
pub struct Register<'mapping, T: RegisterValue> {
    address: NonNull<c_void>,
    access: Access,
    mapping: PhantomData<(&'mapping Mapping, T)>,
}

// SAFETY: it does what a shared reference to the mapping does.
unsafe impl<T: RegisterValue> Send for Register<'_, T> {}
// SAFETY: likewise.
unsafe impl<T: RegisterValue> Sync for Register<'_, T> {}

impl<T: RegisterValue> Clone for Register<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: RegisterValue> Copy for Register<'_, T> {}

impl<T: RegisterValue> fmt::Debug for Register<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("address", &self.address).finish()
    }
}

#[cold]
fn failure() -> AccessError {
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EOPNOTSUPP) => AccessError::Unsupported,
        Some(libc::EINVAL) => AccessError::Misaligned,
        Some(libc::EIO) => AccessError::Failed,
        _ => AccessError::Unreachable,
    }
}

impl<T: RegisterValue> Register<'_, T> {
    /// Reads it.
    ///
    /// # Errors
    /// [`AccessError::Unreachable`], [`AccessError::Unsupported`]
    #[inline]
    pub fn read(&self) -> Result<T, AccessError> {
        let mut value = std::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the address was checked, and the mapping is borrowed.
        if unsafe { T::try_read(self.address.as_ptr(), value.as_mut_ptr()) } != 0 {
            return Err(failure());
        }
        // SAFETY: it is filled in if the call succeeds.
        Ok(unsafe { value.assume_init() })
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`AccessError::ReadOnly`], [`AccessError::Unreachable`],
    /// [`AccessError::Unsupported`]
    #[inline]
    pub fn write(&self, value: T) -> Result<(), AccessError> {
        if self.access == Access::Read {
            return Err(AccessError::ReadOnly);
        }
        // SAFETY: the address was checked, the mapping is borrowed and writable.
        if unsafe { T::try_write(self.address.as_ptr(), value) } != 0 {
            return Err(failure());
        }
        Ok(())
    }
}

/// Flushes the CPU's write-combining buffers.
///
/// Writes to a slice with [`Flags::WRITE_COMBINING`](crate::Flags::WRITE_COMBINING) reach
/// the device in any order and at any time.  Writes of this thread before this call leave
/// the CPU before everything after it.
#[inline]
pub fn flush_write_combining() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it has no operands, and is part of the x86-64 baseline.
    unsafe {
        std::arch::asm!("sfence", options(nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: it has no operands, and is part of every Armv8-A.
    unsafe {
        std::arch::asm!("dsb st", options(nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}
