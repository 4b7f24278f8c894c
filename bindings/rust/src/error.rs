// SPDX-License-Identifier: MIT
//! Why a call failed.

use std::fmt;
use std::io;

use libc::c_int;

/// What kind of failure an [`Error`] is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An argument is wrong: not in whole pages, out of bounds, not a name.
    InvalidInput,
    /// The function, BAR, buffer, slice, lease or socket does not exist.
    NotFound,
    /// This user is not allowed to do that.
    PermissionDenied,
    /// Another process or client has it.
    Busy,
    /// The slice is revoked.
    Revoked,
    /// A register cannot be accessed: its slice is revoked or suspended.
    Unreachable,
    /// The device is not open or was lost, does not have that BAR, or is not the slice's.
    WrongDevice,
    /// The driver, the kernel or the CPU does not have this.
    Unsupported,
    /// The time limit has expired.
    TimedOut,
    /// The other end has closed the connection.
    Disconnected,
    /// No process listens at the broker's socket.
    ConnectionRefused,
    /// The other end does not use this protocol.
    Protocol,
    /// A limit is reached: of leases, connections or fds.
    LimitReached,
    /// There is no memory.
    OutOfMemory,
    /// Not possible now; try again.
    TryAgain,
    /// A signal handler ended the wait.
    Interrupted,
    /// The request was withdrawn by an administrator or a new configuration.
    Cancelled,
    /// Anything else; [`Error::raw_os_error`] says what.
    Other,
}

impl ErrorKind {
    fn of(errno: c_int) -> Self {
        match errno {
            libc::EINVAL | libc::E2BIG => Self::InvalidInput,
            libc::ENOENT => Self::NotFound,
            libc::EACCES | libc::EPERM => Self::PermissionDenied,
            libc::EBUSY => Self::Busy,
            libc::EBADFD => Self::Revoked,
            libc::EFAULT => Self::Unreachable,
            libc::ENODEV => Self::WrongDevice,
            libc::ENOTTY | libc::EOPNOTSUPP => Self::Unsupported,
            libc::ETIMEDOUT => Self::TimedOut,
            libc::ENOTCONN | libc::EPIPE | libc::ECONNRESET => Self::Disconnected,
            libc::ECONNREFUSED => Self::ConnectionRefused,
            libc::EPROTO | libc::EPROTONOSUPPORT => Self::Protocol,
            libc::EDQUOT | libc::EMFILE | libc::ENFILE | libc::ETOOMANYREFS => Self::LimitReached,
            libc::ENOMEM => Self::OutOfMemory,
            libc::EAGAIN => Self::TryAgain,
            libc::EINTR => Self::Interrupted,
            libc::ECANCELED => Self::Cancelled,
            _ => Self::Other,
        }
    }
}

/// Why a call of the library failed: its errno, and a text of the library or the broker.
///
/// `?` converts it into an [`io::Error`] with the same text, whose [`io::Error::get_ref`]
/// returns this error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    what: &'static str,
    kind: ErrorKind,
    errno: c_int,
    reason: String,
}

/// The result of a call that can fail.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

impl Error {
    pub(crate) fn new(what: &'static str, errno: c_int, reason: String) -> Self {
        let kind = ErrorKind::of(errno);
        Self { what, kind, errno, reason }
    }

    /// The error of the library's last call in this thread.
    pub(crate) fn last(what: &'static str) -> Self {
        Self::new(what, errno(), String::new())
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The errno, as `<vfio-dmabuf.h>` describes it for the function that failed.
    pub fn raw_os_error(&self) -> i32 {
        self.errno
    }

    /// The text of the library or the broker; empty if there is none.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            write!(f, "{}: {}", self.what, io::Error::from_raw_os_error(self.errno))
        } else {
            write!(f, "{}: {}", self.what, self.reason)
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(io::Error::from_raw_os_error(error.errno).kind(), error)
    }
}

/// Why a register could not be read or written.
///
/// It is small, for loops that poll a register.  `?` converts it into an [`Error`] or an
/// [`io::Error`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessError {
    /// The device cannot be reached: the slice is revoked, or suspended for a reason for which
    /// accesses do not wait.  A write that was in progress may have reached the device.
    Unreachable,
    /// The access was made, and the CPU reports an error of the bus or the device.  Most PCs
    /// report nothing, and a read then returns all bits set.
    Failed,
    /// The register is not within the mapping.
    OutOfBounds,
    /// The offset, or the length of a copy, is not a multiple of the width.
    Misaligned,
    /// The mapping is for reading only.
    ReadOnly,
    /// The library has no guarded accesses for this CPU.
    Unsupported,
}

impl AccessError {
    fn errno(self) -> c_int {
        match self {
            Self::Unreachable => libc::EFAULT,
            Self::Failed => libc::EIO,
            Self::OutOfBounds | Self::Misaligned => libc::EINVAL,
            Self::ReadOnly => libc::EACCES,
            Self::Unsupported => libc::EOPNOTSUPP,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Unreachable => "the device cannot be reached through this slice",
            Self::Failed => "the CPU reports an error of the bus or the device",
            Self::OutOfBounds => "the register is not within the mapping",
            Self::Misaligned => "the offset is not a multiple of the register's width",
            Self::ReadOnly => "the mapping is for reading only",
            Self::Unsupported => "there are no guarded accesses for this CPU",
        }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for AccessError {}

impl From<AccessError> for Error {
    fn from(error: AccessError) -> Self {
        Self::new("accessing a register", error.errno(), error.text().into())
    }
}

impl From<AccessError> for io::Error {
    fn from(error: AccessError) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_error_keeps_text_and_error() {
        let error = Error::new("opening a device", libc::EACCES, "/dev/vfio/7: no".into());
        let io = io::Error::from(error.clone());
        assert_eq!(io.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(io.to_string(), "opening a device: /dev/vfio/7: no");
        let inner = io.get_ref().and_then(|e| e.downcast_ref::<Error>());
        assert_eq!(inner, Some(&error));
        assert_eq!(inner.unwrap().raw_os_error(), libc::EACCES);
    }

    #[test]
    fn error_without_reason_has_the_systems_words() {
        let text = Error::new("mapping a slice", libc::EINVAL, String::new()).to_string();
        assert_eq!(text, "mapping a slice: Invalid argument (os error 22)");
    }

    #[test]
    fn access_error_is_small_and_becomes_both() {
        assert_eq!(std::mem::size_of::<std::result::Result<u32, AccessError>>(), 8);
        let error = Error::from(AccessError::Unreachable);
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Unreachable, libc::EFAULT));
        assert!(io::Error::from(AccessError::ReadOnly).to_string().contains("reading only"));
    }
}
