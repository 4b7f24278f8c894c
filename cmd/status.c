/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf status: the state of the broker, for people and for monitoring. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common/names.h"
#include "devices.h"
#include "output.h"
#include "table.h"
#include "target.h"

/* What is printed, in this order. */
struct report {
	struct vdb_status status;
	json_t *devices;	/* NULL: only administrators receive them */
	json_t *leases;		/* the number in each phase, and of interrupts that are granted */
	json_t *accounts;
	bool device_missing;
};

static void count(json_t *leases, const char *phase)
{
	json_t *number = json_object_get(leases, phase);

	json_integer_set(number, json_integer_value(number) + 1);
}

static bool on_lease(const struct vdb_lease_info *info, void *data)
{
	if (info->phase >= VDB_LEASE_WAITING && info->phase <= VDB_LEASE_ENDED)
		count(data, lease_phase_name(info->phase));
	if (info->phase == VDB_LEASE_GRANTED && info->interrupt)
		count(data, "interrupts");
	return true;
}

static bool on_device(const struct vdb_device_info *info, void *data)
{
	struct report *report = data;

	/* A device that is no longer configured is closed when its leases have ended. */
	if (*info->name && info->phase != VDB_DEVICE_OPEN)
		report->device_missing = true;
	return devices_add(info, report->devices);
}

/* Four fifths of its limit. */
static bool is_near(const struct vdb_share *share)
{
	return share->limit && share->used >= share->limit - share->limit / 5;
}

static json_t *json_share(const struct vdb_share *share)
{
	return json_pack("{s:I,s:I,s:I,s:b}", "used", (json_int_t)share->used,
			 "kept", (json_int_t)share->kept, "limit", (json_int_t)share->limit,
			 "near_limit", is_near(share));
}

static json_t *json_memory_share(const struct vdb_memory_share *share)
{
	return json_pack("{s:I,s:I,s:I,s:b}", "used", (json_int_t)share->used,
			 "kept", (json_int_t)share->kept, "limit", (json_int_t)share->limit,
			 "near_limit", share->limit && share->used >= share->limit - share->limit / 5);
}

static bool on_account(const struct vdb_account_info *info, void *data)
{
	json_array_append_new(data, json_pack("{s:I,s:o,s:o,s:o}", "user", (json_int_t)info->user,
					      "connections", json_share(&info->clients),
					      "leases", json_share(&info->leases),
					      "memory", json_memory_share(&info->memory)));
	return true;
}

static int ask(struct vdb_client *client, struct report *report)
{
	if (vdb_client_status(client, &report->status))
		return -1;
	report->leases = json_pack("{s:i,s:i,s:i,s:i,s:i,s:i}", "waiting", 0, "exporting", 0,
				   "granted", 0, "ending", 0, "ended", 0, "interrupts", 0);
	report->accounts = json_array();
	if (vdb_client_leases(client, on_lease, report->leases) ||
	    vdb_client_accounts(client, on_account, report->accounts))
		return -1;
	if (!report->status.admin)
		return 0;
	report->devices = json_array();
	return vdb_client_devices(client, on_device, report);
}

/* ---- JSON ---- */

static json_t *json_total(const struct report *report, const struct vdb_total *total)
{
	json_t *value = json_pack("{s:I}", "per_user", (json_int_t)total->per_user);

	if (report->status.admin)
		json_object_update_new(value, json_pack(
			"{s:I,s:I,s:I,s:I}", "used", (json_int_t)total->used,
			"limit", (json_int_t)total->limit, "pool_used", (json_int_t)total->pool_used,
			"pool", (json_int_t)total->pool));
	return value;
}

static json_t *json_memory_total(const struct report *report)
{
	const struct vdb_memory_total *total = &report->status.memory;
	json_t *value = json_pack("{s:I,s:I}", "per_user", (json_int_t)total->per_user,
				  "per_connection", (json_int_t)total->per_client);

	if (report->status.admin)
		json_object_update_new(value, json_pack(
			"{s:I,s:I,s:I,s:I}", "used", (json_int_t)total->used,
			"limit", (json_int_t)total->limit, "pool_used", (json_int_t)total->pool_used,
			"pool", (json_int_t)total->pool));
	return value;
}

static json_t *json_report(struct report *report)
{
	const struct vdb_status *status = &report->status;
	json_t *leases = json_total(report, &status->leases);

	json_object_update(leases, report->leases);
	json_object_set_new(leases, "per_connection", json_integer(status->leases_per_client));
	return json_pack("{s:b,s:b,s:o,s:o,s:o,s:o,s:O?,s:O}", "grants", status->grants, "admin", status->admin,
			 "problem", json_text(status->problem), "connections", json_total(report, &status->clients),
			 "leases", leases, "memory", json_memory_total(report), "devices", report->devices, "accounts", report->accounts);
}

/* ---- for people ---- */

static json_int_t number_of(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_broker(const struct vdb_status *status)
{
	const char *what = status->grants ? "it grants leases" : "it grants nothing new";

	if (*status->problem)
		printf("broker: %s, but the configuration is rejected: %s\n", what, status->problem);
	else if (status->grants)
		printf("broker: %s\n", what);
	else
		printf("broker: %s: the configuration has mistakes; see journalctl -u vfio-dmabufd\n", what);
}

static void add_total(struct table *table, const char *what, const struct vdb_status *status,
		      const struct vdb_total *total)
{
	table_add(table, "%s", what);
	if (status->admin) {
		table_add(table, "%u", total->used);
		table_add(table, "%u", total->limit);
		table_add(table, "%u", total->pool_used);
		table_add(table, "%u", total->pool);
	}
	table_add(table, "%u", total->per_user);
}

static void add_memory_total(struct table *table, const struct vdb_status *status)
{
	const struct vdb_memory_total *total = &status->memory;

	table_add(table, "memory");
	if (status->admin) {
		table_add(table, "%s", human_size(total->used));
		table_add(table, "%s", human_size(total->limit));
		table_add(table, "%s", human_size(total->pool_used));
		table_add(table, "%s", human_size(total->pool));
	}
	table_add(table, "%s", human_size(total->per_user));
}

static void print_totals(const struct vdb_status *status)
{
	static const char *const columns[] = { "WHAT", ">USED", ">LIMIT", ">POOL USED", ">POOL", ">LIMIT PER USER", NULL };
	static const char *const columns_of_others[] = { "WHAT", ">LIMIT PER USER", NULL };
	struct table table;

	table_begin(&table, status->admin ? columns : columns_of_others);
	add_total(&table, "connections", status, &status->clients);
	add_total(&table, "leases", status, &status->leases);
	add_memory_total(&table, status);
	table_end(&table, stdout);
}

static void add_share(struct table *table, json_t *share)
{
	table_add(table, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT "%s", number_of(share, "used"),
		  number_of(share, "limit"),
		  json_is_true(json_object_get(share, "near_limit")) ? " (near the limit)" : "");
}

static void add_memory_share(struct table *table, json_t *share)
{
	char used[32];

	/* The text of human_size() is valid until its next call. */
	snprintf(used, sizeof(used), "%s", human_size(number_of(share, "used")));
	table_add(table, "%s of %s%s", used, human_size(number_of(share, "limit")),
		  json_is_true(json_object_get(share, "near_limit")) ? " (near the limit)" : "");
}

/* An administrator sees many accounts: prints those that are near a limit. */
static void print_accounts(json_t *accounts, bool all)
{
	static const char *const columns[] = { "USER", "CONNECTIONS", "LEASES", "MEMORY", NULL };
	struct table table;
	json_t *account;
	size_t i;

	table_begin(&table, columns);
	json_array_foreach(accounts, i, account) {
		json_t *connections = json_object_get(account, "connections");
		json_t *leases = json_object_get(account, "leases");
		json_t *memory = json_object_get(account, "memory");

		if (!all && !json_is_true(json_object_get(connections, "near_limit")) &&
		    !json_is_true(json_object_get(leases, "near_limit")) &&
		    !json_is_true(json_object_get(memory, "near_limit")))
			continue;
		table_add(&table, "%" JSON_INTEGER_FORMAT, number_of(account, "user"));
		add_share(&table, connections);
		add_share(&table, leases);
		add_memory_share(&table, memory);
	}
	if (table.nr_rows)
		putchar('\n');
	table_end(&table, stdout);
}

static void print_report(struct report *report)
{
	const struct vdb_status *status = &report->status;

	print_broker(status);
	if (status->admin)
		printf("leases: %" JSON_INTEGER_FORMAT " granted, %" JSON_INTEGER_FORMAT " waiting, %"
		       JSON_INTEGER_FORMAT " ending; interrupts: %" JSON_INTEGER_FORMAT "\n",
		       number_of(report->leases, "granted"), number_of(report->leases, "waiting"),
		       number_of(report->leases, "ending"), number_of(report->leases, "interrupts"));
	putchar('\n');
	print_totals(status);
	if (json_array_size(report->devices)) {
		putchar('\n');
		devices_print(report->devices);
	}
	print_accounts(report->accounts, !status->admin);
}

int cmd_status(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Shows the state of the broker: its configuration, devices and limits, and the users"
		       " that are near a limit. The exit status is 1 if something is wrong."
		       "\vOnly administrators of the broker see devices and what other users use. Others"
		       " see what they use themselves.",
	};
	struct report report = { .device_missing = false };
	struct vdb_client *client;
	int ret;

	parse_command(&argp, argc, argv, 0, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	ret = ask(client, &report);
	if (ret)
		ret = fail("the broker cannot be asked for its status: %s", vdb_client_error(client)[0] ?
			   vdb_client_error(client) : strerror(errno));
	else if (common.json)
		print_json(json_report(&report));
	else
		print_report(&report);
	if (!ret && (!report.status.grants || *report.status.problem || report.device_missing))
		ret = STATUS_FAILED;
	vdb_client_close(client);
	json_decref(report.devices);
	json_decref(report.leases);
	json_decref(report.accounts);
	return ret;
}
