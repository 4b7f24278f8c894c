// SPDX-License-Identifier: MIT
//! Access to registers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use vfio_dmabuf::{flush_write_combining, Access, AccessError, ErrorKind, Flags};

use crate::support::*;

pub fn reaches_registers() {
    let mapping = map(&page(&open("EDU")));
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));

    let device = open("EDU");
    let mapping = map(&page(&device));
    assert_eq!(mapping.len() as u64, page_size());
    assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));
    mapping.write_u32(EDU_LIVENESS, 0x600d).unwrap();
    assert_eq!(mapping.read_u32(EDU_LIVENESS), Ok(!0x600d));

    let register = mapping.register::<u32>(EDU_LIVENESS).unwrap();
    register.write(7).unwrap();
    assert_eq!(register.read(), Ok(!7));
    let line = maps_line(mapping.as_ptr()).unwrap();
    assert!(line.contains("rw-s") && line.contains(&bdf("EDU")), "{line}");
}

/// The memory of ivshmem takes all of them, in the CPU's byte order.
pub fn has_all_widths() {
    let device = open("IVSHMEM");
    for flags in [Flags::default(), Flags::WRITE_COMBINING] {
        let slice = device.export(2, &[(0..page_size()).into()], flags).unwrap();
        let mapping = map(&slice);

        mapping.write_u64(0x10, 0x0123_4567_89ab_cdef).unwrap();
        flush_write_combining();
        assert_eq!(mapping.read_u64(0x10), Ok(0x0123_4567_89ab_cdef));
        assert_eq!(mapping.read_u32(0x14), Ok(0x0123_4567));
        assert_eq!(mapping.read_u16(0x12), Ok(0x89ab));
        assert_eq!(mapping.read_u8(0x17), Ok(0x01));
        mapping.write_u8(0x10, 0x11).unwrap();
        mapping.write_u16(0x12, 0x2222).unwrap();
        mapping.write_u32(0x14, 0x4444_4444).unwrap();
        flush_write_combining();
        assert_eq!(mapping.read::<u64>(0x10), Ok(0x4444_4444_2222_cd11));

        let (values, mut got) = ([1u16, 2, 3], [0u16; 3]);
        mapping.write_u64(0x20, 0).unwrap();
        mapping.write_all(0x22, &values).unwrap();
        flush_write_combining();
        mapping.read_all(0x22, &mut got).unwrap();
        assert_eq!(got, values);
        assert_eq!(mapping.read_u64(0x20), Ok(0x0003_0002_0001_0000));
        assert_eq!(mapping.read_all(0x23, &mut got), Err(AccessError::Misaligned));
        assert_eq!(
            mapping.write_all(page_size() as usize - 4, &values),
            Err(AccessError::OutOfBounds)
        );

        let mut bytes = [0; 128];
        mapping.write_blocks(0x40, &[[7; 64], [8; 64]]).unwrap();
        flush_write_combining();
        mapping.read_into(0x40, &mut bytes).unwrap();
        assert_eq!((&bytes[..64], &bytes[64..]), (&[7; 64][..], &[8; 64][..]));
        assert_eq!(mapping.write_blocks(0x20, &[[7; 64]]), Err(AccessError::Misaligned));
    }
}

/// These registers take 4 bytes only.
pub fn copies_have_their_width() {
    let device = open("EDU");
    let mapping = map(&device.export(0, &[(0..page_size()).into()], Flags::default()).unwrap());
    let (mut right, mut wrong) = ([0u32], [0u16; 2]);

    mapping.read_all(EDU_ID, &mut right).unwrap();
    assert_eq!(right, [EDU_ID_VALUE]);
    match mapping.read_all(EDU_ID, &mut wrong) {
        Ok(()) => assert_ne!(wrong[0], EDU_ID_VALUE as u16),
        Err(error) => assert_eq!(error, AccessError::Failed),
    }
}

pub fn is_bounded() {
    let device = open("IVSHMEM");
    let slice = device.export(2, &[(0..2 * page_size()).into()], Flags::default()).unwrap();
    let mapping = slice.map_part(0, page_size(), Access::ReadWrite).unwrap();
    let end = page_size() as usize;

    mapping.write_u64(end - 8, 1).unwrap();
    mapping.write_u8(end - 1, 1).unwrap();
    for offset in [end, end + 8, end - 4, usize::MAX, usize::MAX - 7, 1 << 63] {
        assert_eq!(mapping.read_u64(offset), Err(AccessError::OutOfBounds), "{offset:#x}");
        assert_eq!(mapping.write_u64(offset, 0), Err(AccessError::OutOfBounds), "{offset:#x}");
    }
    assert_eq!(mapping.read_u8(end), Err(AccessError::OutOfBounds));
    assert_eq!(mapping.read_u16(1), Err(AccessError::Misaligned));
    assert_eq!(mapping.read_u32(2), Err(AccessError::Misaligned));
    assert_eq!(mapping.write_u64(4, 0), Err(AccessError::Misaligned));
}

pub fn for_reading() {
    let device = open("EDU");
    let slice = device.export(0, &[(0..page_size()).into()], Flags::READ_ONLY).unwrap();
    assert_eq!(slice.flags(), Flags::READ_ONLY);
    let error = slice.map(Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);

    for slice in [slice, page(&device)] {
        let mapping = slice.map(Access::Read).unwrap();
        assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));
        // It would be SIGSEGV.
        assert_eq!(mapping.write_u32(EDU_LIVENESS, 1), Err(AccessError::ReadOnly));
    }
}

pub fn of_a_part() {
    let device = open("IVSHMEM");
    let slice = device.export(2, &[(0..4 * page_size()).into()], Flags::default()).unwrap();
    let (all, part) =
        (map(&slice), slice.map_part(2 * page_size(), page_size(), Access::ReadWrite).unwrap());

    part.write_u32(0, 0xabcd).unwrap();
    assert_eq!(all.read_u32(2 * page_size() as usize), Ok(0xabcd));
    for (offset, length) in [
        (0, 0),
        (0, 1),
        (1, page_size()),
        (0, 5 * page_size()),
        (4 * page_size(), page_size()),
        (5 * page_size(), page_size()),
        (u64::MAX - page_size() + 1, page_size()),
        (page_size(), u64::MAX - page_size() + 1),
    ] {
        let error = slice.map_part(offset, length, Access::Read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{offset:#x}+{length:#x}");
    }
}

pub fn ends_when_dropped() {
    let device = open("EDU");
    let before = fds();
    let mapping = map(&page(&device));
    let address = mapping.as_ptr();

    // The slice was dropped, its mapping goes on.
    assert_eq!(fds(), before);
    assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));
    assert!(maps_line(address).is_some());
    drop(mapping);
    assert_eq!(maps_line(address), None);
    assert_eq!(device.buffers().unwrap(), []);
}

const NVME_VS: usize = 0x08;
const NVME_CC: usize = 0x14;
const NVME_CC_SIZES: u32 = 0x0046_0000;

pub fn goes_on_after_a_reset() {
    let device = open("NVME");
    let mapping = map(&page(&device));
    let version = mapping.read_u32(NVME_VS).unwrap();

    mapping.write_u32(NVME_CC, NVME_CC_SIZES).unwrap();
    assert_eq!(mapping.read_u32(NVME_CC), Ok(NVME_CC_SIZES));
    device.reset().unwrap();
    assert_eq!(mapping.read_u32(NVME_CC), Ok(0));
    assert_eq!(mapping.read_u32(NVME_VS), Ok(version));
}

pub fn revoked_is_an_error() {
    let device = open("EDU");
    let (slice, other) = (page(&device), page(&device));
    let (mapping, goes_on) = (map(&slice), map(&other));
    let register = mapping.register::<u32>(EDU_LIVENESS).unwrap();

    goes_on.write_u32(EDU_LIVENESS, 1).unwrap();
    device.revoke(&slice).unwrap();
    assert_eq!(register.read(), Err(AccessError::Unreachable));
    assert_eq!(register.write(2), Err(AccessError::Unreachable));
    assert_eq!(mapping.read_u8(0), Err(AccessError::Unreachable));
    assert_eq!(mapping.read_u16(0), Err(AccessError::Unreachable));
    assert_eq!(mapping.read_u64(0), Err(AccessError::Unreachable));
    assert_eq!(mapping.write_u8(0, 0), Err(AccessError::Unreachable));
    assert_eq!(mapping.write_u16(0, 0), Err(AccessError::Unreachable));
    assert_eq!(mapping.write_u64(0, 0), Err(AccessError::Unreachable));
    assert_eq!(goes_on.read_u32(EDU_LIVENESS), Ok(!1));

    let io = std::io::Error::from(register.read().unwrap_err());
    assert!(io.to_string().contains("cannot be reached"), "{io}");
    assert_eq!(slice.map(Access::Read).unwrap_err().kind(), ErrorKind::Revoked);
    assert_eq!(device.revoke(&slice).unwrap_err().kind(), ErrorKind::Revoked);
}

/// As [`Sync`] promises, several threads share a mapping, and none gets a signal.
pub fn revoked_while_threads_read() {
    const THREADS: usize = 3;
    let device = open("EDU");
    let slice = page(&device);
    let mapping = map(&slice);
    let reads = [const { AtomicU64::new(0) }; THREADS];

    thread::scope(|scope| {
        for count in &reads {
            let register = mapping.register::<u32>(EDU_ID).unwrap();
            scope.spawn(move || {
                while let Ok(value) = register.read() {
                    assert_eq!(value, EDU_ID_VALUE);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                assert_eq!(register.read(), Err(AccessError::Unreachable));
            });
        }
        while reads.iter().any(|count| count.load(Ordering::Relaxed) < 100) {
            thread::yield_now();
        }
        device.revoke(&slice).unwrap();
    });
}
