/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf devices: devices of the broker, and functions that are bound to the driver. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common/names.h"
#include "devices.h"
#include "output.h"
#include "sysfs.h"
#include "table.h"
#include "target.h"

/* A device of the broker: name, bdf, state, suspended, leases, waiting, reason. */
bool devices_add(const struct vdb_device_info *info, void *list)
{
	json_array_append_new(list, json_pack(
		"{s:o,s:s,s:s,s:b,s:I,s:I,s:o}", "name", json_text(info->name), "bdf", info->bdf,
		"state", device_phase_name(info->phase), "suspended", info->suspended,
		"leases", (json_int_t)info->leases, "waiting", (json_int_t)info->waiting,
		"reason", json_text(info->reason)));
	return true;
}

/* ---- for people ---- */

static const char *const columns[] = {
	"DEVICE", "FUNCTION", "DRIVER", "STATE", ">LEASES", ">WAITING", "NAME", NULL
};
static const char *const broker_columns[] = {
	"DEVICE", "FUNCTION", "STATE", ">LEASES", ">WAITING", NULL
};

static const char *text_of(json_t *device, const char *key, const char *otherwise)
{
	return json_string_value(json_object_get(device, key)) ?: otherwise;
}

static void add_number(struct table *table, json_t *device, const char *key)
{
	json_t *number = json_object_get(device, key);

	if (json_is_integer(number))
		table_add(table, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
	else
		table_add(table, "-");
}

static void add_state(struct table *table, json_t *device)
{
	table_add(table, "%s%s", text_of(device, "state", "not in the broker"),
		  json_is_true(json_object_get(device, "suspended")) ? ", suspended" : "");
}

static void print_reasons(json_t *list)
{
	json_t *device;
	size_t i;

	json_array_foreach(list, i, device) {
		const char *reason = text_of(device, "reason", NULL);

		if (reason)
			printf("%s (%s): %s\n", text_of(device, "name", "(not configured)"),
			       text_of(device, "bdf", ""), reason);
	}
}

void devices_print(json_t *list)
{
	struct table table;
	json_t *device;
	size_t i;

	table_begin(&table, broker_columns);
	json_array_foreach(list, i, device) {
		table_add(&table, "%s", text_of(device, "name", "(not configured)"));
		table_add(&table, "%s", text_of(device, "bdf", ""));
		add_state(&table, device);
		add_number(&table, device, "leases");
		add_number(&table, device, "waiting");
	}
	table_end(&table, stdout);
	print_reasons(list);
}

static void print_all(json_t *list)
{
	struct table table;
	json_t *device;
	size_t i;

	table_begin(&table, columns);
	json_array_foreach(list, i, device) {
		table_add(&table, "%s", text_of(device, "name", "-"));
		table_add(&table, "%s", text_of(device, "bdf", ""));
		table_add(&table, "%s", text_of(device, "driver", "-"));
		add_state(&table, device);
		add_number(&table, device, "leases");
		add_number(&table, device, "waiting");
		table_add(&table, "%s", text_of(device, "description", "(not there)"));
	}
	table_end(&table, stdout);
	print_reasons(list);
}

/* ---- the list ---- */

/* What sysfs has about a device of the broker; null if it is not present. */
static void add_function(json_t *device)
{
	struct function function = { 0 };
	bool present = function_read(text_of(device, "bdf", ""), &function);

	json_object_set_new(device, "present", json_boolean(present));
	json_object_set_new(device, "driver", json_text(function.driver));
	json_object_set_new(device, "iommu_group", json_group(function.group));
	json_object_set_new(device, "description", json_text(function.name));
}

static bool has(json_t *list, const char *bdf)
{
	json_t *device;
	size_t i;

	json_array_foreach(list, i, device)
		if (!strcmp(text_of(device, "bdf", ""), bdf))
			return true;
	return false;
}

/* Functions that are bound to the driver, and not known to be devices of the broker. */
static void add_bound(json_t *list)
{
	struct function *all;
	size_t nr = function_all(&all);

	for (size_t i = 0; i < nr; i++)
		if (!strcmp(all[i].driver, DRIVER) && !has(list, all[i].bdf))
			json_array_append_new(list, json_pack(
				"{s:n,s:s,s:n,s:n,s:n,s:n,s:n}", "name", "bdf", all[i].bdf, "state",
				"suspended", "leases", "waiting", "reason"));
	free(all);
}

/* False after printing an error if the broker does not list its devices. */
static bool ask_broker(json_t *list)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_client *client = vdb_client_connect(common.socket, BROKER_MS, error);
	bool ok;

	if (!client) {
		fail("the broker's devices are not listed: %s: %s; %s", common.socket ?: VDB_BROKER_SOCKET, error,
		     broker_advice(errno));
		return false;
	}
	ok = !vdb_client_devices(client, devices_add, list);
	if (!ok)
		fail("the broker's devices are not listed: %s", vdb_client_error(client)[0] ?
		     vdb_client_error(client) : strerror(errno));
	vdb_client_close(client);
	return ok;
}

int cmd_devices(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Lists the functions that are bound to " DRIVER ", and the broker's devices."
		       "\vThe broker shows its devices to its administrators. Others see the functions.",
	};
	json_t *list = json_array(), *device;
	bool complete;
	size_t i;

	parse_command(&argp, argc, argv, 0, NULL);
	complete = ask_broker(list);
	add_bound(list);
	json_array_foreach(list, i, device)
		add_function(device);
	if (common.json) {
		print_json(json_pack("{s:b,s:o}", "broker", complete, "devices", list));
		return 0;
	}
	print_all(list);
	json_decref(list);
	return 0;
}
