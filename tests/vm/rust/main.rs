// SPDX-License-Identifier: MIT
//! The Rust crate against the real module and broker; tests/vm/test_rust.c runs it.
//!
//! ```text
//! rust-tests              lists the tests: a group and a name on each line
//! rust-tests NAME         runs one, which panics if it fails
//! rust-tests child NAME   what a test has started as another user; its stdin is a socket
//! ```

mod broker;
mod device;
mod dma;
mod examples;
mod guard;
mod mapping;
mod passing;
mod queue;
mod support;

/// test_rust.c has the fixtures of groups: for "broker", a broker is running, and for "queues",
/// one that lends queues of an NVMe drive.
const TESTS: &[(&str, &str, fn())] = &[
    ("device", "device_describes_itself", device::describes_itself),
    ("device", "device_that_cannot_be_opened", device::cannot_be_opened),
    ("device", "device_is_busy_until_it_is_dropped", device::busy_until_dropped),
    ("device", "device_from_an_fd", device::from_an_fd),
    ("device", "device_used_by_threads", device::used_by_threads),
    ("device", "device_lists_its_buffers", device::lists_its_buffers),
    ("device", "device_exports_a_buffer", device::exports_a_buffer),
    ("device", "device_events", device::events),
    ("device", "slice_export_errors", device::export_errors),
    ("device", "slice_watched", device::slice_watched),
    ("device", "slice_of_an_fd_that_is_none", device::slice_of_another_fd),
    ("device", "mapping_reaches_registers", mapping::reaches_registers),
    ("device", "mapping_has_all_widths", mapping::has_all_widths),
    ("device", "copies_have_their_width", mapping::copies_have_their_width),
    ("device", "mapping_is_bounded", mapping::is_bounded),
    ("device", "mapping_for_reading", mapping::for_reading),
    ("device", "mapping_of_a_part", mapping::of_a_part),
    ("device", "mapping_ends_when_dropped", mapping::ends_when_dropped),
    ("device", "mapping_goes_on_after_a_reset", mapping::goes_on_after_a_reset),
    ("device", "revoked_slice_is_an_error", mapping::revoked_is_an_error),
    ("device", "revoked_while_threads_read", mapping::revoked_while_threads_read),
    ("device", "guard_of_the_program", guard::of_the_program),
    ("device", "guard_passes_other_signals_on", guard::passes_others_on),
    ("device", "slice_is_passed_on", passing::passed_on),
    ("device", "slice_is_not_received", passing::not_received),
    ("device", "memory_slice", dma::slice),
    ("device", "memory_blocks", dma::blocks),
    ("device", "memory_directions", dma::directions),
    ("device", "memory_of_the_process", dma::process_memory),
    ("device", "memory_that_is_kept", dma::kept),
    ("device", "memory_is_passed_on", dma::passed_on),
    ("device", "memory_errors", dma::errors),
    ("device", "example_owner_and_client", examples::owner_and_client),
    ("broker", "lease_begins_and_ends", broker::begins_and_ends),
    ("broker", "lease_is_refused", broker::refused),
    ("broker", "lease_ends_with_its_time", broker::ends_with_its_time),
    ("broker", "lease_lasts_until_it_is_released", broker::lasts_until_it_is_released),
    ("broker", "lease_ends_with_the_connection", broker::ends_with_the_connection),
    ("broker", "lease_is_asked_for", broker::asked_for),
    ("broker", "lease_is_revoked", broker::revoked),
    ("broker", "broker_is_watched", broker::watched),
    ("broker", "broker_describes_itself", broker::describes_itself),
    ("broker", "broker_that_is_none", broker::none),
    ("broker", "example_client_of_the_broker", examples::client_of_the_broker),
    ("queues", "interrupt_is_waited_for", queue::interrupt_is_waited_for),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            for (group, name, _) in TESTS {
                println!("{group} {name}");
            }
        }
        ["child", "receive"] => passing::child_receives(),
        ["child", "survive"] => broker::child_survives(),
        [name] => match TESTS.iter().find(|test| test.1 == *name) {
            Some(test) => test.2(),
            None => panic!("there is no test {name}"),
        },
        _ => panic!("usage: rust-tests [NAME]"),
    }
}
