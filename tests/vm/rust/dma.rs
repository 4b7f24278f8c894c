// SPDX-License-Identifier: MIT
//! Memory that the edu device reaches.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::ptr::NonNull;
use std::thread;
use std::time::Duration;

use vfio_dmabuf::{Access, Device, Dma, ErrorKind, Flags, Kind, Mapping, Slice};

use crate::support::*;

/// Registers of the device's DMA engine, and its buffer.
const SOURCE: usize = 0x80;
const DESTINATION: usize = 0x88;
const COUNT: usize = 0x90;
const COMMAND: usize = 0x98;
const BUFFER: u64 = 0x40000;

/// Of the device's buffer.
const SIZE: usize = 4096;

struct Edu {
    device: Device,
    dma: Dma,
    registers: Mapping,
}

impl Edu {
    fn open() -> Self {
        let device = open("EDU");
        let dma = Dma::new(&device).unwrap();
        let registers = map(&page(&device));
        device.set_bus_master(true).unwrap();
        Self { device, dma, registers }
    }

    /// Takes 100 ms; the device does not report in another way that it is done.
    fn copy(&self, source: u64, destination: u64, command: u64) {
        let write = |register, value| self.registers.write_u64(register, value).unwrap();
        write(SOURCE, source);
        write(DESTINATION, destination);
        write(COUNT, SIZE as u64);
        write(COMMAND, command | 1);
        while self.registers.read_u64(COMMAND).unwrap() & 1 != 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn device_reads(&self, iova: u64) {
        self.copy(iova, BUFFER, 0);
    }

    fn device_writes(&self, iova: u64) {
        self.copy(BUFFER, iova, 2);
    }

    /// Fills the device's buffer.
    fn fill(&self, with: u8) {
        let mut slice = self.dma.alloc(page_size(), Flags::default()).unwrap();
        map(&slice).write_from(0, &[with; SIZE]).unwrap();
        self.device_reads(slice.iova().unwrap());
        self.dma.revoke(&mut slice).unwrap();
    }
}

fn bytes(memory: &Mapping, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; SIZE];
    memory.read_into(offset, &mut bytes).unwrap();
    bytes
}

/// A slice that the process and the device have, until it is revoked for the device.
pub fn slice() {
    let edu = Edu::open();
    let before = fds();
    let mut slice = edu.dma.alloc(2 * page_size(), Flags::default()).unwrap();
    let iova = slice.iova().unwrap();
    let memory = map(&slice);
    let data: Vec<u8> = (0..SIZE).map(|i| i as u8).collect();

    assert_eq!(
        (slice.kind(), slice.len(), slice.flags()),
        (Kind::Memory, 2 * page_size(), Flags::default())
    );
    assert_eq!((slice.bdf(), iova % page_size()), (None, 0));
    assert_eq!(bytes(&memory, page_size() as usize), [0; SIZE]);
    memory.write_from(0, &data).unwrap();
    edu.device_reads(iova);
    edu.device_writes(iova + page_size());
    assert_eq!(bytes(&memory, page_size() as usize), data);

    edu.dma.revoke(&mut slice).unwrap();
    memory.write_from(page_size() as usize, &[0; SIZE]).unwrap();
    edu.device_writes(iova + page_size());
    assert_eq!(bytes(&memory, page_size() as usize), [0; SIZE]);
    assert_eq!(bytes(&memory, 0), data);
    assert_eq!(edu.dma.revoke(&mut slice).unwrap_err().kind(), ErrorKind::Revoked);
    drop((slice, memory));
    assert_eq!(fds(), before);
}

/// Blocks at any place, and not beyond the end.
pub fn blocks() {
    let edu = Edu::open();
    let slice = edu.dma.alloc(page_size(), Flags::default()).unwrap();
    let memory = map(&slice);

    let end = page_size() as usize;
    for offset in [0, 1, 7, 8, end - 6] {
        for length in [0, 1, 6, 8, 31] {
            let data: Vec<u8> = (0..length).map(|i| (offset + i) as u8 | 0x80).collect();
            let mut got = vec![0; length];
            if offset + length > end {
                assert!(memory.write_from(offset, &data).is_err());
                assert!(memory.read_into(offset, &mut got).is_err());
                continue;
            }
            memory.write_from(0, &vec![0; end]).unwrap();
            memory.write_from(offset, &data).unwrap();
            memory.read_into(offset, &mut got).unwrap();
            assert_eq!(got, data);
            // Nothing beside it has changed.
            let mut all = vec![0; end];
            memory.read_into(0, &mut all).unwrap();
            let nonzero = all.iter().filter(|byte| **byte != 0).count();
            assert_eq!(nonzero, length);
        }
    }
    assert!(memory.write_from(usize::MAX, &[1]).is_err());
    let reading = slice.map(Access::Read).unwrap();
    assert!(reading.write_from(0, &[1]).is_err());
}

/// Memory that the device or the process only reads.
pub fn directions() {
    let edu = Edu::open();
    edu.fill(b'd');
    // First: QEMU reports no fault where its IOTLB has an entry from a read.
    let quiet = edu.dma.alloc(page_size(), Flags::DMA_READ_ONLY).unwrap();
    edu.device_writes(quiet.iova().unwrap());
    assert_eq!(bytes(&map(&quiet), 0), [0; SIZE]);

    let only = edu.dma.alloc(page_size(), Flags::READ_ONLY).unwrap();
    edu.device_writes(only.iova().unwrap());
    assert_eq!(bytes(&only.map(Access::Read).unwrap(), 0), [b'd'; SIZE]);
    let error = only.map(Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

/// Memory of the process, until its mapping is dropped.
pub fn process_memory() {
    let edu = Edu::open();
    edu.fill(b'p');
    // A page to itself, never freed.
    let length = page_size() as usize;
    let area = Box::leak(vec![0u8; 2 * length].into_boxed_slice());
    let start = area.as_ptr().align_offset(length);
    let memory = NonNull::new(area[start..].as_mut_ptr()).unwrap();
    // SAFETY: within the page.
    let look = |at: usize| unsafe { memory.as_ptr().add(at).read_volatile() };

    // SAFETY: nothing else uses it, and it is never freed.
    let mapping = unsafe { edu.dma.map(memory, length, Flags::default()) }.unwrap();
    let iova = mapping.iova();
    edu.device_writes(iova);
    assert_eq!((look(0), look(SIZE - 1), mapping.len()), (b'p', b'p', page_size()));
    edu.fill(b'q');
    mapping.unmap();
    edu.device_writes(iova);
    assert_eq!((look(0), look(SIZE - 1)), (b'p', b'p'));
    assert_eq!(edu.dma.unmap(iova, page_size()).unwrap_err().kind(), ErrorKind::InvalidInput);

    // It keeps the address space.
    let other = Dma::new(&edu.device).unwrap();
    // SAFETY: as above.
    let mapping = unsafe { other.map(memory, length, Flags::default()) }.unwrap();
    drop(other);
    edu.device_writes(mapping.iova());
    assert_eq!(look(0), b'q');
    drop(mapping);

    // SAFETY: these are refused.
    let refused = |length, flags| unsafe { edu.dma.map(memory, length, flags) }.unwrap_err();
    assert_eq!(refused(length - 1, Flags::default()).kind(), ErrorKind::InvalidInput);
    assert_eq!(refused(length, Flags::HUGE).kind(), ErrorKind::InvalidInput);
}

/// What an owner keeps over its restart: the container or iommufd, and the memfd.
pub fn kept() {
    let edu = Edu::open();
    edu.fill(b'k');
    let first = edu.dma.alloc(page_size(), Flags::default()).unwrap();
    let iova = first.iova().unwrap();
    let fd = edu.device.iommu_fd().unwrap().try_clone_to_owned().unwrap();
    let dma = Dma::from_fd(fd, edu.dma.ioas()).unwrap();

    let memfd = first.as_fd().try_clone_to_owned().unwrap();
    let mut again = Slice::from_memfd(memfd, iova, Flags::default()).unwrap();
    dma.reserve(iova, page_size()).unwrap();
    assert_eq!(dma.reserve(iova, page_size()).unwrap_err().raw_os_error(), libc::EEXIST);
    edu.device_writes(iova);
    assert_eq!(bytes(&map(&again), 0), [b'k'; SIZE]);
    dma.revoke(&mut again).unwrap();
    map(&again).write_from(0, &[0; SIZE]).unwrap();
    edu.device_writes(iova);
    assert_eq!(bytes(&map(&first), 0), [0; SIZE]);
}

/// Sent like a slice of registers.
pub fn passed_on() {
    let edu = Edu::open();
    let (here, there) = UnixStream::pair().unwrap();
    let sent = edu.dma.alloc(page_size(), Flags::default()).unwrap();

    sent.send(&here, None).unwrap();
    let got = Slice::receive(&there).unwrap();
    assert_eq!((got.kind(), got.iova(), got.len()), (Kind::Memory, sent.iova(), page_size()));
    map(&got).write_u64(8, 7).unwrap();
    assert_eq!(map(&sent).read_u64(8), Ok(7));
    assert_eq!(page(&edu.device).iova(), None);
}

pub fn errors() {
    let edu = Edu::open();
    let kind = |result: vfio_dmabuf::Result<Slice>| result.unwrap_err().kind();

    assert_eq!(kind(edu.dma.alloc(1, Flags::default())), ErrorKind::InvalidInput);
    assert_eq!(kind(edu.dma.alloc(page_size(), Flags::BAR_MAPPING)), ErrorKind::InvalidInput);
    let mut registers = page(&edu.device);
    assert_eq!(edu.dma.revoke(&mut registers).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(edu.dma.set_width(65).unwrap_err().kind(), ErrorKind::InvalidInput);
    edu.dma.set_width(16).unwrap();
    let error = edu.dma.alloc(16 * page_size(), Flags::default()).unwrap_err();
    assert_eq!(error.raw_os_error(), libc::ENOSPC);
    assert!(error.reason().starts_with("no IOVA left"), "{error}");

    let copy = edu.device.as_fd().try_clone_to_owned().unwrap();
    let error = Dma::new(&Device::from_fd(copy).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = Slice::from_memfd(dev_null(), 0, Flags::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
