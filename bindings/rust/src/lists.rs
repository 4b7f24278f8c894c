// SPDX-License-Identifier: MIT
//! Lists and status of the broker.

use std::ffi::CStr;
use std::mem::size_of;
use std::time::Duration;

use libc::{c_char, c_int, c_uint, c_void};

use crate::client::{time_of, Client, End, LeaseId};
use crate::device::text;
use crate::error::Result;
use crate::ffi;
use crate::slice::{Flags, State};

/// What the broker does with a device.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DevicePhase {
    /// It is not open; the broker tries again.
    Absent,
    /// It is being opened.
    Opening,
    /// It is being prepared.
    Settling,
    /// It is open.
    Open,
    /// It was lost; its leases end when it is closed.
    Closing,
    /// A phase that this crate does not know.
    Other(u32),
}

impl DevicePhase {
    fn of(raw: c_uint) -> Self {
        match raw {
            ffi::VDB_DEVICE_ABSENT => Self::Absent,
            ffi::VDB_DEVICE_OPENING => Self::Opening,
            ffi::VDB_DEVICE_SETTLING => Self::Settling,
            ffi::VDB_DEVICE_OPEN => Self::Open,
            ffi::VDB_DEVICE_CLOSING => Self::Closing,
            other => Self::Other(other),
        }
    }
}

/// What the broker does with a lease.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeasePhase {
    /// It waits for others to end.
    Waiting,
    /// Its slice is being exported.
    Exporting,
    /// Its client has the slice.
    Granted,
    /// It is being revoked.
    Ending,
    /// It has ended, and its client has not read that yet.
    Ended,
    /// A phase that this crate does not know.
    Other(u32),
}

impl LeasePhase {
    fn of(raw: c_uint) -> Self {
        match raw {
            ffi::VDB_LEASE_WAITING => Self::Waiting,
            ffi::VDB_LEASE_EXPORTING => Self::Exporting,
            ffi::VDB_LEASE_GRANTED => Self::Granted,
            ffi::VDB_LEASE_ENDING => Self::Ending,
            ffi::VDB_LEASE_ENDED => Self::Ended,
            other => Self::Other(other),
        }
    }
}

/// A slice, or an array of slices, that the broker grants to clients.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceInfo {
    /// "device/slice"
    pub name: String,
    /// The function.
    pub bdf: String,
    /// 0 to 5.
    pub bar: u32,
    /// [`Flags::READ_ONLY`], [`Flags::WRITE_COMBINING`]
    pub flags: Flags,
    /// Only one client at a time has it.
    pub exclusive: bool,
    /// In the BAR, of the first of an array.
    pub offset: u64,
    /// In bytes, of each.
    pub length: u64,
    /// 1: it is not an array.
    pub count: u32,
    /// The number of these that could be granted now.
    pub free: u32,
    /// Requests that wait for it.
    pub waiting: u32,
    /// How long a lease can last; `None`: without a limit.
    pub max_time: Option<Duration>,
    /// Its device's.
    pub device: DevicePhase,
    /// Bytes for DMA that each lease gets; 0: none.
    pub memory: u64,
    /// Each lease gets an eventfd for its interrupt.
    pub interrupt: bool,
}

/// A lease, or a request that waits.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Its number.
    pub id: LeaseId,
    /// Of the slice.
    pub name: String,
    /// The function.
    pub bdf: String,
    /// The name that the client gave itself.
    pub client: String,
    /// 0 to 5.
    pub bar: u32,
    /// [`Flags::READ_ONLY`], [`Flags::WRITE_COMBINING`]
    pub flags: Flags,
    /// In the BAR.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
    /// Index in an array; for a request that waits: as requested.
    pub index: u32,
    /// The time that is left, also to wait; `None`: without a limit.
    pub time: Option<Duration>,
    /// The client's process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// [`State::Revoked`]: it has ended.
    pub state: State,
    /// What the broker does with it.
    pub phase: LeasePhase,
    /// Why it ended or is ending.
    pub end: Option<End>,
    /// Bytes for DMA; 0: none.
    pub memory: u64,
    /// Where the device has them; `None`: not mapped, yet or any more.
    pub iova: Option<u64>,
    /// It has an eventfd for its interrupt.
    pub interrupt: bool,
}

/// A device of the broker.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Empty if the configuration does not have it any more.
    pub name: String,
    /// The function.
    pub bdf: String,
    /// What the broker does with it.
    pub phase: DevicePhase,
    /// Its memory cannot be reached for a time.
    pub suspended: bool,
    /// Leases that have a slice of it.
    pub leases: u32,
    /// Requests that wait for one.
    pub waiting: u32,
    /// Why it is not open; empty if it is, or if that is not known.
    pub reason: String,
}

/// What a user uses of a limited resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How much is used.
    pub used: u32,
    /// Places that are kept for this user.
    pub kept: u32,
    /// The limit.
    pub limit: u32,
}

impl Share {
    fn of(raw: &ffi::vdb_share) -> Self {
        Self { used: raw.used, kept: raw.kept, limit: raw.limit }
    }
}

/// What a user uses.  All user ids that belong to a login are one user.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// The user's user id.
    pub user: u64,
    /// Of connections.
    pub clients: Share,
    /// Of leases.
    pub leases: Share,
}

/// What all users use of a limited resource.  An ordinary client knows only
/// `per_user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// How much is used.
    pub used: u32,
    /// The limit.
    pub limit: u32,
    /// The number of used places that are not kept for one user.
    pub pool_used: u32,
    /// How many of these there are.
    pub pool: u32,
    /// The limit of a user without kept places.
    pub per_user: u32,
}

impl Total {
    fn of(raw: &ffi::vdb_total) -> Self {
        Self {
            used: raw.used,
            limit: raw.limit,
            pool_used: raw.pool_used,
            pool: raw.pool,
            per_user: raw.per_user,
        }
    }
}

/// The broker's status.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// False: the configuration has errors, and nothing new is granted.
    pub grants: bool,
    /// This client is an administrator, and all below is known.
    pub admin: bool,
    /// The limit of a connection.
    pub leases_per_client: u32,
    /// Connections.
    pub clients: Total,
    /// Leases.
    pub leases: Total,
    /// How many devices the configuration has.
    pub devices: u32,
    /// How many of these are open.
    pub devices_open: u32,
    /// Of the configuration; empty if there is none.
    pub problem: String,
}

/// A struct of the library that becomes an item of a list.
trait Item: Sized {
    type Raw;
    /// # Safety
    /// The texts of `raw` have ends.
    unsafe fn of(raw: &Self::Raw) -> Self;
}

/// # Safety
/// `text` has an end.
unsafe fn owned(text: *const c_char) -> String {
    // SAFETY: the caller has promised that.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

impl Item for SliceInfo {
    type Raw = ffi::vdb_slice_info;

    unsafe fn of(raw: &Self::Raw) -> Self {
        Self {
            // SAFETY: the caller has promised that.
            name: unsafe { owned(raw.name) },
            // SAFETY: likewise.
            bdf: unsafe { owned(raw.bdf) },
            bar: raw.bar,
            flags: Flags(raw.flags),
            exclusive: raw.exclusive,
            offset: raw.offset,
            length: raw.length,
            count: raw.count,
            free: raw.free,
            waiting: raw.waiting,
            max_time: time_of(raw.max_seconds),
            device: DevicePhase::of(raw.device),
            memory: raw.memory,
            interrupt: raw.interrupt,
        }
    }
}

impl Item for LeaseInfo {
    type Raw = ffi::vdb_lease_info;

    unsafe fn of(raw: &Self::Raw) -> Self {
        Self {
            id: LeaseId(raw.id),
            // SAFETY: the caller has promised that.
            name: unsafe { owned(raw.name) },
            // SAFETY: likewise.
            bdf: unsafe { owned(raw.bdf) },
            // SAFETY: likewise.
            client: unsafe { owned(raw.client) },
            bar: raw.bar,
            flags: Flags(raw.flags),
            offset: raw.offset,
            length: raw.length,
            index: raw.index,
            time: time_of(raw.seconds),
            pid: raw.pid,
            uid: raw.uid,
            gid: raw.gid,
            state: State::of(raw.state),
            phase: LeasePhase::of(raw.phase),
            end: End::of(raw.end),
            memory: raw.memory,
            iova: (raw.iova != 0).then_some(raw.iova),
            interrupt: raw.interrupt,
        }
    }
}

impl Item for DeviceInfo {
    type Raw = ffi::vdb_device_info;

    unsafe fn of(raw: &Self::Raw) -> Self {
        Self {
            // SAFETY: the caller has promised that.
            name: unsafe { owned(raw.name) },
            // SAFETY: likewise.
            bdf: unsafe { owned(raw.bdf) },
            phase: DevicePhase::of(raw.phase),
            suspended: raw.suspended,
            leases: raw.leases,
            waiting: raw.waiting,
            // SAFETY: likewise.
            reason: unsafe { owned(raw.reason) },
        }
    }
}

impl Item for AccountInfo {
    type Raw = ffi::vdb_account_info;

    unsafe fn of(raw: &Self::Raw) -> Self {
        Self { user: raw.user, clients: Share::of(&raw.clients), leases: Share::of(&raw.leases) }
    }
}

/// # Safety
/// The callback of the library, with a list of these items.
unsafe extern "C" fn push<T: Item>(raw: *const T::Raw, data: *mut c_void) -> bool {
    // SAFETY: the library hands on what it was given, and an item whose texts have ends.
    unsafe { (*data.cast::<Vec<T>>()).push(T::of(&*raw)) };
    true
}

type List<Raw> = unsafe extern "C" fn(*mut ffi::vdb_client, ffi::Each<Raw>, *mut c_void) -> c_int;

impl Client {
    fn list<T: Item>(&mut self, what: &'static str, list: List<T::Raw>) -> Result<Vec<T>> {
        let mut items = Vec::<T>::new();
        // SAFETY: the client lives, and `push` is called during the call only.
        let got = unsafe { list(self.raw(), push::<T>, (&raw mut items).cast()) };
        self.check(what, got)?;
        Ok(items)
    }

    /// The slices that this client is allowed to have, or all for an administrator.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut),
    /// [`ErrorKind::Disconnected`](crate::ErrorKind::Disconnected)
    pub fn slices(&mut self) -> Result<Vec<SliceInfo>> {
        self.list("listing slices", ffi::vdb_client_slices)
    }

    /// This client's leases, or all for an administrator.
    ///
    /// # Errors
    /// As [`slices`](Self::slices)
    pub fn leases(&mut self) -> Result<Vec<LeaseInfo>> {
        self.list("listing leases", ffi::vdb_client_leases)
    }

    /// The broker's devices, for administrators.
    ///
    /// # Errors
    /// As [`slices`](Self::slices);
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied)
    pub fn devices(&mut self) -> Result<Vec<DeviceInfo>> {
        self.list("listing devices", ffi::vdb_client_devices)
    }

    /// What this client's user uses, or all users for an administrator.
    ///
    /// # Errors
    /// As [`slices`](Self::slices)
    pub fn accounts(&mut self) -> Result<Vec<AccountInfo>> {
        self.list("listing accounts", ffi::vdb_client_accounts)
    }

    /// The broker's status.
    ///
    /// # Errors
    /// As [`slices`](Self::slices)
    pub fn status(&mut self) -> Result<Status> {
        // SAFETY: numbers, false and characters.
        let mut raw: ffi::vdb_status = unsafe { std::mem::zeroed() };
        // SAFETY: the client lives, and `raw` has that size.
        let got = unsafe {
            ffi::vdb_client_status_sized(self.raw(), &mut raw, size_of::<ffi::vdb_status>())
        };
        self.check("asking for the broker's status", got)?;
        Ok(Status {
            grants: raw.grants,
            admin: raw.admin,
            leases_per_client: raw.leases_per_client,
            clients: Total::of(&raw.clients),
            leases: Total::of(&raw.leases),
            devices: raw.devices,
            devices_open: raw.devices_open,
            problem: text(&raw.problem),
        })
    }
}
