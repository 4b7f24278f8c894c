// SPDX-License-Identifier: MIT
//! Devices, slices and buffers.

use std::os::fd::{AsFd, AsRawFd};
use std::thread;

use vfio_dmabuf::{Capabilities, Device, ErrorKind, Events, Flags, Place, Range, Slice, State};

use crate::support::*;

pub fn describes_itself() {
    let device = open("EDU");
    let all = Capabilities::EXPORT
        | Capabilities::WRITE_COMBINING
        | Capabilities::EVENTS
        | Capabilities::LIST;
    assert_eq!(device.capabilities(), all);
    assert_eq!(format!("{all:?}"), "Capabilities(EXPORT | WRITE_COMBINING | EVENTS | LIST)");

    let bar = device.bar(0).unwrap().unwrap();
    assert_eq!(bar.size, 1 << 20);
    assert!(bar.memory && bar.mappable && !bar.prefetchable && !bar.is_64bit);
    assert_eq!(device.bar(1).unwrap(), None);
    assert_eq!(device.bar(6).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(device.iommu_fd().is_some());
    // It has no way to be reset.
    assert_eq!(device.reset().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(vfio_dmabuf::library_version(), (0, 1, 0));
}

pub fn cannot_be_opened() {
    let before = fds();
    for (name, kind) in [
        ("nonsense", ErrorKind::InvalidInput),
        ("00:03.0\0", ErrorKind::InvalidInput),
        ("0000:ff:1f.7", ErrorKind::NotFound),
    ] {
        let error = Device::open(name).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.reason().is_empty(), "{error}");
        assert!(error.to_string().starts_with("opening a device: "), "{error}");
    }
    let error = Device::open_with_token(&bdf("EDU"), "no token").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(fds(), before);
}

pub fn busy_until_dropped() {
    let before = fds();
    let device = open("EDU");
    assert_eq!(Device::open(&bdf("EDU")).unwrap_err().kind(), ErrorKind::Busy);
    drop(device);
    drop(open("EDU"));
    assert_eq!(fds(), before);
}

pub fn from_an_fd() {
    let device = open("EDU");
    let second = Device::from_fd(device.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_ne!(second.as_raw_fd(), device.as_raw_fd());
    assert!(second.iommu_fd().is_none());

    let mapping = map(&page(&second));
    drop(second);
    // The device is open by its other fd.
    assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));

    let before = fds();
    let error = Device::from_fd(dev_null()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(fds(), before);
}

/// As [`Sync`] promises, threads can export at the same time, and all slices are closed.
pub fn used_by_threads() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 25;
    let device = open("EDU");

    thread::scope(|scope| {
        for thread in 0..THREADS {
            let device = &device;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let range = (thread * page_size()..(thread + 1) * page_size()).into();
                    let slice = device.export(0, &[range], Flags::default()).unwrap();
                    let id = device.slice_id(&slice).unwrap();
                    assert_eq!(device.buffer(id).unwrap().offset, thread * page_size());
                    device.revoke(&slice).unwrap();
                    assert_eq!(device.buffer(id).unwrap().state, State::Revoked);
                }
            });
        }
    });
    assert_eq!(device.buffers().unwrap(), []);
}

pub fn lists_its_buffers() {
    let device = open("EDU");
    let parts =
        [Range { offset: 4 * page_size(), length: page_size() }, (0..2 * page_size()).into()];
    let first = device.export(0, &parts, Flags::READ_ONLY).unwrap();
    let second = page(&device);
    let mapping = map(&second);

    let buffers = device.buffers().unwrap();
    assert_eq!(buffers.len(), 2);
    assert_eq!(buffers[0].id, device.slice_id(&first).unwrap());
    assert_eq!(buffers[1].id, device.slice_id(&second).unwrap());
    assert!(buffers[0].id < buffers[1].id);
    assert_eq!((buffers[0].ranges, buffers[0].length), (2, 3 * page_size()));
    assert_eq!((buffers[0].flags, buffers[1].flags), (Flags::READ_ONLY, Flags::default()));
    assert_eq!((buffers[0].mappings, buffers[1].mappings), (0, 1));
    assert_eq!(buffers[1].state, State::Live);
    assert_eq!(device.buffer_ranges(buffers[0].id).unwrap(), parts);

    device.revoke_id(buffers[1].id).unwrap();
    assert_eq!(device.buffer(buffers[1].id).unwrap().state, State::Revoked);
    let error = device.revoke_id(buffers[1].id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked);
    drop((second, mapping));
    assert_eq!(device.buffer(buffers[1].id).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(device.buffers().unwrap().len(), 1);

    // More than one call of the library gets.
    let many: Vec<Range> =
        (0..100).map(|i| (2 * i * page_size()..(2 * i + 1) * page_size()).into()).collect();
    let many_slice = device.export(0, &many, Flags::default()).unwrap();
    let id = device.slice_id(&many_slice).unwrap();
    assert_eq!(device.buffer_ranges(id).unwrap(), many);
}

pub fn exports_a_buffer() {
    let device = open("IVSHMEM");
    let (fd, buffer) = device
        .export_buffer(2, &[(page_size()..3 * page_size()).into()], Flags::WRITE_COMBINING)
        .unwrap();
    assert_eq!((buffer.bar, buffer.offset, buffer.length), (2, page_size(), 2 * page_size()));
    assert_eq!(buffer.flags, Flags::WRITE_COMBINING);

    let name = bdf("IVSHMEM");
    let place = Place { bdf: Some(&name), bar: 2, offset: page_size(), flags: buffer.flags };
    let slice = Slice::from_fd(fd, None, place).unwrap();
    assert_eq!(device.slice_id(&slice).unwrap(), buffer.id);
    assert_eq!(slice.bdf(), Some(name.as_str()));
    assert_eq!((slice.bar(), slice.offset(), slice.len()), (2, page_size(), 2 * page_size()));
    assert_eq!(slice.flags(), Flags::WRITE_COMBINING);
    assert_eq!(device.buffers().unwrap().len(), 1);

    // One device's slices are not another's.
    let other = open("EDU");
    assert_eq!(other.slice_id(&slice).unwrap_err().kind(), ErrorKind::WrongDevice);
    assert_eq!(other.revoke(&slice).unwrap_err().kind(), ErrorKind::WrongDevice);
}

fn expect(events: &Events, state: Option<State>) {
    assert_eq!(events.read().unwrap(), state);
}

pub fn events() {
    let device = open("EDU");
    let slice = page(&device);
    let id = device.slice_id(&slice).unwrap();
    let (of_device, of_buffer) = (device.events().unwrap(), device.buffer_events(id).unwrap());

    expect(&of_device, Some(State::Live));
    expect(&of_device, None);
    expect(&of_buffer, Some(State::Live));
    device.revoke(&slice).unwrap();
    expect(&of_buffer, Some(State::Revoked));
    expect(&of_device, None);
    drop(device);
    expect(&of_device, Some(State::Revoked));
    drop(slice);

    let error = open("EDU").buffer_events(id).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

pub fn export_errors() {
    let device = open("EDU");
    for (bar, ranges, kind) in [
        (0, vec![], ErrorKind::InvalidInput),
        (0, vec![Range { offset: 0, length: 100 }], ErrorKind::InvalidInput),
        (0, vec![(0..2 << 20).into()], ErrorKind::InvalidInput),
        #[allow(clippy::reversed_empty_ranges)]
        (0, vec![(page_size()..0).into()], ErrorKind::InvalidInput),
        (6, vec![(0..page_size()).into()], ErrorKind::InvalidInput),
        (1, vec![(0..page_size()).into()], ErrorKind::WrongDevice),
    ] {
        let error = device.export(bar, &ranges, Flags::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "BAR {bar} {ranges:?}: {error}");
        let error = device.export_buffer(bar, &ranges, Flags::default()).unwrap_err();
        assert_eq!(error.kind(), kind, "BAR {bar} {ranges:?}: {error}");
    }
}

pub fn slice_watched() {
    let device = open("EDU");
    let mut slice = page(&device);
    assert!(slice.event_fd().is_none());
    assert!(slice.state().is_err());

    device.watch(&mut slice).unwrap();
    assert!(slice.event_fd().is_some());
    let (state, before) = slice.state().unwrap();
    assert_eq!(state, State::Live);
    device.revoke(&slice).unwrap();
    let (state, after) = slice.state().unwrap();
    assert_eq!(state, State::Revoked);
    assert!(after > before);
}

pub fn slice_of_another_fd() {
    let device = open("EDU");
    let slice = page(&device);
    let before = fds();

    let place = Place { bar: 0, ..Place::default() };
    let error = Slice::from_fd(dev_null(), Some(dev_null()), place).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let copy = || slice.as_fd().try_clone_to_owned().unwrap();
    for place in [
        Place { flags: Flags::READ_ONLY, ..place },
        Place { bar: 6, ..place },
        Place { offset: 1, ..place },
        Place { bdf: Some("nonsense"), ..place },
        Place { bdf: Some("\0"), ..place },
    ] {
        let error = Slice::from_fd(copy(), None, place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{place:?}");
    }
    // The fds are closed each time.
    assert_eq!(fds(), before);
    assert_eq!(Slice::from_fd(copy(), None, place).unwrap().bdf(), None);
}
