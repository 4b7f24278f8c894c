/* SPDX-License-Identifier: MIT */
#include <linux/vfio_dmabuf.h>
#include <string.h>
#include <vfio-dmabuf.h>

#include "check.h"
#include "schema.h"

#define MSEC	1000ULL
#define SEC	(1000 * MSEC)
#define HOUR	(3600 * SEC)
#define DAY	(24 * HOUR)

#define NR(array)	(sizeof(array) / sizeof((array)[0]))
#define OF(type, member)	.offset = offsetof(struct type, member)
#define SECTION(of)	.settings = (of), .nr = NR(of)

static const char *const no_yes[] = { "false", "true", NULL };
static const char *const sharings[] = { "shared", "exclusive", NULL };
static const char *const cachings[] = { "uncached", "write-combining", NULL };
/* In the order of enum reset_when. */
static const char *const resets[] = { "never", "idle", "always", NULL };
/* In the order of enum driver_kind. */
static const char *const drivers[] = { "generic", "nvme", NULL };
static const char *const widths[] = { "8", "16", "32", "64", NULL };

static const struct setting rule_settings[] = {
	{ "users", KIND_USERS, .doc = "Users, by name or uid." },
	{ "groups", KIND_GROUPS, .doc = "Groups, by name or gid. Supplementary groups count." },
	{ "units", KIND_UNITS,
	  .doc = "Units of the system's service manager, with their type, as in a.service." },
	{ "cgroups", KIND_CGROUPS, .doc = "Cgroups, as paths from /; all cgroups below are included." },
};

static const struct section rule_section = {
	.title = "allow and admins", SECTION(rule_settings),
};

static const struct setting write_settings[] = {
	{ "offset", KIND_SIZE, OF(register_write, offset), .required = true, .high = UINT64_MAX,
	  .doc = "Where the register is, in bytes from the start of the slice." },
	{ "width", KIND_WORD, OF(register_write, width), .value = "32", .words = widths,
	  .doc = "Bits of the register: 8, 16, 32 or 64." },
	{ "value", KIND_NUMBER, OF(register_write, value), .required = true, .high = UINT64_MAX,
	  .doc = "What to write." },
};

static const struct section write_section = {
	.title = "on_release", SECTION(write_settings),
	.size = sizeof(struct register_write), .check = check_write,
};

static const struct setting slice_settings[] = {
	{ "bar", KIND_COUNT, OF(written_slice, slice.bar), .value = "0", .high = VDB_BARS - 1,
	  .doc = "The BAR." },
	{ "offset", KIND_SIZE, OF(written_slice, slice.offset), .value = "0",
	  .high = VFIO_DMABUF_MAX_END,
	  .doc = "Where the slice begins in the BAR, in bytes." },
	{ "length", KIND_SIZE, OF(written_slice, slice.length), .required = true, .low = 1,
	  .high = VFIO_DMABUF_MAX_END, .doc = "Bytes of the slice." },
	{ "count", KIND_COUNT, OF(written_slice, slice.count), .value = "1", .low = 1, .high = 4096,
	  .doc = "Number of consecutive slices of that length." },
	{ "sharing", KIND_FLAG, OF(written_slice, slice.flags), .value = "exclusive",
	  .words = sharings, .low = SLICE_EXCLUSIVE,
	  .doc = "Whether other clients can have the same bytes at the same time." },
	{ "read_only", KIND_FLAG, OF(written_slice, slice.flags), .value = "false",
	  .words = no_yes, .low = SLICE_READ_ONLY,
	  .doc = "If true, clients cannot map the slice writable." },
	{ "caching", KIND_FLAG, OF(written_slice, slice.flags), .value = "uncached",
	  .words = cachings, .low = SLICE_WC, .doc = "How clients' mappings are cached." },
	{ "memory", KIND_SIZE, OF(written_slice, slice.memory), .value = "0",
	  .high = 1ULL << 40, .doc = "Bytes of memory for the device's DMA that each lease gets." },
	{ "depth", KIND_COUNT, OF(written_slice, slice.depth), .value = "64", .low = 1, .high = 4096,
	  .doc = "Commands that can be outstanding in a queue. Only driver nvme uses it." },
	{ "interrupt", KIND_FLAG, OF(written_slice, slice.flags), .value = "false",
	  .words = no_yes, .low = SLICE_INTERRUPT,
	  .doc = "If true, each lease gets an eventfd for the interrupt of its queue. Only driver nvme has it." },
	{ "max_time", KIND_SECONDS, OF(written_slice, slice.max_seconds), .value = "never",
	  .high = 3650 * DAY, .doc = "The time after which a lease expires." },
	{ "allow", KIND_RULE, OF(written_slice, slice.rule), .section = &rule_section,
	  .doc = "Who can lease the slice." },
	{ "on_release", KIND_LIST, OF(written_slice, on_release), .section = &write_section,
	  .doc = "Registers that the broker writes when a lease ends, in this order." },
};

static const struct section slice_section = {
	.title = "a slice", SECTION(slice_settings),
	.size = sizeof(struct written_slice), .named = true, .check = check_slice,
};

static const struct setting device_settings[] = {
	{ "function", KIND_FUNCTION, OF(written_device, bdf), .required = true, .shared = true,
	  .doc = "The PCI function, such as 0000:01:00.0." },
	{ "driver", KIND_WORD, OF(written_device, driver), .value = "generic", .words = drivers,
	  .doc = "What prepares the device and its leases." },
	{ "reset", KIND_WORD, OF(written_device, reset), .value = "idle", .words = resets,
	  .doc = "When the broker resets the device." },
	{ "patience", KIND_DURATION, OF(written_device, patience), .value = "30s",
	  .low = 100 * MSEC, .high = HOUR,
	  .doc = "How long an operation on the device can take." },
	{ "vf_token", KIND_UUID, OF(written_device, vf_token),
	  .doc = "The UUID that the owner of the physical function has set." },
	{ "slices", KIND_NAMED, OF(written_device, slices), .section = &slice_section,
	  .shared = true, .doc = "Slices of the device that clients can lease, by name." },
};

static const struct section device_section = {
	.title = "a device", SECTION(device_settings),
	.size = sizeof(struct written_device), .named = true, .check = check_device,
};

static const struct setting kept_settings[] = {
	{ "connections", KIND_NUMBER, OF(kept, places[CLIENTS]), .value = "0", .high = 65536,
	  .doc = "Connections that only this user can have." },
	{ "leases", KIND_NUMBER, OF(kept, places[LEASES]), .value = "0", .high = 1048576,
	  .doc = "Leases that only this user can have." },
	{ "memory", KIND_SIZE, OF(kept, places[MEMORY_BYTES]), .value = "0", .high = 1ULL << 50,
	  .doc = "Bytes of memory for DMA that only this user can have." },
};

static const struct section kept_section = {
	.title = "kept", SECTION(kept_settings),
	.size = sizeof(struct kept), .check = check_kept,
};

static const struct setting limit_settings[] = {
	{ "connections", KIND_NUMBER, OF(settings, catalogue.total[CLIENTS]), .value = "64",
	  .low = 1, .high = 65536, .doc = "Connections of all clients together." },
	{ "connections_per_user", KIND_NUMBER, OF(settings, catalogue.per_user[CLIENTS]),
	  .value = "16", .low = 1, .high = 65536, .doc = "Connections of one user." },
	{ "leases", KIND_NUMBER, OF(settings, catalogue.total[LEASES]), .value = "1024",
	  .low = 1, .high = 1048576,
	  .doc = "Leases of all clients together. Requests that wait count as leases." },
	{ "leases_per_user", KIND_NUMBER, OF(settings, catalogue.per_user[LEASES]),
	  .value = "64", .low = 1, .high = 1048576, .doc = "Leases of one user." },
	{ "leases_per_connection", KIND_COUNT, OF(settings, catalogue.leases_per_client),
	  .value = "16", .low = 1, .high = 1048576, .doc = "Leases of one connection." },
	{ "memory", KIND_SIZE, OF(settings, catalogue.total[MEMORY_BYTES]), .value = "256M",
	  .high = 1ULL << 50, .doc = "Bytes of memory for DMA of all clients together." },
	{ "memory_per_user", KIND_SIZE, OF(settings, catalogue.per_user[MEMORY_BYTES]),
	  .value = "64M", .high = 1ULL << 50, .doc = "Bytes of memory for DMA of one user." },
	{ "memory_per_connection", KIND_SIZE, OF(settings, catalogue.memory_per_client),
	  .value = "64M", .high = 1ULL << 50, .doc = "Bytes of memory for DMA of one connection." },
	{ "hello_time", KIND_DURATION, OF(settings, connections.hello_time), .value = "10s",
	  .low = 100 * MSEC, .high = HOUR,
	  .doc = "How long the broker waits for the first message of a connection." },
	{ "idle_time", KIND_DURATION, OF(settings, connections.idle_time), .value = "never",
	  .high = 3650 * DAY,
	  .doc = "The time after which the broker closes a connection without leases and requests." },
	{ "request_rate", KIND_COUNT, OF(settings, connections.request_rate), .value = "50",
	  .low = 1, .high = 1000000,
	  .doc = "Requests per second of one user. The broker reads further requests later." },
	{ "request_burst", KIND_COUNT, OF(settings, connections.request_burst), .value = "100",
	  .low = 1, .high = 1000000,
	  .doc = "Requests that a user can send at once after a pause." },
	{ "fds_per_user", KIND_COUNT, OF(settings, connections.fds_per_user), .value = "32",
	  .low = 4, .high = 65536,
	  .doc = "File descriptors that all connections of one user have not received yet." },
};

static const struct section limit_section = { .title = "limits", SECTION(limit_settings) };

static const struct setting log_list[] = {
	{ "lines_per_minute", KIND_COUNT, OF(settings, log.lines_per_minute), .value = "10",
	  .low = 1, .high = 100000,
	  .doc = "Log lines that one user can cause. The broker counts the others." },
};

static const struct section log_section = { .title = "log", SECTION(log_list) };

static const struct setting metrics_list[] = {
	{ "file", KIND_PATH, OF(settings, metrics.file), .high = SETTINGS_PATH,
	  .doc = "A file that the broker writes metrics to, for node_exporter's textfile collector." },
	{ "interval", KIND_DURATION, OF(settings, metrics.interval), .value = "15s",
	  .low = SEC, .high = HOUR, .doc = "How often the broker writes the file." },
	{ "socket", KIND_PATH, OF(settings, metrics.socket), .high = SETTINGS_SOCKET,
	  .doc = "A socket from which metrics can be read." },
};

static const struct section metrics_section = { .title = "metrics", SECTION(metrics_list) };

static const struct setting all_settings[] = {
	{ "admins", KIND_RULE, OF(written, settings.catalogue.admins), .section = &rule_section,
	  .shared = true,
	  .doc = "Who can see all leases and devices, renew and revoke leases, and reload the configuration. "
	 "Root always can." },
	{ "limits", KIND_SECTION, OF(written, settings), .section = &limit_section, .shared = true,
	  .doc = "What clients can use." },
	{ "kept", KIND_NAMED, OF(written, kept), .section = &kept_section, .shared = true,
	  .doc = "Places that only this user can take, by user." },
	{ "log", KIND_SECTION, OF(written, settings), .section = &log_section, .shared = true,
	  .doc = "What the broker logs." },
	{ "metrics", KIND_SECTION, OF(written, settings), .section = &metrics_section,
	  .shared = true, .doc = "Where the broker exports metrics, in the OpenMetrics format." },
	{ "devices", KIND_NAMED, OF(written, devices), .section = &device_section, .shared = true,
	  .doc = "Devices that the broker owns, by name." },
};

const struct section schema = {
	.title = "the configuration", SECTION(all_settings),
	.size = sizeof(struct written), .check = check_all,
};

const struct section *schema_section(size_t i)
{
	static const struct section *const sections[] = {
		&schema, &limit_section, &kept_section, &log_section, &metrics_section,
		&device_section, &slice_section, &rule_section, &write_section,
	};

	return i < NR(sections) ? sections[i] : NULL;
}

const struct setting *schema_find(const struct section *section, const char *name)
{
	for (size_t i = 0; i < section->nr; i++)
		if (!strcmp(section->settings[i].name, name))
			return &section->settings[i];
	return NULL;
}
