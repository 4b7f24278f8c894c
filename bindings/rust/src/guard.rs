// SPDX-License-Identifier: MIT
//! The handler that turns SIGBUS into an error, which register accesses need.
//!
//! An access to a revoked slice raises SIGBUS.  The library's accesses are single
//! instructions that it knows.  Its handler makes them return an error, and passes every
//! other SIGBUS to the disposition that was installed before.
//!
//! [`Slice::map`](crate::Slice::map) installs that handler, so most programs do not need
//! this module.  If a program installs its own SIGBUS handler, before or after, that
//! handler calls [`handle`] first, and the program calls [`assume_installed`] before it
//! maps.
//!
//! A thread that accesses registers must not block SIGBUS: the kernel ends a process
//! that faults while the signal is blocked.

use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_void;

use crate::error::{Error, ErrorKind, Result};
use crate::ffi;

/// Whether the program has said that its own handler calls [`handle`].
static ASSUMED: AtomicBool = AtomicBool::new(false);

/// Whether the library has guarded accesses for this CPU.  On other CPUs slices can be
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

/// For mappings, which can be made without a guard if the CPU has none.
pub(crate) fn enable_if_supported() -> Result<()> {
    match enable() {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(()),
        result => result,
    }
}

/// After this, [`enable`] and [`Slice::map`](crate::Slice::map) do not change SIGBUS.
///
/// # Safety
/// The program has installed a SIGBUS handler with `SA_SIGINFO` that calls [`handle`]
/// first, and does not remove it.
pub unsafe fn assume_installed() {
    ASSUMED.store(true, Ordering::Relaxed);
}

/// Handles a SIGBUS that an access of the library has raised; async-signal-safe.
///
/// If it returns true, it was such a signal: return from the handler immediately, and the
/// access fails.  If it returns false, the program must handle the signal.
///
/// # Safety
/// Called in a handler for SIGBUS that was installed with `SA_SIGINFO`, with the second
/// and third argument of that handler.
pub unsafe fn handle(info: *const libc::siginfo_t, context: *mut c_void) -> bool {
    // SAFETY: the caller has promised that.
    unsafe { ffi::vdb_guard_handle(info, context) }
}
