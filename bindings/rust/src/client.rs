// SPDX-License-Identifier: MIT
//! Clients of the broker.

use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use libc::{c_int, c_uint};

use crate::device::Reason;
#[allow(unused_imports)] // ErrorKind: for the documentation
use crate::error::{errno, Error, ErrorKind, Result};
use crate::ffi;
use crate::news::News;
use crate::slice::{Flags, Slice, State};

/// The number of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// The number of a request of [`Client::acquire_start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A slice that the broker has granted.
///
/// The lease ends when it is [released](Client::release) or revoked, when it expires, and
/// when the [`Client`] is dropped.  After its end, accesses to its mappings return errors.
///
/// Dropping this closes the fds of the slice and does not end the lease.
#[must_use = "the lease lasts until it is released or the client is dropped"]
#[non_exhaustive]
#[derive(Debug)]
pub struct Lease {
    /// Its number.
    pub id: LeaseId,
    /// Which of an array of slices it is.
    pub index: u32,
    /// The time after which it expires, from the grant on; `None`: it does not expire.
    pub time: Option<Duration>,
    /// The slice; it is watched.
    pub slice: Slice,
    /// Its memory for DMA, if the slice of the configuration has some.
    pub memory: Option<Slice>,
    /// An eventfd for its interrupt, if the slice of the configuration has one: non-blocking, to
    /// read 8 bytes from.
    pub interrupt: Option<OwnedFd>,
}

/// Why a lease ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Its client has released it.
    Released,
    /// Its time has expired.
    Expired,
    /// An administrator or a new configuration has revoked it.
    Revoked,
    /// The broker has lost the device.
    Device,
    /// Its client has disconnected, or no process had the slice any more when the broker was
    /// restarted.
    Client,
    /// The broker could not send it.
    Unsent,
    /// The kernel did not export it.
    Export,
    /// It was not granted: others have it.
    Busy,
    /// It was not granted within the time to wait.
    TimedOut,
    /// A reason that this crate does not know.
    Other(u32),
}

impl End {
    pub(crate) fn of(raw: c_uint) -> Option<Self> {
        Some(match raw {
            ffi::VDB_END_NONE => return None,
            ffi::VDB_END_RELEASED => Self::Released,
            ffi::VDB_END_EXPIRED => Self::Expired,
            ffi::VDB_END_REVOKED => Self::Revoked,
            ffi::VDB_END_DEVICE => Self::Device,
            ffi::VDB_END_CLIENT => Self::Client,
            ffi::VDB_END_UNSENT => Self::Unsent,
            ffi::VDB_END_EXPORT => Self::Export,
            ffi::VDB_END_BUSY => Self::Busy,
            ffi::VDB_END_TIMEOUT => Self::TimedOut,
            other => Self::Other(other),
        })
    }
}

/// What happens to a client's leases and requests.
#[non_exhaustive]
#[derive(Debug)]
pub enum Event {
    /// A lease is suspended, live again, or has ended.
    State {
        /// Which.
        lease: LeaseId,
        /// [`State::Revoked`]: it has ended.
        state: State,
        /// Why, if it has.
        end: Option<End>,
    },
    /// A request was granted.
    Granted {
        /// Which.
        request: RequestId,
        /// What was granted.
        lease: Lease,
    },
    /// A request was refused.
    Refused {
        /// Which.
        request: RequestId,
        /// Why, in the broker's words.
        error: Error,
    },
    /// Something has happened at the broker: see [`Client::watch`].
    News(News),
}

/// A request for a slice.
///
/// ```
/// use std::time::Duration;
/// use vfio_dmabuf::Acquire;
///
/// let request = Acquire::new("nic/doorbell").any_index().wait(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acquire {
    name: String,
    index: u32,
    flags: Flags,
    seconds: u32,
    wait_ms: u32,
}

impl Acquire {
    /// A slice by its name in the broker's configuration, "device/slice".  If it is an array:
    /// the first.  Without a time, the lease lasts as long as the configuration allows.  The
    /// request does not wait.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), index: 0, flags: Flags::default(), seconds: 0, wait_ms: 0 }
    }

    /// Index in an array of slices.
    pub fn index(mut self, index: u32) -> Self {
        self.index = index;
        self
    }

    /// Any of an array that is free.
    pub fn any_index(self) -> Self {
        self.index(ffi::VDB_ANY_INDEX)
    }

    /// For reading only, even if writing is allowed.
    pub fn read_only(mut self) -> Self {
        self.flags |= Flags::READ_ONLY;
        self
    }

    /// For this time, in whole seconds, rounded up.
    pub fn time(mut self, time: Duration) -> Self {
        self.seconds = whole_seconds(time);
        self
    }

    /// Waits up to this time for other leases to end.  The connection's time limit is added.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait_ms = u32::try_from(whole_milliseconds(time)).unwrap_or(u32::MAX);
        self
    }

    /// A name with a NUL does not exist, just as the library reports for a name that is too long.
    fn c_name(&self, what: &'static str) -> Result<CString> {
        CString::new(self.name.as_str())
            .map_err(|_| Error::new(what, libc::ENOENT, "there is no such slice".into()))
    }
}

/// For the broker, 0 has another meaning.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

pub(crate) fn time_of(seconds: u32) -> Option<Duration> {
    (seconds != 0).then(|| Duration::from_secs(seconds.into()))
}

fn milliseconds(time: Option<Duration>) -> c_int {
    time.map_or(-1, |time| c_int::try_from(whole_milliseconds(time)).unwrap_or(c_int::MAX))
}

/// Rounded up, so that only 0 is 0.
fn whole_milliseconds(time: Duration) -> u128 {
    time.as_nanos().div_ceil(1_000_000)
}

/// A connection to the broker.
///
/// Every call that sends a request to the broker ends within the connection's time limit.  After
/// [`ErrorKind::TimedOut`] the connection can still be used.  After [`ErrorKind::Disconnected`] or
/// [`ErrorKind::Protocol`] it has ended, and all its leases have ended too.  Errors contain the
/// text of the broker.
///
/// Dropping it closes the connection, which ends all its leases.
///
/// For an event loop: when [`AsFd`] is readable, call [`next_event`](Self::next_event).
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use vfio_dmabuf::{Access, Acquire, Client};
///
/// let mut client = Client::connect(Some(Duration::from_secs(10)))?;
/// let lease = client.acquire(&Acquire::new("nvme/registers"))?;
/// let registers = lease.slice.map(Access::Read)?;
/// println!("version {:08x}", registers.read_u32(0x08)?);
/// client.release(lease.id)?;
/// assert!(registers.read_u32(0x08).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// A client is [`Send`] and [`Sync`].  All calls that use the connection take `&mut self`.
pub struct Client {
    raw: NonNull<ffi::vdb_client>,
    /// The library accepts vdb_client_news().
    pub(crate) watches: bool,
}

// SAFETY: the library keeps nothing of the thread that has connected.
unsafe impl Send for Client {}
// SAFETY: with `&self` only the fd is read, which does not change.
unsafe impl Sync for Client {}

impl Client {
    /// Connects to the broker at its usual socket.  `timeout` is the limit of this call and
    /// of each later one; `None`: no limit.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::ConnectionRefused`],
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::TimedOut`], [`ErrorKind::Protocol`],
    /// [`ErrorKind::Disconnected`] (this user, or all users together, have reached the limit
    /// of connections)
    pub fn connect(timeout: Option<Duration>) -> Result<Self> {
        Self::connect_at(None, timeout)
    }

    /// Connects to a broker at another socket.
    ///
    /// # Errors
    /// As [`connect`](Self::connect)
    pub fn connect_to(path: impl AsRef<Path>, timeout: Option<Duration>) -> Result<Self> {
        Self::connect_at(Some(path.as_ref()), timeout)
    }

    fn connect_at(path: Option<&Path>, timeout: Option<Duration>) -> Result<Self> {
        const WHAT: &str = "connecting to the broker";
        let path = path
            .map(|path| CString::new(path.as_os_str().as_bytes()))
            .transpose()
            .map_err(|_| Error::new(WHAT, libc::ENOENT, "the path has a NUL in it".into()))?;
        let mut reason = Reason::new();
        // SAFETY: the text has an end, and the buffer has the size that the library wants.
        let raw = unsafe {
            ffi::vdb_client_connect(
                path.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
                milliseconds(timeout),
                reason.as_mut_ptr(),
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, watches: false }),
            None => Err(reason.error(WHAT)),
        }
    }

    pub(crate) fn raw(&mut self) -> *mut ffi::vdb_client {
        self.raw.as_ptr()
    }

    /// The error of the call that has just failed.
    pub(crate) fn error(&mut self, what: &'static str) -> Error {
        let errno = errno();
        Error::new(what, errno, self.words())
    }

    fn words(&mut self) -> String {
        // SAFETY: the client lives, and the text is valid until its next call.
        let text = unsafe { CStr::from_ptr(ffi::vdb_client_error(self.raw())) };
        text.to_string_lossy().into_owned()
    }

    pub(crate) fn check(&mut self, what: &'static str, result: c_int) -> Result<()> {
        if result < 0 {
            Err(self.error(what))
        } else {
            Ok(())
        }
    }

    /// Changes the time limit of later calls; zero: only what can be done without waiting.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        // SAFETY: the client lives.
        unsafe { ffi::vdb_client_set_timeout(self.raw(), milliseconds(timeout)) };
    }

    /// Acquires a slice.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] (no such slice, or not for this user), [`ErrorKind::Busy`],
    /// [`ErrorKind::TimedOut`], [`ErrorKind::InvalidInput`], [`ErrorKind::LimitReached`],
    /// [`ErrorKind::WrongDevice`] (the device is not open), [`ErrorKind::TryAgain`],
    /// [`ErrorKind::Cancelled`], [`ErrorKind::Other`]
    pub fn acquire(&mut self, request: &Acquire) -> Result<Lease> {
        const WHAT: &str = "acquiring a slice";
        let name = request.c_name(WHAT)?;
        // SAFETY: numbers, and null pointers.
        let mut raw: ffi::vdb_lease = unsafe { std::mem::zeroed() };
        // SAFETY: the client lives, the name has an end, and `raw` has that size.
        let got = unsafe {
            ffi::vdb_client_acquire_sized(
                self.raw(),
                name.as_ptr(),
                request.index,
                request.flags.0,
                request.seconds,
                request.wait_ms,
                &mut raw,
                size_of::<ffi::vdb_lease>(),
            )
        };
        self.check(WHAT, got)?;
        // SAFETY: the slices are ours.
        unsafe { lease(raw.id, raw.index, raw.seconds, raw.slice, raw.memory, raw.interrupt) }
    }

    /// Requests a slice, and does not wait for the answer, which is
    /// [`Event::Granted`] or [`Event::Refused`].  Does not block.
    ///
    /// # Errors
    /// [`ErrorKind::TryAgain`] if the broker does not read; [`ErrorKind::NotFound`]
    pub fn acquire_start(&mut self, request: &Acquire) -> Result<RequestId> {
        const WHAT: &str = "asking for a slice";
        let name = request.c_name(WHAT)?;
        let mut id = 0;
        // SAFETY: the client lives, and the name has an end.
        let got = unsafe {
            ffi::vdb_client_acquire_start(
                self.raw(),
                name.as_ptr(),
                request.index,
                request.flags.0,
                request.seconds,
                request.wait_ms,
                &mut id,
            )
        };
        self.check(WHAT, got)?;
        Ok(RequestId(id))
    }

    /// Withdraws a request of [`acquire_start`](Self::acquire_start).  If it is granted, the
    /// lease is released.  Does not block.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if its outcome has been reported
    pub fn cancel(&mut self, request: RequestId) -> Result<()> {
        // SAFETY: the client lives.
        let done = unsafe { ffi::vdb_client_acquire_cancel(self.raw(), request.0) };
        self.check("withdrawing a request", done)
    }

    /// Ends a lease before its time.  When it returns the slice is revoked.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such lease, or it is ending already
    pub fn release(&mut self, lease: LeaseId) -> Result<()> {
        // SAFETY: the client lives.
        let done = unsafe { ffi::vdb_client_release(self.raw(), lease.0) };
        self.check("releasing a lease", done)
    }

    /// Renews a lease for this time from now, in whole seconds, rounded up; `None`: as long
    /// as allowed.  Returns the time that was granted; `None`: it does not expire.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] if it is more than allowed
    pub fn renew(&mut self, lease: LeaseId, time: Option<Duration>) -> Result<Option<Duration>> {
        // SAFETY: the client lives.
        let granted =
            unsafe { ffi::vdb_client_renew(self.raw(), lease.0, time.map_or(0, whole_seconds)) };
        match u32::try_from(granted) {
            Ok(seconds) => Ok(time_of(seconds)),
            Err(_) => Err(self.error("renewing a lease")),
        }
    }

    /// What has happened to this client's leases and requests, and, after
    /// [`watch`](Self::watch), at the broker; `None` if nothing has.  Does not block.  Of several
    /// states of a lease only the last may be reported.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`], [`ErrorKind::Protocol`]
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        // SAFETY: numbers, and a null pointer.
        let mut raw: ffi::vdb_event = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: the client lives, and `raw` has that size.
            let got = unsafe {
                ffi::vdb_client_next_sized(self.raw(), &mut raw, size_of::<ffi::vdb_event>())
            };
            if got == 0 {
                return if self.watches {
                    Ok(self.next_news()?.map(Event::News))
                } else {
                    Ok(None)
                };
            }
            if let Err(error) = self.check("reading events of the broker", got) {
                // First the news that came before it.
                let news = if self.watches { self.next_news().ok().flatten() } else { None };
                return news.map(|news| Some(Event::News(news))).ok_or(error);
            }
            let request = RequestId(raw.request);
            return Ok(Some(match raw.r#type {
                ffi::VDB_EVENT_STATE => Event::State {
                    lease: LeaseId(raw.lease),
                    state: State::of(raw.state),
                    end: End::of(raw.end),
                },
                ffi::VDB_EVENT_GRANTED => Event::Granted {
                    request,
                    // SAFETY: the slices are ours.
                    lease: unsafe {
                        lease(
                            raw.lease,
                            raw.index,
                            raw.seconds,
                            raw.slice,
                            raw.memory,
                            raw.interrupt,
                        )
                    }?,
                },
                ffi::VDB_EVENT_REFUSED => Event::Refused {
                    request,
                    error: Error::new("acquiring a slice", raw.error, self.words()),
                },
                // An event of a later library.
                _ => continue,
            }));
        }
    }

    /// Waits for an event up to `timeout` (`None`: without a limit).  Returns `None` if there
    /// was none.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event)
    pub fn wait_event(&mut self, timeout: Option<Duration>) -> Result<Option<Event>> {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(event) = self.next_event()? {
                return Ok(Some(event));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let mut fds = libc::pollfd { fd: self.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: it is one, and lives.
            match unsafe { libc::poll(&mut fds, 1, milliseconds(left)) } {
                0 => return Ok(None),
                -1 if errno() != libc::EINTR => return Err(Error::last("waiting for events")),
                _ => {}
            }
        }
    }

    /// An iterator that waits for the next event.  What it has not returned when it is dropped,
    /// [`next_event`](Self::next_event) returns.
    pub fn events(&mut self) -> ClientEvents<'_> {
        ClientEvents { client: self, ended: false }
    }

    /// Ends any lease; for administrators.  When it returns the slice is revoked.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::PermissionDenied`]
    pub fn revoke(&mut self, lease: LeaseId) -> Result<()> {
        // SAFETY: the client lives.
        let done = unsafe { ffi::vdb_client_revoke(self.raw(), lease.0) };
        self.check("revoking a lease", done)
    }

    /// Makes the broker read its configuration again; for administrators.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`]; [`ErrorKind::Other`] if the configuration has a
    /// mistake: the error names it and its place, and the former configuration stays in force
    pub fn reload(&mut self) -> Result<()> {
        // SAFETY: the client lives.
        let done = unsafe { ffi::vdb_client_reload(self.raw()) };
        self.check("reloading the configuration", done)
    }
}

/// What [`Client::events`] returns.  After an error, which is the end of the connection, it ends.
#[derive(Debug)]
pub struct ClientEvents<'client> {
    client: &'client mut Client,
    ended: bool,
}

impl Iterator for ClientEvents<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        // Without a limit of time, it returns nothing only if it fails.
        let event = self.client.wait_event(None).transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }
}

impl std::iter::FusedIterator for ClientEvents<'_> {}

/// # Safety
/// `slice` is the caller's, and `memory`, which can be null, and `interrupt`, which can be -1.
unsafe fn lease(
    id: u64,
    index: u32,
    seconds: u32,
    slice: *mut ffi::vdb_slice,
    memory: *mut ffi::vdb_slice,
    interrupt: c_int,
) -> Result<Lease> {
    const WHAT: &str = "acquiring a slice";
    // SAFETY: the caller has promised that.
    let interrupt = (interrupt >= 0).then(|| unsafe { OwnedFd::from_raw_fd(interrupt) });
    let memory = if memory.is_null() {
        None
    } else {
        // SAFETY: the caller has promised that.
        Some(unsafe { Slice::take(WHAT, memory) }?)
    };
    // SAFETY: the same.
    let slice = unsafe { Slice::take(WHAT, slice) }?;
    Ok(Lease { id: LeaseId(id), index, time: time_of(seconds), slice, memory, interrupt })
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: this object owns it, and nothing uses it any more.
        unsafe { ffi::vdb_client_close(self.raw.as_ptr()) };
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the fd is the client's, and open as long as it.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl AsRawFd for Client {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the client lives.
        unsafe { ffi::vdb_client_fd(self.raw.as_ptr()) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("fd", &self.as_raw_fd()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_and_never_0() {
        assert_eq!(whole_seconds(Duration::ZERO), 1);
        assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
        assert_eq!(whole_seconds(Duration::from_secs(7)), 7);
        assert_eq!(whole_seconds(Duration::MAX), u32::MAX);
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Some(Duration::MAX)), c_int::MAX);
    }

    #[test]
    fn name_with_a_nul_is_not_found() {
        let error = Acquire::new("a\0b").c_name("x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn no_broker_is_an_error_with_words() {
        let error = Client::connect_to("/nonexistent/socket", None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().starts_with("connecting to the broker: "), "{error}");
    }
}
