/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/names.h"
#include "core/account.h"
#include "core/device.h"
#include "core/lease.h"
#include "devices/devices.h"
#include "shell/metrics_text.h"

#define PREFIX		"vfio_dmabuf_"
#define NR_PHASES	(LEASE_ENDED + 1)
#define NR_STATES	(DEVICE_CLOSING + 1)

static const char *const resources[NR_RESOURCES] = {
	[CLIENTS] = "connections", [LEASES] = "leases", [MEMORY_BYTES] = "memory_bytes",
};
/* Without the answers that refuse nothing. */
static const char *const answers[NR_ANSWERS] = {
	[ANSWER_NO_SLICE] = "no_slice", [ANSWER_BUSY] = "busy", [ANSWER_INVALID] = "invalid",
	[ANSWER_LIMIT] = "limit", [ANSWER_MEMORY_LIMIT] = "memory_limit",
	 [ANSWER_NO_LEASE] = "no_lease", [ANSWER_FORBIDDEN] = "forbidden",
	[ANSWER_DEVICE] = "device", [ANSWER_NO_MEMORY] = "no_memory",
	[ANSWER_NO_CATALOGUE] = "configuration", [ANSWER_EVICTED] = "evicted",
};

/* The format. */

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# TYPE " PREFIX "%s %s\n# HELP " PREFIX "%s %s\n", name, type, name, help);
}

static void label(FILE *out, char before, const char *name, const char *value)
{
	fprintf(out, "%c%s=\"", before, name);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void plain(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, PREFIX "%s %" PRIu64 "\n", name, value);
}

static void labelled(FILE *out, const char *name, const char *key, const char *text, uint64_t value)
{
	fprintf(out, PREFIX "%s", name);
	label(out, '{', key, text);
	fprintf(out, "} %" PRIu64 "\n", value);
}

/* Devices. */

/* A sample of a device, up to its last label. */
static void of_device(FILE *out, const struct metrics_view *view, const char *name, const char *bdf)
{
	const struct catalogue *catalogue = core_catalogue(view->core);
	const struct catalogue_device *device = catalogue ? catalogue_find_device(catalogue, bdf) : NULL;

	fprintf(out, PREFIX "%s", name);
	label(out, '{', "device", device ? device->name : "");
	label(out, ',', "function", bdf);
}

static void write_states(FILE *out, const struct metrics_view *view)
{
	const struct device *device;

	family(out, "device_state", "gauge", "Whether a device is in this state; its slices can be leased while it is open.");
	for (size_t i = 0; (device = core_device(view->core, i)); i++)
		for (unsigned int state = 0; state < NR_STATES; state++) {
			of_device(out, view, "device_state", device->r.bdf);
			label(out, ',', "state", device_phase_name(state));
			fprintf(out, "} %d\n", device->phase == state);
		}
	family(out, "device_suspended", "gauge", "Whether a device is suspended: its registers cannot be accessed now.");
	for (size_t i = 0; (device = core_device(view->core, i)); i++) {
		of_device(out, view, "device_suspended", device->r.bdf);
		fprintf(out, "} %d\n", device->suspended);
	}
}

static void write_workers(FILE *out, const struct metrics_view *view)
{
	struct device_status status;

	family(out, "device_operation_seconds", "gauge", "How long the operation on a device has been running; 0: there is none.");
	fputs("# UNIT " PREFIX "device_operation_seconds seconds\n", out);
	for (size_t i = 0; devices_status(view->devices, i, &status); i++) {
		uint64_t us = status.doing && view->now > status.since ? view->now - status.since : 0;

		of_device(out, view, "device_operation_seconds", status.bdf);
		fprintf(out, "} %" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
	}
	family(out, "device_operations_waiting", "gauge", "Operations on a device that have not begun.");
	for (size_t i = 0; devices_status(view->devices, i, &status); i++) {
		of_device(out, view, "device_operations_waiting", status.bdf);
		fprintf(out, "} %zu\n", status.waiting);
	}
}

/* Leases that have ended have no device, and are not counted here. */
static void write_leases(FILE *out, const struct metrics_view *view)
{
	const struct device *device;
	const struct lease *lease;

	family(out, "leases", "gauge", "Leases of a device, including requests that wait.");
	for (size_t i = 0; (device = core_device(view->core, i)); i++) {
		uint64_t nr[NR_PHASES] = { 0 };

		for (size_t j = 0; (lease = core_lease(view->core, j)); j++)
			if (lease->device == device)
				nr[lease->r.phase]++;
		for (unsigned int phase = LEASE_WAITING; phase < NR_PHASES; phase++) {
			of_device(out, view, "leases", device->r.bdf);
			label(out, ',', "phase", lease_phase_name(phase));
			fprintf(out, "} %" PRIu64 "\n", nr[phase]);
		}
	}
}

/* Limits. */

static void write_totals(FILE *out, const struct metrics_view *view)
{
	const struct accounts *accounts = core_accounts(view->core);
	const struct catalogue *catalogue = core_catalogue(view->core);
	uint64_t used[NR_RESOURCES] = { 0 };

	for (size_t i = 0; i < accounts->table.nr; i++)
		for (int r = 0; r < NR_RESOURCES; r++)
			used[r] += ((const struct account *)accounts->table.items[i])->used[r];
	family(out, "used", "gauge", "What all users use.");
	for (int r = 0; r < NR_RESOURCES; r++)
		labelled(out, "used", "resource", resources[r], used[r]);
	family(out, "limit", "gauge", "What all users together can use.");
	for (int r = 0; r < NR_RESOURCES; r++)
		labelled(out, "limit", "resource", resources[r],
			 catalogue ? catalogue->total[r] : accounts->pool[r]);
	family(out, "pool_used", "gauge", "What users use of the places that are not kept for a user.");
	for (int r = 0; r < NR_RESOURCES; r++)
		labelled(out, "pool_used", "resource", resources[r], accounts->pool_used[r]);
	family(out, "pool_limit", "gauge", "Places that are not kept for a user.");
	for (int r = 0; r < NR_RESOURCES; r++)
		labelled(out, "pool_limit", "resource", resources[r], accounts->pool[r]);
}

static void of_user(FILE *out, const char *name, uint64_t user, const char *resource, uint64_t value)
{
	fprintf(out, PREFIX "%s{user=\"%" PRIu64 "\"", name, user);
	label(out, ',', "resource", resource);
	fprintf(out, "} %" PRIu64 "\n", value);
}

static void write_users(FILE *out, const struct metrics_view *view)
{
	const struct accounts *accounts = core_accounts(view->core);

	family(out, "user_used", "gauge", "What a user uses.");
	for (size_t i = 0; i < accounts->table.nr; i++) {
		const struct account *account = accounts->table.items[i];

		for (int r = 0; r < NR_RESOURCES; r++)
			of_user(out, "user_used", account->user, resources[r], account->used[r]);
	}
	family(out, "user_limit", "gauge", "What a user can use.");
	for (size_t i = 0; i < accounts->table.nr; i++) {
		const struct account *account = accounts->table.items[i];

		for (int r = 0; r < NR_RESOURCES; r++)
			of_user(out, "user_limit", account->user, resources[r],
				 account->kept[r] > accounts->per_user[r] ?
				 account->kept[r] : accounts->per_user[r]);
	}
}

/* Counts. */

static const char *answer_name(unsigned int answer)
{
	return answers[answer];
}

/* Those without a name are not reasons. */
static void write_reasons(FILE *out, const char *name, const char *(*reason)(unsigned int),
			  const uint64_t *values, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (reason(i))
			labelled(out, name, "reason", reason(i), values[i]);
}

static void write_counters(FILE *out, const struct counters *counters)
{
	family(out, "leases_granted", "counter", "Leases granted since the start of the process.");
	plain(out, "leases_granted_total", counters->granted);
	family(out, "leases_ended", "counter", "Leases, and requests that waited, that have ended.");
	write_reasons(out, "leases_ended_total", end_name, counters->ended, NR_ENDS);
	family(out, "refused", "counter", "Requests that were refused immediately, and connections that were closed for others.");
	write_reasons(out, "refused_total", answer_name, counters->refused, NR_ANSWERS);
	family(out, "devices_lost", "counter", "How often a device was lost.");
	plain(out, "devices_lost_total", counters->lost);
}

char *metrics_text(const struct metrics_view *view, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);
	bool failed;

	if (!out)
		return NULL;
	family(out, "grants", "gauge", "Whether the broker has a configuration; without one it grants nothing new.");
	plain(out, "grants", core_catalogue(view->core) != NULL);
	family(out, "configuration_rejected", "gauge", "Whether the configuration had mistakes when it was last read.");
	plain(out, "configuration_rejected", view->rejected);
	write_states(out, view);
	write_workers(out, view);
	write_leases(out, view);
	write_totals(out, view);
	write_users(out, view);
	write_counters(out, view->counters);
	fputs("# EOF\n", out);
	failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}
