// SPDX-License-Identifier: MIT
//! What turns SIGBUS into an error: the handler that register accesses need.
//!
//! An access to a revoked slice raises SIGBUS.  The library's accesses are single
//! instructions that it knows; its handler has them return an error, and passes every
//! other SIGBUS to the disposition that was there before.
//!
//! [`Slice::map`](crate::Slice::map) installs that handler, so that most programs need
//! nothing of this module.  A program that installs a SIGBUS handler of its own, before
//! or after, calls [`handle`] first in it, and [`assume_installed`] before it maps.
//!
//! A thread that accesses registers must not block SIGBUS: the kernel ends a process
//! that faults while the signal is blocked.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_void;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi;

/// Whether the program has said that its own handler calls [`handle`].
static ASSUMED: AtomicBool = AtomicBool::new(false);

/// Whether the library has guarded accesses for this CPU.  Elsewhere slices can be
/// mapped, and each access fails with
/// [`AccessError::Unsupported`](crate::AccessError::Unsupported).
pub fn is_supported() -> bool {
    // SAFETY: it takes nothing.
    unsafe { ffi::vdb_guard_supported() }
}

/// Installs the library's handler, unless it is installed already or
/// [`assume_installed`] was called.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if not [`is_supported`]; what `sigaction()` says.
pub fn enable() -> Result<()> {
    if ASSUMED.load(Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: it is thread-safe, and installs a handler that passes on all signals that
    // are not the library's.
    if unsafe { ffi::vdb_guard_enable() } == 0 {
        Ok(())
    } else {
        Err(Error::last("installing the SIGBUS handler"))
    }
}

/// For mappings, which can be made without a guard where there is none.
pub(crate) fn enable_if_supported() -> Result<()> {
    match enable() {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}

/// Has [`enable`] and [`Slice::map`](crate::Slice::map) leave SIGBUS alone.
///
/// # Safety
/// A SIGBUS handler of the program's that calls [`handle`] first is installed, with
/// `SA_SIGINFO`, and stays.
pub unsafe fn assume_installed() {
    ASSUMED.store(true, Ordering::Relaxed);
}

/// Treats a SIGBUS that an access of the library has raised; async-signal-safe.
///
/// Returns true if it was one: the handler then returns at once, and the access fails.
/// False: the signal is the program's to treat.
///
/// # Safety
/// Called in a handler for SIGBUS that was installed with `SA_SIGINFO`, with the second
/// and third argument of that handler.
pub unsafe fn handle(info: *const libc::siginfo_t, context: *mut c_void) -> bool {
    // SAFETY: the caller has promised that.
    unsafe { ffi::vdb_guard_handle(info, context) }
}
