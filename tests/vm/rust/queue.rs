// SPDX-License-Identifier: MIT
//! The interrupt of a lease: that of an NVMe queue, with the configuration of support/lender.c.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsRawFd;

use vfio_dmabuf::{Acquire, Event, Happened, Lease, Mapping, News};

use crate::broker::{acquire, connect, LONG};
use crate::support::map;

/// For flushes of namespace 1.  The broker describes it as drivers/nvme/layout.h says.
struct Queue {
    memory: Mapping,
    registers: Mapping,
    entries: u32,
    sq: usize,
    cq: usize,
    sq_doorbell: usize,
    cq_doorbell: usize,
    submitted: u32,
    completed: u32,
}

impl Queue {
    fn new(lease: &Lease) -> Self {
        let memory = map(lease.memory.as_ref().unwrap());
        let place = |offset| memory.read_u64(offset).unwrap() as usize;
        let in_slice = |offset| place(offset) - lease.slice.offset() as usize;

        Self {
            registers: map(&lease.slice),
            entries: memory.read_u32(20).unwrap(),
            sq: place(40),
            cq: place(56),
            sq_doorbell: in_slice(24),
            cq_doorbell: in_slice(32),
            submitted: 0,
            completed: 0,
            memory,
        }
    }

    fn flush(&mut self) {
        let command = self.sq + 64 * (self.submitted % self.entries) as usize;
        self.memory.write_from(command, &[0; 64]).unwrap();
        self.memory.write_u16(command + 2, self.submitted as u16).unwrap();
        self.memory.write_u32(command + 4, 1).unwrap();
        self.submitted += 1;
        self.registers.write_u32(self.sq_doorbell, self.submitted % self.entries).unwrap();
    }

    /// Takes the oldest command out of the queue, which must be completed without an error.
    fn complete(&mut self) {
        let (lap, place) = (self.completed / self.entries, self.completed % self.entries);
        let entry = self.cq + 16 * place as usize;
        let status = self.memory.read_u16(entry + 14).unwrap();
        let command = self.memory.read_u16(entry + 12).unwrap();
        assert_eq!((command, status), (self.completed as u16, (!lap & 1) as u16));
        self.completed += 1;
        self.registers.write_u32(self.cq_doorbell, self.completed % self.entries).unwrap();
    }
}

/// The number of interrupts since the last call; it does not wait.
fn interrupts(eventfd: &mut File) -> u64 {
    let mut count = [0; 8];
    match eventfd.read(&mut count) {
        Ok(length) => assert_eq!(length, count.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
    }
    u64::from_ne_bytes(count)
}

fn wait(eventfd: &File) {
    let mut poll = libc::pollfd { fd: eventfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: it is one struct, and the fd is open.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, LONG.as_millis() as i32) }, 1);
}

pub fn interrupt_is_waited_for() {
    let (mut client, mut watcher) = (connect(), connect());
    watcher.watch().unwrap();
    let plain = acquire(&mut client, Acquire::new("nvme/queue"));
    let mut lease = acquire(&mut client, Acquire::new("nvme/wakes"));
    assert!(plain.interrupt.is_none());
    let mut eventfd = File::from(lease.interrupt.take().unwrap());

    // More often than the queue has entries.
    let mut queue = Queue::new(&lease);
    for _ in 0..40 {
        assert_eq!(interrupts(&mut eventfd), 0);
        queue.flush();
        wait(&eventfd);
        assert_ne!(interrupts(&mut eventfd), 0);
        queue.complete();
    }

    for slice in client.slices().unwrap() {
        assert_eq!((slice.memory, slice.interrupt), (1 << 20, slice.name == "nvme/wakes"));
    }
    for info in client.leases().unwrap() {
        let of = if info.id == lease.id { &lease } else { &plain };
        assert_eq!((info.memory, info.interrupt), (1 << 20, info.id == lease.id));
        assert_eq!(info.iova, of.memory.as_ref().unwrap().iova());
    }
    let mut told = Vec::new();
    while told.len() < 2 {
        match watcher.wait_event(Some(LONG)).unwrap() {
            Some(Event::News(News { what: Happened::Granted(lease), .. })) => {
                told.push((lease.id, lease.interrupt));
            }
            Some(_) => {}
            None => panic!("nothing has come"),
        }
    }
    assert_eq!(told, [(plain.id, false), (lease.id, true)]);
}
