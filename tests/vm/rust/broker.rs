// SPDX-License-Identifier: MIT
//! Clients of the broker, with the configuration of support/lender.c.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use vfio_dmabuf::{
    AccessError, Acquire, Client, DevicePhase, End, ErrorKind, Event, Flags, Happened, Lease,
    LeaseId, LeaseNews, LeasePhase, News, RequestId, State,
};

use crate::support::*;

pub const SOCKET: &str = "/tmp/broker.socket";
/// A time limit for an emulated machine.
pub const LONG: Duration = Duration::from_secs(60);

pub fn connect() -> Client {
    Client::connect_to(SOCKET, Some(LONG)).unwrap()
}

/// A device is opened in the background.
pub fn acquire(client: &mut Client, request: Acquire) -> Lease {
    loop {
        match client.acquire(&request) {
            Ok(lease) => return lease,
            Err(error) if error.kind() == ErrorKind::WrongDevice => {}
            Err(error) => panic!("{error}"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The end of a lease; skips events that say that it is suspended or live.
fn expect_end(client: &mut Client, wanted: LeaseId) -> Option<End> {
    loop {
        match client.wait_event(Some(LONG)).unwrap() {
            Some(Event::State { lease, state: State::Revoked, end }) if lease == wanted => {
                return end;
            }
            Some(Event::State { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub fn begins_and_ends() {
    let mut client = connect();
    let mut lease = acquire(&mut client, Acquire::new("edu/page"));
    let mapping = map(&lease.slice);

    assert_eq!((lease.index, lease.time), (0, None));
    assert_eq!(lease.slice.bdf(), Some(bdf("EDU").as_str()));
    assert_eq!(lease.slice.state().unwrap().0, State::Live);
    assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));
    client.release(lease.id).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));
    assert_eq!(lease.slice.state().unwrap().0, State::Revoked);
    assert_eq!(client.release(lease.id).unwrap_err().kind(), ErrorKind::NotFound);

    let lease = acquire(&mut client, Acquire::new("mem/wc"));
    assert_eq!((lease.slice.bar(), lease.slice.flags()), (2, Flags::WRITE_COMBINING));
    let lease = acquire(&mut client, Acquire::new("edu/shared").read_only());
    assert_eq!(lease.slice.flags(), Flags::READ_ONLY);
    let any = acquire(&mut client, Acquire::new("edu/array").any_index());
    let third = acquire(&mut client, Acquire::new("edu/array").index(3));
    assert_eq!((any.index, third.index, third.slice.offset()), (0, 3, (32 + 3 * 4) << 10));
}

pub fn refused() {
    let (mut client, mut other) = (connect(), connect());
    let _lease = acquire(&mut client, Acquire::new("edu/page"));
    let second = Duration::from_secs(1);
    for (request, kind) in [
        (Acquire::new("edu/none"), ErrorKind::NotFound),
        (Acquire::new("edu/page\0"), ErrorKind::NotFound),
        (Acquire::new("edu/page"), ErrorKind::Busy),
        (Acquire::new("edu/page").wait(second), ErrorKind::TimedOut),
        (Acquire::new("edu/array").index(8), ErrorKind::InvalidInput),
        (Acquire::new("edu/short").time(2 * second), ErrorKind::InvalidInput),
    ] {
        let error = other.acquire(&request).unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}: {error}");
        assert!(!error.reason().is_empty(), "{request:?}");
    }

    let _four: Vec<_> =
        (0..4).map(|i| acquire(&mut other, Acquire::new("edu/array").index(i))).collect();
    let error = other.acquire(&Acquire::new("edu/array").index(4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitReached);
    let error = std::io::Error::from(error);
    assert!(error.to_string().starts_with("acquiring a slice: "), "{error}");
}

pub fn ends_with_its_time() {
    let mut client = connect();
    let lease = acquire(&mut client, Acquire::new("edu/short"));
    let mapping = map(&lease.slice);

    assert_eq!(lease.time, Some(Duration::from_secs(1)));
    assert_eq!(expect_end(&mut client, lease.id), Some(End::Expired));
    assert_eq!(mapping.read_u32(0), Err(AccessError::Unreachable));
    assert_eq!(client.renew(lease.id, None).unwrap_err().kind(), ErrorKind::NotFound);

    let hour = Duration::from_secs(3600);
    let lease = acquire(&mut client, Acquire::new("edu/page").time(hour));
    assert_eq!(lease.time, Some(hour));
    assert_eq!(client.renew(lease.id, Some(2 * hour)).unwrap(), Some(2 * hour));
    assert_eq!(client.renew(lease.id, None).unwrap(), None);
    assert!(client.next_event().unwrap().is_none());
}

/// The broker does not see what a client does with the slice.  Dropping it does not end the lease.
pub fn lasts_until_it_is_released() {
    let (mut client, mut other) = (connect(), connect());
    let lease = acquire(&mut client, Acquire::new("edu/page"));
    let (id, mapping) = (lease.id, map(&lease.slice));

    drop(lease);
    assert_eq!(mapping.read_u32(EDU_ID), Ok(EDU_ID_VALUE));
    drop(mapping);
    assert_eq!(other.acquire(&Acquire::new("edu/page")).unwrap_err().kind(), ErrorKind::Busy);
    client.release(id).unwrap();
    let _lease = other.acquire(&Acquire::new("edu/page").wait(LONG)).unwrap();
    assert!(client.next_event().unwrap().is_none());
}

pub fn ends_with_the_connection() {
    let (mut client, mut other) = (connect(), connect());
    let lease = acquire(&mut client, Acquire::new("edu/page"));
    let mapping = map(&lease.slice);

    drop(client);
    let _lease = other.acquire(&Acquire::new("edu/page").wait(LONG)).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));
}

fn expect_granted(client: &mut Client, wanted: RequestId) -> Lease {
    match client.wait_event(Some(LONG)).unwrap() {
        Some(Event::Granted { request, lease }) if request == wanted => lease,
        other => panic!("{other:?}"),
    }
}

pub fn asked_for() {
    let (mut client, mut other) = (connect(), connect());
    let held = acquire(&mut client, Acquire::new("edu/page"));

    let request = other.acquire_start(&Acquire::new("edu/page").wait(LONG)).unwrap();
    let cancelled = other.acquire_start(&Acquire::new("edu/page").wait(LONG)).unwrap();
    assert_ne!(request, cancelled);
    assert!(other.wait_event(Some(Duration::from_millis(1))).unwrap().is_none());
    other.cancel(cancelled).unwrap();
    assert_eq!(other.cancel(cancelled).unwrap_err().kind(), ErrorKind::NotFound);
    client.release(held.id).unwrap();
    let lease = expect_granted(&mut other, request);
    assert_eq!(map(&lease.slice).read_u32(EDU_ID), Ok(EDU_ID_VALUE));

    let refused = other.acquire_start(&Acquire::new("edu/none")).unwrap();
    match other.wait_event(Some(LONG)).unwrap() {
        Some(Event::Refused { request, error }) => {
            assert_eq!((request, error.kind()), (refused, ErrorKind::NotFound));
            assert!(!error.reason().is_empty());
        }
        event => panic!("{event:?}"),
    }
}

pub fn revoked() {
    let (mut client, mut admin) = (connect(), connect());
    let lease = acquire(&mut client, Acquire::new("edu/page"));
    let mapping = map(&lease.slice);

    admin.revoke(lease.id).unwrap();
    assert_eq!(mapping.read_u32(EDU_ID), Err(AccessError::Unreachable));
    assert_eq!(expect_end(&mut client, lease.id), Some(End::Revoked));
    assert_eq!(admin.revoke(LeaseId(u64::MAX)).unwrap_err().kind(), ErrorKind::NotFound);
}

/// The next news of a lease; devices are opened at any time.
fn expect_news(client: &mut Client, wanted: LeaseId) -> (LeaseNews, Option<End>, bool) {
    for event in client.events() {
        match event.unwrap() {
            Event::News(News { what: Happened::Granted(lease), time, .. })
                if lease.id == wanted =>
            {
                assert!(time.is_some());
                return (lease, None, false);
            }
            Event::News(News { what: Happened::Renewed(lease), .. }) if lease.id == wanted => {
                return (lease, None, true);
            }
            Event::News(News { what: Happened::Ended(lease, end), .. }) if lease.id == wanted => {
                return (lease, Some(end), false);
            }
            Event::News(_) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("the events ended");
}

pub fn watched() {
    let (mut client, mut watcher) = (connect(), connect());
    watcher.watch().unwrap();
    let hour = Duration::from_secs(3600);
    let lease = acquire(&mut client, Acquire::new("edu/array").index(2).time(hour));

    let (granted, end, _) = expect_news(&mut watcher, lease.id);
    assert_eq!((granted.name.as_str(), granted.index, end), ("edu/array", 2, None));
    assert_eq!((granted.bdf, granted.bar, granted.length), (bdf("EDU"), 0, page_size()));
    assert_eq!((granted.offset, granted.flags), (lease.slice.offset(), Flags::default()));
    assert_eq!((granted.pid, granted.uid, granted.time), (std::process::id(), 0, Some(hour)));
    assert!(!granted.client.is_empty());
    client.renew(lease.id, Some(2 * hour)).unwrap();
    let (renewed, _, was_renewed) = expect_news(&mut watcher, lease.id);
    assert!(was_renewed && renewed.time == Some(2 * hour));
    client.release(lease.id).unwrap();
    assert_eq!(expect_news(&mut watcher, lease.id).1, Some(End::Released));

    // Its own events and the news come together.
    let lease = acquire(&mut watcher, Acquire::new("edu/short"));
    let (mut ended, mut told) = (None, None);
    while ended.is_none() || told.is_none() {
        match watcher.wait_event(Some(LONG)).unwrap() {
            Some(Event::State { state: State::Revoked, end, .. }) => ended = end,
            Some(Event::News(News { what: Happened::Ended(news, end), .. })) => {
                assert_eq!(news.id, lease.id);
                told = Some(end);
            }
            Some(_) => {}
            None => panic!("nothing has come"),
        }
    }
    assert_eq!((ended, told), (Some(End::Expired), Some(End::Expired)));
    // A client that does not watch is told nothing.
    assert!(client.next_event().unwrap().is_none());
}

pub fn describes_itself() {
    let mut client = connect();
    let lease = acquire(&mut client, Acquire::new("edu/array").index(2));

    let slices = client.slices().unwrap();
    let array = slices.iter().find(|slice| slice.name == "edu/array").unwrap();
    assert_eq!((array.bar, array.offset, array.length), (0, 8 * page_size(), page_size()));
    assert_eq!((array.count, array.free, array.waiting), (8, 7, 0));
    assert!(array.exclusive && array.bdf == bdf("EDU"));
    assert_eq!((array.max_time, array.device), (None, DevicePhase::Open));
    let short = slices.iter().find(|slice| slice.name == "edu/short").unwrap();
    assert_eq!(short.max_time, Some(Duration::from_secs(1)));

    let leases = client.leases().unwrap();
    assert_eq!(leases.len(), 1);
    assert_eq!((leases[0].id, leases[0].index), (lease.id, 2));
    assert_eq!((leases[0].pid, leases[0].uid), (std::process::id(), 0));
    assert_eq!((leases[0].name.as_str(), leases[0].phase), ("edu/array", LeasePhase::Granted));
    assert_eq!((leases[0].state, leases[0].end, leases[0].time), (State::Live, None, None));
    assert_eq!(leases[0].offset, lease.slice.offset());

    let devices = client.devices().unwrap();
    let edu = devices.iter().find(|device| device.name == "edu").unwrap();
    assert_eq!((edu.phase, edu.leases, edu.suspended), (DevicePhase::Open, 1, false));
    assert_eq!((edu.bdf.as_str(), edu.reason.as_str()), (bdf("EDU").as_str(), ""));
    let accounts = client.accounts().unwrap();
    let root = accounts.iter().find(|account| account.user == 0).unwrap();
    assert_eq!((root.clients.used, root.leases.used, root.leases.kept), (1, 1, 4));

    let status = client.status().unwrap();
    assert!(status.grants && status.admin && status.problem.is_empty());
    assert_eq!((status.devices, status.leases_per_client), (3, 4));
    assert_eq!((status.clients.limit, status.leases.used), (13, 1));
    client.reload().unwrap();
}

/// The program for tests/vm/support/survivor.h: prints a byte for each successful round.
pub fn child_survives() {
    // Whichever thread fails: the others would go on.
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        say(info);
        std::process::exit(1);
    }));

    let mut client = connect();
    let lease = client.acquire(&Acquire::new("edu/page").wait(LONG)).unwrap();
    // A broker that is killed between its answer and noting that down ends the lease.
    client.leases().unwrap();
    let mapping = map(&lease.slice);
    let reads = [const { AtomicU64::new(0) }; 2];

    thread::scope(|scope| {
        for count in &reads {
            let register = mapping.register::<u32>(EDU_ID).unwrap();
            scope.spawn(move || loop {
                assert_eq!(register.read(), Ok(EDU_ID_VALUE));
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        let seen = || reads.each_ref().map(|count| count.load(Ordering::Relaxed));
        for index in 0.. {
            let before = seen();
            while seen().iter().zip(before).any(|(now, then)| *now <= then) {
                thread::sleep(Duration::from_millis(1));
            }
            let request = Acquire::new("edu/array").index(index % 8).wait(LONG);
            let granted = client.acquire(&request).unwrap();
            map(&granted.slice).read_u32(0).unwrap();
            assert_eq!(client.renew(lease.id, None).unwrap(), None);
            client.release(granted.id).unwrap();
            std::io::stdout().write_all(b".").unwrap();
            std::io::stdout().flush().unwrap();
            std::io::stdin().read_exact(&mut [0]).unwrap();
        }
    });
}

pub fn none() {
    let error = Client::connect_to("/tmp/nobody.socket", Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = Client::connect_to("/etc/lab.env", Some(LONG)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    assert!(!error.reason().is_empty(), "{error}");
    assert!(std::io::Error::from(error).to_string().starts_with("connecting to the broker: "));
}
