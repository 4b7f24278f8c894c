/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf status: how the broker is, for people and for monitoring. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common/names.h"
#include "output.h"
#include "target.h"

/* What there is to say, in the order in which it is printed. */
struct report {
	struct vdb_status status;
	json_t *devices;	/* NULL: only an administrator is told */
	json_t *leases;		/* how many of each phase */
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
	return true;
}

static bool on_device(const struct vdb_device_info *info, void *data)
{
	struct report *report = data;

	/* One that the configuration has no more is closed when its leases have ended. */
	if (*info->name && info->phase != VDB_DEVICE_OPEN)
		report->device_missing = true;
	json_array_append_new(report->devices, json_pack(
		"{s:s,s:s,s:s,s:b,s:I,s:I,s:s}", "name", info->name, "bdf", info->bdf,
		"state", device_phase_name(info->phase), "suspended", info->suspended,
		"leases", (json_int_t)info->leases, "waiting", (json_int_t)info->waiting,
		"reason", info->reason));
	return true;
}

/* Four fifths of what it may have. */
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

static bool on_account(const struct vdb_account_info *info, void *data)
{
	json_array_append_new(data, json_pack("{s:I,s:o,s:o}", "owner", (json_int_t)info->owner,
					      "connections", json_share(&info->clients),
					      "leases", json_share(&info->leases)));
	return true;
}

static int ask(struct vdb_client *client, struct report *report)
{
	if (vdb_client_status(client, &report->status))
		return -1;
	report->leases = json_pack("{s:i,s:i,s:i,s:i,s:i}", "waiting", 0, "exporting", 0,
				   "granted", 0, "ending", 0, "ended", 0);
	report->accounts = json_array();
	if (vdb_client_leases(client, on_lease, report->leases) ||
	    vdb_client_accounts(client, on_account, report->accounts))
		return -1;
	if (!report->status.admin)
		return 0;
	report->devices = json_array();
	return vdb_client_devices(client, on_device, report);
}

/* JSON. */

static json_t *json_total(const struct report *report, const struct vdb_total *total)
{
	json_t *value = json_pack("{s:I}", "per_owner", (json_int_t)total->per_owner);

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
	return json_pack("{s:b,s:b,s:s,s:o,s:o,s:O?,s:O}", "lends", status->lends, "admin", status->admin,
			 "problem", status->problem, "connections", json_total(report, &status->clients),
			 "leases", leases, "devices", report->devices, "accounts", report->accounts);
}

/* Text. */

static const char *text_of(json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static json_int_t number_of(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static void print_broker(const struct vdb_status *status)
{
	const char *what = status->lends ? "it lends" : "nothing new is lent";

	if (*status->problem)
		printf("broker       %s, but the configuration is rejected: %s\n", what, status->problem);
	else if (status->lends)
		printf("broker       it lends\n");
	else
		printf("broker       %s: the configuration has mistakes; see journalctl -u vfio-dmabufd\n", what);
}

static void print_total(const char *what, const struct vdb_status *status, const struct vdb_total *total)
{
	if (status->admin)
		printf("%-11s  %u of %u, pool %u of %u, each owner %u at most\n", what, total->used,
		       total->limit, total->pool_used, total->pool, total->per_owner);
	else
		printf("%-11s  each owner %u at most\n", what, total->per_owner);
}

static void print_device(json_t *device)
{
	const char *name = text_of(device, "name"), *reason = text_of(device, "reason");

	printf("device       %s  %s  %s%s%s%s, %" JSON_INTEGER_FORMAT " leases, %" JSON_INTEGER_FORMAT " waiting\n",
	       *name ? name : "(not configured)", text_of(device, "bdf"), text_of(device, "state"),
	       json_is_true(json_object_get(device, "suspended")) ? ", suspended" : "",
	       *reason ? ": " : "", reason, number_of(device, "leases"), number_of(device, "waiting"));
}

static void print_share(const char *what, json_t *share)
{
	printf("  %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT " %s%s", number_of(share, "used"),
	       number_of(share, "limit"), what,
	       json_is_true(json_object_get(share, "near_limit")) ? " (near the limit)" : "");
}

/* An administrator's are many: those that are near a limit. */
static void print_account(json_t *account, bool all)
{
	json_t *connections = json_object_get(account, "connections");
	json_t *leases = json_object_get(account, "leases");

	if (!all && !json_is_true(json_object_get(connections, "near_limit")) &&
	    !json_is_true(json_object_get(leases, "near_limit")))
		return;
	printf("owner        %" JSON_INTEGER_FORMAT, number_of(account, "owner"));
	print_share("connections", connections);
	print_share("leases", leases);
	putchar('\n');
}

static void print_report(struct report *report)
{
	const struct vdb_status *status = &report->status;
	json_t *one;
	size_t i;

	print_broker(status);
	print_total("connections", status, &status->clients);
	print_total("leases", status, &status->leases);
	if (status->admin)
		printf("             %" JSON_INTEGER_FORMAT " granted, %" JSON_INTEGER_FORMAT " waiting, %"
		       JSON_INTEGER_FORMAT " ending\n", number_of(report->leases, "granted"),
		       number_of(report->leases, "waiting"), number_of(report->leases, "ending"));
	json_array_foreach(report->devices, i, one)
		print_device(one);
	json_array_foreach(report->accounts, i, one)
		print_account(one, !status->admin);
}

int cmd_status(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Shows how the broker is: its configuration, devices and limits, and the owners"
		       " that are near a limit. The exit status is 1 if something is wrong."
		       "\vDevices and the use of others are for administrators of the broker. Others"
		       " see what they use themselves.",
	};
	struct report report = { .device_missing = false };
	struct vdb_client *client;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	ret = ask(client, &report);
	if (ret)
		ret = fail("the broker's status: %s", vdb_client_error(client)[0] ?
			   vdb_client_error(client) : strerror(errno));
	else if (common.json)
		print_json(json_report(&report));
	else
		print_report(&report);
	if (!ret && (!report.status.lends || *report.status.problem || report.device_missing))
		ret = STATUS_FAILED;
	vdb_client_close(client);
	json_decref(report.devices);
	json_decref(report.leases);
	json_decref(report.accounts);
	return ret;
}
