// SPDX-License-Identifier: MIT
//! The declarations of `<vfio-dmabuf.h>`, written by hand, in its order and with its names.
//!
//! `tests/abi.rs` reads this file, and lets a C compiler compare each constant, struct
//! and function with the header.  So it contains only plain declarations, one field or
//! function a line.

#![allow(non_camel_case_types, missing_docs)]

use libc::{c_char, c_int, c_uint, c_void, size_t, ssize_t};

/// A callback of a list: it returns false to end it.
pub type Each<T> = unsafe extern "C" fn(*const T, *mut c_void) -> bool;

pub const VDB_ERROR_SIZE: usize = 256;
pub const VDB_BARS: c_uint = 6;

pub const VDB_CAP_EXPORT: c_uint = 1;
pub const VDB_CAP_WC: c_uint = 2;
pub const VDB_CAP_EVENTS: c_uint = 4;
pub const VDB_CAP_LIST: c_uint = 8;

pub const VDB_FLAG_READ_ONLY: c_uint = 1;
pub const VDB_FLAG_WC: c_uint = 2;
pub const VDB_FLAG_BAR_MAPPING: c_uint = 4;
pub const VDB_FLAG_HUGE: c_uint = 8;
pub const VDB_FLAG_DMA_READ_ONLY: c_uint = 16;

pub const VDB_KIND_REGISTERS: c_uint = 0;
pub const VDB_KIND_MEMORY: c_uint = 1;

pub const VDB_STATE_LIVE: c_uint = 0;
pub const VDB_STATE_SUSPENDED: c_uint = 1;
pub const VDB_STATE_REVOKED: c_uint = 2;

pub const VDB_ANY_INDEX: u32 = 0xffffffff;

pub const VDB_END_NONE: c_uint = 0;
pub const VDB_END_RELEASED: c_uint = 1;
pub const VDB_END_EXPIRED: c_uint = 2;
pub const VDB_END_REVOKED: c_uint = 3;
pub const VDB_END_DEVICE: c_uint = 4;
pub const VDB_END_CLIENT: c_uint = 5;
pub const VDB_END_UNSENT: c_uint = 6;
pub const VDB_END_EXPORT: c_uint = 7;
pub const VDB_END_BUSY: c_uint = 8;
pub const VDB_END_TIMEOUT: c_uint = 9;

pub const VDB_EVENT_STATE: c_uint = 0;
pub const VDB_EVENT_GRANTED: c_uint = 1;
pub const VDB_EVENT_REFUSED: c_uint = 2;

pub const VDB_DEVICE_ABSENT: c_uint = 0;
pub const VDB_DEVICE_OPENING: c_uint = 1;
pub const VDB_DEVICE_SETTLING: c_uint = 2;
pub const VDB_DEVICE_OPEN: c_uint = 3;
pub const VDB_DEVICE_CLOSING: c_uint = 4;

pub const VDB_LEASE_WAITING: c_uint = 1;
pub const VDB_LEASE_EXPORTING: c_uint = 2;
pub const VDB_LEASE_GRANTED: c_uint = 3;
pub const VDB_LEASE_ENDING: c_uint = 4;
pub const VDB_LEASE_ENDED: c_uint = 5;

pub const VDB_NEWS_GRANTED: c_uint = 1;
pub const VDB_NEWS_RENEWED: c_uint = 2;
pub const VDB_NEWS_ENDED: c_uint = 3;
pub const VDB_NEWS_DEVICE_OPEN: c_uint = 4;
pub const VDB_NEWS_DEVICE_LOST: c_uint = 5;
pub const VDB_NEWS_DEVICE_SUSPENDED: c_uint = 6;
pub const VDB_NEWS_DEVICE_RESUMED: c_uint = 7;
pub const VDB_NEWS_RESTARTED: c_uint = 8;
pub const VDB_NEWS_MISSED: c_uint = 9;

#[repr(C)]
pub struct vdb_device {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct vdb_slice {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct vdb_dma {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct vdb_client {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct vdb_bar {
    pub size: u64,
    pub memory: bool,
    pub mappable: bool,
    pub prefetchable: bool,
    pub is_64bit: bool,
}

#[repr(C)]
pub struct vdb_range {
    pub offset: u64,
    pub length: u64,
}

#[repr(C)]
pub struct vdb_buffer {
    pub id: u64,
    pub inode: u64,
    pub offset: u64,
    pub length: u64,
    pub bar: c_uint,
    pub flags: c_uint,
    pub state: c_uint,
    pub nr_ranges: c_uint,
    pub mappings: c_uint,
    pub importers: c_uint,
    pub dma_maps: c_uint,
}

#[repr(C)]
pub struct vdb_lease {
    pub id: u64,
    pub index: u32,
    pub seconds: u32,
    pub slice: *mut vdb_slice,
    pub memory: *mut vdb_slice,
    pub interrupt: c_int,
}

#[repr(C)]
pub struct vdb_event {
    pub r#type: c_uint,
    pub error: c_int,
    pub request: u64,
    pub lease: u64,
    pub state: c_uint,
    pub end: c_uint,
    pub index: u32,
    pub seconds: u32,
    pub slice: *mut vdb_slice,
    pub memory: *mut vdb_slice,
    pub interrupt: c_int,
}

#[repr(C)]
pub struct vdb_slice_info {
    pub name: *const c_char,
    pub bdf: *const c_char,
    pub bar: c_uint,
    pub flags: c_uint,
    pub exclusive: bool,
    pub offset: u64,
    pub length: u64,
    pub count: u32,
    pub free: u32,
    pub waiting: u32,
    pub max_seconds: u32,
    pub device: c_uint,
    pub memory: u64,
    pub interrupt: bool,
}

#[repr(C)]
pub struct vdb_lease_info {
    pub id: u64,
    pub name: *const c_char,
    pub bdf: *const c_char,
    pub client: *const c_char,
    pub bar: c_uint,
    pub flags: c_uint,
    pub offset: u64,
    pub length: u64,
    pub index: u32,
    pub seconds: u32,
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
    pub state: c_uint,
    pub phase: c_uint,
    pub end: c_uint,
    pub memory: u64,
    pub iova: u64,
    pub interrupt: bool,
}

#[repr(C)]
pub struct vdb_device_info {
    pub name: *const c_char,
    pub bdf: *const c_char,
    pub phase: c_uint,
    pub suspended: bool,
    pub leases: u32,
    pub waiting: u32,
    pub reason: *const c_char,
}

#[repr(C)]
pub struct vdb_share {
    pub used: u32,
    pub kept: u32,
    pub limit: u32,
}

#[repr(C)]
pub struct vdb_memory_share {
    pub used: u64,
    pub kept: u64,
    pub limit: u64,
}

#[repr(C)]
pub struct vdb_account_info {
    pub user: u64,
    pub clients: vdb_share,
    pub leases: vdb_share,
    pub memory: vdb_memory_share,
}

#[repr(C)]
pub struct vdb_total {
    pub used: u32,
    pub limit: u32,
    pub pool_used: u32,
    pub pool: u32,
    pub per_user: u32,
}

#[repr(C)]
pub struct vdb_memory_total {
    pub used: u64,
    pub limit: u64,
    pub pool_used: u64,
    pub pool: u64,
    pub per_user: u64,
    pub per_client: u64,
}

#[repr(C)]
pub struct vdb_status {
    pub grants: bool,
    pub admin: bool,
    pub leases_per_client: u32,
    pub clients: vdb_total,
    pub leases: vdb_total,
    pub devices: u32,
    pub devices_open: u32,
    pub problem: [c_char; 192],
    pub memory: vdb_memory_total,
}

#[repr(C)]
pub struct vdb_news {
    pub r#type: c_uint,
    pub end: c_uint,
    pub time: u64,
    pub missed: u64,
    pub lease: u64,
    pub offset: u64,
    pub length: u64,
    pub bar: u32,
    pub flags: u32,
    pub index: u32,
    pub seconds: u32,
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
    pub name: [c_char; 64],
    pub bdf: [c_char; 16],
    pub client: [c_char; 64],
    pub reason: [c_char; 192],
    pub interrupt: bool,
}

#[rustfmt::skip]
extern "C" {
    pub fn vdb_version() -> c_uint;

    pub fn vdb_device_open(bdf: *const c_char, vf_token: *const c_char, error: *mut c_char) -> *mut vdb_device;
    pub fn vdb_device_from_fd(device_fd: c_int) -> *mut vdb_device;
    pub fn vdb_device_close(device: *mut vdb_device);
    pub fn vdb_device_fd(device: *const vdb_device) -> c_int;
    pub fn vdb_device_iommu_fd(device: *const vdb_device) -> c_int;
    pub fn vdb_device_set_bus_master(device: *const vdb_device, on: bool) -> c_int;
    pub fn vdb_device_capabilities(device: *const vdb_device) -> c_uint;
    pub fn vdb_device_bar_sized(device: *const vdb_device, index: c_uint, bar: *mut vdb_bar, size: size_t) -> c_int;
    pub fn vdb_device_reset(device: *const vdb_device) -> c_int;

    pub fn vdb_slice_export(device: *const vdb_device, bar: c_uint, ranges: *const vdb_range, nr_ranges: size_t, flags: c_uint) -> *mut vdb_slice;
    pub fn vdb_slice_revoke(device: *const vdb_device, slice: *const vdb_slice) -> c_int;
    pub fn vdb_slice_watch(device: *const vdb_device, slice: *mut vdb_slice) -> c_int;
    pub fn vdb_slice_free(slice: *mut vdb_slice);
    pub fn vdb_slice_kind(slice: *const vdb_slice) -> c_uint;
    pub fn vdb_slice_fd(slice: *const vdb_slice) -> c_int;
    pub fn vdb_slice_event_fd(slice: *const vdb_slice) -> c_int;
    pub fn vdb_slice_bdf(slice: *const vdb_slice) -> *const c_char;
    pub fn vdb_slice_bar(slice: *const vdb_slice) -> c_uint;
    pub fn vdb_slice_offset(slice: *const vdb_slice) -> u64;
    pub fn vdb_slice_length(slice: *const vdb_slice) -> u64;
    pub fn vdb_slice_iova(slice: *const vdb_slice) -> u64;
    pub fn vdb_slice_flags(slice: *const vdb_slice) -> c_uint;
    pub fn vdb_slice_state(slice: *mut vdb_slice, changes: *mut u64) -> c_int;

    pub fn vdb_device_list(device: *const vdb_device, each: Each<vdb_buffer>, data: *mut c_void) -> c_int;
    pub fn vdb_device_buffer_sized(device: *const vdb_device, id: u64, buffer: *mut vdb_buffer, size: size_t) -> c_int;
    pub fn vdb_device_buffer_ranges(device: *const vdb_device, id: u64, first: size_t, ranges: *mut vdb_range, room: size_t) -> ssize_t;
    pub fn vdb_slice_id(device: *const vdb_device, slice: *const vdb_slice) -> u64;
    pub fn vdb_device_revoke_id(device: *const vdb_device, id: u64) -> c_int;
    pub fn vdb_device_export_sized(device: *const vdb_device, bar: c_uint, ranges: *const vdb_range, nr_ranges: size_t, flags: c_uint, buffer: *mut vdb_buffer, size: size_t) -> c_int;
    pub fn vdb_device_watch(device: *const vdb_device) -> c_int;
    pub fn vdb_device_watch_id(device: *const vdb_device, id: u64) -> c_int;
    pub fn vdb_event_read(event_fd: c_int, changes: *mut u64) -> c_int;

    pub fn vdb_slice_map(slice: *const vdb_slice, offset: u64, length: size_t, prot: c_int) -> *mut c_void;
    pub fn vdb_slice_send(socket: c_int, device: *const vdb_device, slice: *const vdb_slice) -> c_int;
    pub fn vdb_slice_receive(socket: c_int) -> *mut vdb_slice;
    pub fn vdb_slice_from_fd(fd: c_int, event_fd: c_int, bdf: *const c_char, bar: c_uint, offset: u64, flags: c_uint) -> *mut vdb_slice;

    pub fn vdb_dma_from_device(device: *const vdb_device, error: *mut c_char) -> *mut vdb_dma;
    pub fn vdb_dma_from_fd(iommu_fd: c_int, ioas: u32, error: *mut c_char) -> *mut vdb_dma;
    pub fn vdb_dma_close(dma: *mut vdb_dma);
    pub fn vdb_dma_error(dma: *const vdb_dma) -> *const c_char;
    pub fn vdb_dma_ioas(dma: *const vdb_dma) -> u32;
    pub fn vdb_dma_set_width(dma: *mut vdb_dma, bits: c_uint) -> c_int;
    pub fn vdb_dma_reserve(dma: *mut vdb_dma, iova: u64, length: u64) -> c_int;
    pub fn vdb_dma_unmap_unknown(dma: *mut vdb_dma) -> c_int;
    pub fn vdb_dma_map(dma: *mut vdb_dma, address: *mut c_void, length: u64, flags: c_uint, iova: *mut u64) -> c_int;
    pub fn vdb_dma_unmap(dma: *mut vdb_dma, iova: u64, length: u64) -> c_int;
    pub fn vdb_memory_alloc(dma: *mut vdb_dma, length: u64, flags: c_uint) -> *mut vdb_slice;
    pub fn vdb_dma_revoke(dma: *mut vdb_dma, slice: *mut vdb_slice) -> c_int;
    pub fn vdb_memory_from_fd(fd: c_int, iova: u64, flags: c_uint) -> *mut vdb_slice;

    pub fn vdb_guard_supported() -> bool;
    pub fn vdb_guard_enable() -> c_int;
    pub fn vdb_guard_handle(info: *const libc::siginfo_t, context: *mut c_void) -> bool;
    pub fn vdb_try_read8(address: *const c_void, value: *mut u8) -> c_int;
    pub fn vdb_try_read16(address: *const c_void, value: *mut u16) -> c_int;
    pub fn vdb_try_read32(address: *const c_void, value: *mut u32) -> c_int;
    pub fn vdb_try_read64(address: *const c_void, value: *mut u64) -> c_int;
    pub fn vdb_try_write8(address: *mut c_void, value: u8) -> c_int;
    pub fn vdb_try_write16(address: *mut c_void, value: u16) -> c_int;
    pub fn vdb_try_write32(address: *mut c_void, value: u32) -> c_int;
    pub fn vdb_try_write64(address: *mut c_void, value: u64) -> c_int;
    pub fn vdb_try_copy_from(to: *mut c_void, from: *const c_void, length: usize, width: c_uint, copied: *mut usize) -> c_int;
    pub fn vdb_try_copy_to(to: *mut c_void, from: *const c_void, length: usize, width: c_uint, copied: *mut usize) -> c_int;

    pub fn vdb_client_connect(path: *const c_char, timeout_ms: c_int, error: *mut c_char) -> *mut vdb_client;
    pub fn vdb_client_set_timeout(client: *mut vdb_client, timeout_ms: c_int);
    pub fn vdb_client_close(client: *mut vdb_client);
    pub fn vdb_client_fd(client: *const vdb_client) -> c_int;
    pub fn vdb_client_error(client: *const vdb_client) -> *const c_char;
    pub fn vdb_client_acquire_sized(client: *mut vdb_client, name: *const c_char, index: u32, flags: c_uint, seconds: u32, wait_ms: u32, lease: *mut vdb_lease, size: size_t) -> c_int;
    pub fn vdb_client_acquire_start(client: *mut vdb_client, name: *const c_char, index: u32, flags: c_uint, seconds: u32, wait_ms: u32, request: *mut u64) -> c_int;
    pub fn vdb_client_acquire_cancel(client: *mut vdb_client, request: u64) -> c_int;
    pub fn vdb_client_release(client: *mut vdb_client, lease: u64) -> c_int;
    pub fn vdb_client_renew(client: *mut vdb_client, lease: u64, seconds: u32) -> i64;
    pub fn vdb_client_next_sized(client: *mut vdb_client, event: *mut vdb_event, size: size_t) -> c_int;
    pub fn vdb_client_revoke(client: *mut vdb_client, lease: u64) -> c_int;
    pub fn vdb_client_slices(client: *mut vdb_client, each: Each<vdb_slice_info>, data: *mut c_void) -> c_int;
    pub fn vdb_client_leases(client: *mut vdb_client, each: Each<vdb_lease_info>, data: *mut c_void) -> c_int;
    pub fn vdb_client_devices(client: *mut vdb_client, each: Each<vdb_device_info>, data: *mut c_void) -> c_int;
    pub fn vdb_client_accounts(client: *mut vdb_client, each: Each<vdb_account_info>, data: *mut c_void) -> c_int;
    pub fn vdb_client_status_sized(client: *mut vdb_client, status: *mut vdb_status, size: size_t) -> c_int;
    pub fn vdb_client_watch(client: *mut vdb_client) -> c_int;
    pub fn vdb_client_news_sized(client: *mut vdb_client, news: *mut vdb_news, size: size_t) -> c_int;
    pub fn vdb_client_reload(client: *mut vdb_client) -> c_int;
}
