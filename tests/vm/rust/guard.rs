// SPDX-License-Identifier: MIT
//! SIGBUS in programs that have their own handlers.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t};
use vfio_dmabuf::{guard, AccessError};

use crate::support::*;

static SEEN: AtomicUsize = AtomicUsize::new(0);
static TREATED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_sigbus(_: c_int, info: *mut siginfo_t, context: *mut c_void) {
    SEEN.fetch_add(1, Ordering::Relaxed);
    // SAFETY: it is such a handler.
    if unsafe { guard::handle(info, context) } {
        TREATED.fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn count_sigbus(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

fn install(handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void)) {
    // SAFETY: the handlers are async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()), 0);
    }
}

/// The address of the handler that is installed.
fn installed() -> libc::sighandler_t {
    // SAFETY: it changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(libc::SIGBUS, ptr::null(), &mut action), 0);
        action.sa_sigaction
    }
}

pub fn of_the_program() {
    let device = open("EDU");
    let slice = page(&device);

    assert!(guard::is_supported());
    install(on_sigbus);
    // SAFETY: that is so.
    unsafe { guard::assume_installed() };
    let mapping = map(&slice);
    assert_eq!(installed(), on_sigbus as libc::sighandler_t);
    device.revoke(&slice).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));
    assert_eq!((SEEN.load(Ordering::Relaxed), TREATED.load(Ordering::Relaxed)), (1, 1));
}

pub fn passes_others_on() {
    let device = open("EDU");
    let slice = page(&device);

    install(count_sigbus);
    let mapping = map(&slice);
    assert_ne!(installed(), count_sigbus as libc::sighandler_t);
    device.revoke(&slice).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));
    assert_eq!(SEEN.load(Ordering::Relaxed), 0);
    // SAFETY: there is a handler for it.
    unsafe { libc::raise(libc::SIGBUS) };
    assert_eq!(SEEN.load(Ordering::Relaxed), 1);
}
