// SPDX-License-Identifier: MIT
//! Devices, which owners of slices hold.

use std::fmt;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use libc::{c_char, c_uint, c_void};

use crate::error::{Error, ErrorKind, Result};
use crate::ffi;
use crate::slice::{c_string, check, Flags, Slice, State};

/// What a device's driver supports: a set of the constants below.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(c_uint);

bit_set! {
    Capabilities;
    /// [`Device::export`] and [`Device::revoke`]
    EXPORT = ffi::VDB_CAP_EXPORT;
    /// [`Flags::WRITE_COMBINING`]
    WRITE_COMBINING = ffi::VDB_CAP_WC;
    /// [`Device::watch`]
    EVENTS = ffi::VDB_CAP_EVENTS;
    /// [`Device::buffers`], and all that takes a [`BufferId`]
    LIST = ffi::VDB_CAP_LIST;
}

/// A BAR of a device.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// In bytes.
    pub size: u64,
    /// Memory; otherwise I/O ports.
    pub memory: bool,
    /// Slices of it can be exported.
    pub mappable: bool,
    /// Write-combining has no side effects.
    pub prefetchable: bool,
    /// Its address has 64 bits.
    pub is_64bit: bool,
}

/// A range of a BAR, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// In the BAR.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

impl From<std::ops::Range<u64>> for Range {
    /// If the end is not after the start, the range is empty, and cannot be exported.
    fn from(range: std::ops::Range<u64>) -> Self {
        Self { offset: range.start, length: range.end.saturating_sub(range.start) }
    }
}

impl Range {
    fn to_ffi(self) -> ffi::vdb_range {
        ffi::vdb_range { offset: self.offset, length: self.length }
    }
}

/// The kernel's number of a buffer.  It is not used again while the module is loaded.  Only
/// a holder of the device can use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u64);

/// What the kernel reports about a slice or a BAR mapping of the device.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Its number.
    pub id: BufferId,
    /// As in `fstat()` and `/proc/<pid>/maps`.
    pub inode: u64,
    /// The BAR, 0 to 5.
    pub bar: u32,
    /// Of its byte 0 in the BAR.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
    /// [`Flags`], also [`Flags::BAR_MAPPING`]
    pub flags: Flags,
    /// Its state.
    pub state: State,
    /// Ranges that continue each other are one.
    pub ranges: u32,
    /// Mappings of it in all processes.
    pub mappings: u32,
    /// Devices that are attached to it.
    pub importers: u32,
    /// Mappings for DMA that these have.
    pub dma_maps: u32,
}

impl Buffer {
    fn of(raw: &ffi::vdb_buffer) -> Self {
        Self {
            id: BufferId(raw.id),
            inode: raw.inode,
            bar: raw.bar,
            offset: raw.offset,
            length: raw.length,
            flags: Flags(raw.flags),
            state: State::of(raw.state),
            ranges: raw.nr_ranges,
            mappings: raw.mappings,
            importers: raw.importers,
            dma_maps: raw.dma_maps,
        }
    }
}

/// An fd that reports suspension and revocation of a device or a buffer.  It does not keep
/// them, and can be sent to any process.
///
/// It is readable at first and after every change.
#[derive(Debug)]
pub struct Events {
    fd: OwnedFd,
}

impl Events {
    fn take(what: &'static str, fd: RawFd) -> Result<Self> {
        check(what, fd)?;
        // SAFETY: the library has made it for us.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Its state, if that has changed since the last call; `None` if not.
    ///
    /// # Errors
    /// What `read()` says
    pub fn read(&self) -> Result<Option<State>> {
        // SAFETY: the fd is open.
        let state = unsafe { ffi::vdb_event_read(self.fd.as_raw_fd(), ptr::null_mut()) };
        if let Ok(state) = c_uint::try_from(state) {
            return Ok(Some(State::of(state)));
        }
        let error = Error::last("reading events");
        match error.kind() {
            ErrorKind::TryAgain => Ok(None),
            _ => Err(error),
        }
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<OwnedFd> for Events {
    /// For an event fd that another process has sent.
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl From<Events> for OwnedFd {
    fn from(events: Events) -> Self {
        events.fd
    }
}

/// A PCI function, opened through VFIO.
///
/// Dropping it closes what it has opened.  If that was the device's last fd, all its
/// slices are revoked.
///
/// [`AsFd`] is the VFIO device fd, for everything else that VFIO can do.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
/// use vfio_dmabuf::{Device, Flags};
///
/// let device = Device::open("0000:01:00.0")?;
/// let mut slice = device.export(0, &[(0..0x1000).into()], Flags::default())?;
/// device.watch(&mut slice)?;
/// slice.send(&ours, Some(&device))?;
/// // ... and when the client has had it long enough:
/// device.revoke(&slice)?;
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// A device is [`Send`] and [`Sync`]: after it was opened the library only reads its
/// object, and each call is one or more ioctls, which the kernel puts into an order.
pub struct Device {
    raw: NonNull<ffi::vdb_device>,
    /// What `from_fd()` was given; closed after the object.
    _fd: Option<OwnedFd>,
}

// SAFETY: see "Threads" above.
unsafe impl Send for Device {}
// SAFETY: likewise.
unsafe impl Sync for Device {}

impl Device {
    /// Opens a function by its name, "0000:01:00.0" or "01:00.0": through its character
    /// device and an iommufd, or its group and a type 1 container.
    ///
    /// VFIO resets a function when it is first opened and when it is last closed.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] (also: no VFIO driver), [`ErrorKind::PermissionDenied`],
    /// [`ErrorKind::Busy`], [`ErrorKind::InvalidInput`] (not a name), or what VFIO says
    pub fn open(bdf: &str) -> Result<Self> {
        Self::open_with(bdf, None)
    }

    /// Opens a function that has virtual functions, or is one, with the token (a UUID) that
    /// the processes of these share.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`ErrorKind::PermissionDenied`] also if the token is not
    /// that of the physical function; [`ErrorKind::Unsupported`]
    pub fn open_with_token(bdf: &str, vf_token: &str) -> Result<Self> {
        Self::open_with(bdf, Some(vf_token))
    }

    fn open_with(bdf: &str, vf_token: Option<&str>) -> Result<Self> {
        const WHAT: &str = "opening a device";
        let bdf = c_string(WHAT, bdf)?;
        let token = vf_token.map(|token| c_string(WHAT, token)).transpose()?;
        let mut reason = Reason::new();
        // SAFETY: the texts have ends, and the buffer has the size that the library wants.
        let raw = unsafe {
            ffi::vdb_device_open(
                bdf.as_ptr(),
                token.as_ref().map_or(ptr::null(), |token| token.as_ptr()),
                reason.as_mut_ptr(),
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, _fd: None }),
            None => Err(reason.error(WHAT)),
        }
    }

    /// Uses a VFIO device fd that the program has, for instance from another crate.
    ///
    /// The device is open as long as one of its fds.  If another crate keeps the fd, pass a
    /// copy of it: `BorrowedFd::try_clone_to_owned()`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if it is not a VFIO device, [`ErrorKind::WrongDevice`] if
    /// it is one, but not a PCI function.  The fd is closed then.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        // SAFETY: the fd is open, and stays open until the object is closed.
        let raw = unsafe { ffi::vdb_device_from_fd(fd.as_raw_fd()) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw, _fd: Some(fd) }),
            None => Err(Error::last("using a device fd")),
        }
    }

    pub(crate) fn raw(&self) -> *const ffi::vdb_device {
        self.raw.as_ptr()
    }

    /// The fd through which [`Dma`](crate::Dma) maps: the type 1 container, or the iommufd to which the
    /// device is attached.  `None` for a device of [`from_fd`](Self::from_fd).
    pub fn iommu_fd(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the device lives.
        let fd = unsafe { ffi::vdb_device_iommu_fd(self.raw()) };
        // SAFETY: the fd is the device's, and open as long as it.
        (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// What its driver supports; empty for stock vfio-pci, whose exports cannot be mapped.
    pub fn capabilities(&self) -> Capabilities {
        // SAFETY: the device lives.
        Capabilities(unsafe { ffi::vdb_device_capabilities(self.raw()) })
    }

    /// One of its BARs, 0 to 5; `None` if the function does not have that one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `index` is above 5, or what VFIO says
    pub fn bar(&self, index: u32) -> Result<Option<Bar>> {
        let mut raw = zeroed_bar();
        // SAFETY: the device lives, and `raw` has that size.
        let got = unsafe {
            ffi::vdb_device_bar_sized(self.raw(), index, &mut raw, size_of::<ffi::vdb_bar>())
        };
        check("describing a BAR", got)?;
        Ok((raw.size != 0).then_some(Bar {
            size: raw.size,
            memory: raw.memory,
            mappable: raw.mappable,
            prefetchable: raw.prefetchable,
            is_64bit: raw.is_64bit,
        }))
    }

    /// Resets the function.  Its slices are suspended during the reset and live again after it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if it cannot be reset alone, or what VFIO says
    pub fn reset(&self) -> Result<()> {
        // SAFETY: the device lives.
        check("resetting a device", unsafe { ffi::vdb_device_reset(self.raw()) })
    }

    /// Lets the device do DMA and send interrupts, or not.  After it was opened, and after a
    /// reset, it does neither.
    ///
    /// # Errors
    /// What the config space's `read()` and `write()` say
    pub fn set_bus_master(&self, on: bool) -> Result<()> {
        // SAFETY: the device lives.
        let set = unsafe { ffi::vdb_device_set_bus_master(self.raw(), on) };
        check("letting a device do DMA", set)
    }

    /// Exports ranges of a BAR as one slice, in the given order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`], [`ErrorKind::WrongDevice`] (no such BAR, or one that
    /// cannot be mapped), [`ErrorKind::Unsupported`], or what the kernel says
    pub fn export(&self, bar: u32, ranges: &[Range], flags: Flags) -> Result<Slice> {
        let ranges: Vec<_> = ranges.iter().map(|range| range.to_ffi()).collect();
        // SAFETY: the device lives, the ranges have that length, and the slice is ours.
        unsafe {
            let raw =
                ffi::vdb_slice_export(self.raw(), bar, ranges.as_ptr(), ranges.len(), flags.0);
            Slice::take("exporting a slice", raw)
        }
    }

    /// The same with one fd and the buffer's id, for owners that pass the fd on and keep the
    /// id.  [`Slice::from_fd`] makes a slice of it.
    ///
    /// # Errors
    /// As [`export`](Self::export)
    pub fn export_buffer(
        &self,
        bar: u32,
        ranges: &[Range],
        flags: Flags,
    ) -> Result<(OwnedFd, Buffer)> {
        let ranges: Vec<_> = ranges.iter().map(|range| range.to_ffi()).collect();
        let mut raw = zeroed_buffer();
        // SAFETY: the device lives, the ranges have that length, and `raw` has that size.
        let fd = unsafe {
            ffi::vdb_device_export_sized(
                self.raw(),
                bar,
                ranges.as_ptr(),
                ranges.len(),
                flags.0,
                &mut raw,
                size_of::<ffi::vdb_buffer>(),
            )
        };
        check("exporting a buffer", fd)?;
        // SAFETY: the library has made it for us.
        Ok((unsafe { OwnedFd::from_raw_fd(fd) }, Buffer::of(&raw)))
    }

    /// Revokes a slice for good.
    ///
    /// When it returns, or fails with [`ErrorKind::Revoked`], no mapping in any process
    /// reaches the device through the slice, and none can be made.  It does not wait for clients.
    ///
    /// # Errors
    /// [`ErrorKind::Revoked`] if that was done before, or the device was closed;
    /// [`ErrorKind::Interrupted`]: no process reaches the device through it any more, but
    /// other devices' drivers still may: call again to wait for them;
    /// [`ErrorKind::WrongDevice`]
    pub fn revoke(&self, slice: &Slice) -> Result<()> {
        // SAFETY: both live.
        check("revoking a slice", unsafe { ffi::vdb_slice_revoke(self.raw(), slice.raw()) })
    }

    /// Gives a slice an event fd, which is sent with it.  Replaces an event fd that it has.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], [`ErrorKind::WrongDevice`]
    pub fn watch(&self, slice: &mut Slice) -> Result<()> {
        // SAFETY: both live, and the slice is ours alone.
        check("watching a slice", unsafe { ffi::vdb_slice_watch(self.raw(), slice.raw_mut()) })
    }

    /// The id of a slice of this device.
    ///
    /// # Errors
    /// [`ErrorKind::WrongDevice`], [`ErrorKind::Unsupported`]
    pub fn slice_id(&self, slice: &Slice) -> Result<BufferId> {
        // SAFETY: both live.
        match unsafe { ffi::vdb_slice_id(self.raw(), slice.raw()) } {
            0 => Err(Error::last("asking for the id of a slice")),
            id => Ok(BufferId(id)),
        }
    }

    /// All its buffers, in the order of their ids.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without [`Capabilities::LIST`]
    pub fn buffers(&self) -> Result<Vec<Buffer>> {
        unsafe extern "C" fn each(buffer: *const ffi::vdb_buffer, data: *mut c_void) -> bool {
            // SAFETY: the library hands on what it was given, and a buffer.
            let (list, buffer) = unsafe { (&mut *data.cast::<Vec<Buffer>>(), &*buffer) };
            list.push(Buffer::of(buffer));
            true
        }
        let mut list = Vec::<Buffer>::new();
        // SAFETY: the device lives, and `each` is called during the call only.
        let got = unsafe { ffi::vdb_device_list(self.raw(), each, (&raw mut list).cast()) };
        check("listing buffers", got)?;
        Ok(list)
    }

    /// One of its buffers.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, or it no longer exists, [`ErrorKind::Unsupported`]
    pub fn buffer(&self, id: BufferId) -> Result<Buffer> {
        let mut raw = zeroed_buffer();
        // SAFETY: the device lives, and `raw` has that size.
        let got = unsafe {
            ffi::vdb_device_buffer_sized(self.raw(), id.0, &mut raw, size_of::<ffi::vdb_buffer>())
        };
        check("describing a buffer", got)?;
        Ok(Buffer::of(&raw))
    }

    /// The ranges of a buffer, in its order.
    ///
    /// # Errors
    /// As [`buffer`](Self::buffer)
    pub fn buffer_ranges(&self, id: BufferId) -> Result<Vec<Range>> {
        const ROOM: usize = 64;
        let mut list = Vec::new();
        loop {
            let mut part = [const { ffi::vdb_range { offset: 0, length: 0 } }; ROOM];
            // SAFETY: the device lives, and `part` has that length.
            let got = unsafe {
                ffi::vdb_device_buffer_ranges(self.raw(), id.0, list.len(), part.as_mut_ptr(), ROOM)
            };
            let Ok(got) = usize::try_from(got) else {
                return Err(Error::last("asking for the ranges of a buffer"));
            };
            list.extend(
                part[..got]
                    .iter()
                    .map(|range| Range { offset: range.offset, length: range.length }),
            );
            if got < ROOM {
                return Ok(list);
            }
        }
    }

    /// Revokes a buffer for good, also one that another process has exported.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke); [`ErrorKind::NotFound`] if it no longer exists
    pub fn revoke_id(&self, id: BufferId) -> Result<()> {
        // SAFETY: the device lives.
        check("revoking a buffer", unsafe { ffi::vdb_device_revoke_id(self.raw(), id.0) })
    }

    /// Events of the device: suspended, live again, closed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`]
    pub fn events(&self) -> Result<Events> {
        // SAFETY: the device lives.
        Events::take("watching a device", unsafe { ffi::vdb_device_watch(self.raw()) })
    }

    /// Events of one of its buffers.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, or it no longer exists, [`ErrorKind::Unsupported`]
    pub fn buffer_events(&self, id: BufferId) -> Result<Events> {
        // SAFETY: the device lives.
        Events::take("watching a buffer", unsafe { ffi::vdb_device_watch_id(self.raw(), id.0) })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: this object owns it, and nothing uses it any more.
        unsafe { ffi::vdb_device_close(self.raw.as_ptr()) };
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the fd is the device's, and open as long as it.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

impl AsRawFd for Device {
    fn as_raw_fd(&self) -> RawFd {
        // SAFETY: the device lives.
        unsafe { ffi::vdb_device_fd(self.raw()) }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("fd", &self.as_raw_fd()).finish()
    }
}

fn zeroed_bar() -> ffi::vdb_bar {
    // SAFETY: numbers and false.
    unsafe { std::mem::zeroed() }
}

fn zeroed_buffer() -> ffi::vdb_buffer {
    // SAFETY: numbers.
    unsafe { std::mem::zeroed() }
}

/// A buffer for the library's text about a failure.
pub(crate) struct Reason([c_char; ffi::VDB_ERROR_SIZE]);

impl Reason {
    pub(crate) fn new() -> Self {
        Self([0; ffi::VDB_ERROR_SIZE])
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    /// Call this immediately after the failure, because it reads errno.
    pub(crate) fn error(&self, what: &'static str) -> Error {
        Error::new(what, crate::error::errno(), text(&self.0))
    }
}

/// The text in an array of the library.  Without a NUL, it is the whole array.
pub(crate) fn text(chars: &[c_char]) -> String {
    // As bytes, because a char can be signed or unsigned.
    let bytes: Vec<u8> = chars.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
