// SPDX-License-Identifier: MIT
//! News of the broker.

use std::mem::size_of;
use std::time::Duration;

use crate::client::{time_of, Client, End, LeaseId};
use crate::device::text;
use crate::error::{ErrorKind, Result};
use crate::ffi;
use crate::slice::Flags;

/// What has happened at the broker, and when.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The time of `CLOCK_BOOTTIME`; `None`: not known.
    pub time: Option<Duration>,
    /// What has happened.
    pub what: Happened,
}

/// What has happened at the broker.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A lease was granted.
    Granted(LeaseNews),
    /// A lease was renewed.
    Renewed(LeaseNews),
    /// A lease has ended, and why.
    Ended(LeaseNews, End),
    /// The broker has opened a device.
    DeviceOpen(DeviceNews),
    /// The broker has lost a device, and why.
    DeviceLost(DeviceNews, String),
    /// A device is suspended.
    DeviceSuspended(DeviceNews),
    /// A device is live again.
    DeviceResumed(DeviceNews),
    /// The broker was restarted.  What happened meanwhile is not known.
    Restarted,
    /// So many news came faster than the program has read them.
    Missed(u64),
    /// What this crate does not know, by its number.
    Other(u32),
}

/// A lease in [`News`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseNews {
    /// Its number.
    pub id: LeaseId,
    /// Of the slice.
    pub name: String,
    /// Which of an array of slices.
    pub index: u32,
    /// The function.
    pub bdf: String,
    /// 0 to 5.
    pub bar: u32,
    /// In the BAR.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
    /// [`Flags::READ_ONLY`], [`Flags::WRITE_COMBINING`]
    pub flags: Flags,
    /// The time that is left; `None`: it does not expire, or has ended.
    pub time: Option<Duration>,
    /// The client's process; 0 if the client has disconnected, like the next two.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The name that the client gave itself; empty if it has disconnected.
    pub client: String,
    /// The lease has an eventfd for its interrupt.
    pub interrupt: bool,
}

/// A device in [`News`].
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNews {
    /// Empty if the configuration no longer has it.
    pub name: String,
    /// The function.
    pub bdf: String,
}

impl LeaseNews {
    fn of(raw: &ffi::vdb_news) -> Self {
        Self {
            id: LeaseId(raw.lease),
            name: text(&raw.name),
            index: raw.index,
            bdf: text(&raw.bdf),
            bar: raw.bar,
            offset: raw.offset,
            length: raw.length,
            flags: Flags(raw.flags),
            time: time_of(raw.seconds),
            pid: raw.pid,
            uid: raw.uid,
            gid: raw.gid,
            client: text(&raw.client),
            interrupt: raw.interrupt,
        }
    }
}

impl DeviceNews {
    fn of(raw: &ffi::vdb_news) -> Self {
        Self { name: text(&raw.name), bdf: text(&raw.bdf) }
    }
}

impl News {
    fn of(raw: &ffi::vdb_news) -> Self {
        let what = match raw.r#type {
            ffi::VDB_NEWS_GRANTED => Happened::Granted(LeaseNews::of(raw)),
            ffi::VDB_NEWS_RENEWED => Happened::Renewed(LeaseNews::of(raw)),
            ffi::VDB_NEWS_ENDED => {
                let end = End::of(raw.end).unwrap_or(End::Other(ffi::VDB_END_NONE));
                Happened::Ended(LeaseNews::of(raw), end)
            }
            ffi::VDB_NEWS_DEVICE_OPEN => Happened::DeviceOpen(DeviceNews::of(raw)),
            ffi::VDB_NEWS_DEVICE_LOST => {
                Happened::DeviceLost(DeviceNews::of(raw), text(&raw.reason))
            }
            ffi::VDB_NEWS_DEVICE_SUSPENDED => Happened::DeviceSuspended(DeviceNews::of(raw)),
            ffi::VDB_NEWS_DEVICE_RESUMED => Happened::DeviceResumed(DeviceNews::of(raw)),
            ffi::VDB_NEWS_RESTARTED => Happened::Restarted,
            ffi::VDB_NEWS_MISSED => Happened::Missed(raw.missed),
            other => Happened::Other(other),
        };
        let time = (raw.time != 0).then(|| Duration::from_micros(raw.time));
        Self { time, what }
    }
}

impl Client {
    /// From now on, also reports what happens to leases and devices:
    /// [`next_event`](Self::next_event), [`wait_event`](Self::wait_event) and
    /// [`events`](Self::events) return [`Event::News`](crate::Event::News).
    ///
    /// An administrator gets all.  Others get what happens to the leases of their user, on all
    /// connections.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use vfio_dmabuf::{Client, Event};
    ///
    /// let mut client = Client::connect(None)?;
    /// client.watch()?;
    /// for event in client.events() {
    ///     if let Event::News(news) = event? {
    ///         println!("{news:?}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the broker is older, [`ErrorKind::TimedOut`],
    /// [`ErrorKind::Disconnected`]
    pub fn watch(&mut self) -> Result<()> {
        // SAFETY: the client lives.
        let done = unsafe { ffi::vdb_client_watch(self.raw()) };
        let done = self.check("watching the broker", done);
        self.watches |= match &done {
            Ok(()) => true,
            // The broker may still do it.
            Err(error) => error.kind() == ErrorKind::TimedOut,
        };
        done
    }

    /// Of a client that watches.
    pub(crate) fn next_news(&mut self) -> Result<Option<News>> {
        // SAFETY: numbers, and texts that are empty.
        let mut raw: ffi::vdb_news = unsafe { std::mem::zeroed() };
        // SAFETY: the client lives, and `raw` has that size.
        let got =
            unsafe { ffi::vdb_client_news_sized(self.raw(), &mut raw, size_of::<ffi::vdb_news>()) };
        self.check("reading news of the broker", got)?;
        Ok((got > 0).then(|| News::of(&raw)))
    }
}

#[cfg(test)]
mod tests {
    use libc::c_uint;

    use super::*;

    fn raw(kind: c_uint) -> ffi::vdb_news {
        // SAFETY: numbers, and texts that are empty.
        let mut raw: ffi::vdb_news = unsafe { std::mem::zeroed() };
        raw.r#type = kind;
        raw.end = ffi::VDB_END_EXPIRED;
        raw.lease = 7;
        raw.missed = 3;
        raw.seconds = 5;
        raw.interrupt = true;
        // Without an end.
        raw.name.fill(b'n' as _);
        raw.reason[0] = b'r' as _;
        raw
    }

    #[test]
    fn every_type_has_its_fields() {
        let what = |kind| News::of(&raw(kind)).what;
        let Happened::Ended(lease, End::Expired) = what(ffi::VDB_NEWS_ENDED) else { panic!() };
        assert_eq!((lease.id, lease.time), (LeaseId(7), Some(Duration::from_secs(5))));
        assert_eq!(lease.name, "n".repeat(64));
        assert!(lease.interrupt);
        assert!(matches!(what(ffi::VDB_NEWS_GRANTED), Happened::Granted(_)));
        assert!(matches!(what(ffi::VDB_NEWS_RENEWED), Happened::Renewed(_)));
        assert!(matches!(what(ffi::VDB_NEWS_DEVICE_OPEN), Happened::DeviceOpen(_)));
        assert!(
            matches!(what(ffi::VDB_NEWS_DEVICE_LOST), Happened::DeviceLost(_, why) if why == "r")
        );
        assert!(matches!(what(ffi::VDB_NEWS_DEVICE_SUSPENDED), Happened::DeviceSuspended(_)));
        assert!(matches!(what(ffi::VDB_NEWS_DEVICE_RESUMED), Happened::DeviceResumed(_)));
        assert_eq!(what(ffi::VDB_NEWS_RESTARTED), Happened::Restarted);
        assert_eq!(what(ffi::VDB_NEWS_MISSED), Happened::Missed(3));
        assert_eq!(what(99), Happened::Other(99));
    }

    #[test]
    fn time_can_be_unknown() {
        let mut raw = raw(ffi::VDB_NEWS_RESTARTED);
        assert_eq!(News::of(&raw).time, None);
        raw.time = 1_500_000;
        assert_eq!(News::of(&raw).time, Some(Duration::from_millis(1500)));
    }
}
