/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf bind --restore, bind --list: bindings that survive a reboot.
 *
 * The package's unit restores all of them before udev loads drivers for devices, and its
 * udev rule restores each function that appears later.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binding.h"
#include "command.h"
#include "in_use.h"
#include "output.h"
#include "persist.h"
#include "sysfs.h"

static int read_binding(const char *bdf, struct persistent *binding)
{
	int line = 0;

	if (persist_read(bdf, binding, &line))
		return errno == EINVAL ? fail(PERSIST_DIR "/%s:%d: not understood; vfio-dmabuf(1) says what can stand there", bdf, line) :
		       fail(PERSIST_DIR "/%s: %s", bdf, strerror(errno));
	if (!binding_allows(binding->driver))
		return fail(PERSIST_DIR "/%s: \"%s\" is not a VFIO driver", bdf, binding->driver);
	return 0;
}

static bool is_other(const struct persistent *binding, const struct function *function)
{
	return (binding->vendor || binding->device) &&
	       (binding->vendor != function->vendor || binding->device != function->device);
}

/* Everything except loading the driver.  After this, no other driver binds the function. */
static int prepare(const struct persistent *binding, const struct function *function)
{
	const char *bdf = binding->bdf;
	char why[512], override[64];

	if (is_other(binding, function))
		return fail("%s: it is %04x:%04x, but %04x:%04x was bound there; if that is right, run vfio-dmabuf bind --persist again",
			    bdf, function->vendor, function->device, binding->vendor, binding->device);
	if (function_is_bridge(function))
		return fail("%s: it is a bridge, which the kernel needs; remove its file from " PERSIST_DIR, bdf);
	if (in_use(bdf, why, sizeof(why)))
		return fail("%s: %s; it stays with %s", bdf, why, function->driver[0] ? function->driver : "no driver");
	binding_override(bdf, override, sizeof(override));
	if (binding_remember(bdf, function->driver[0] ? function->driver : binding->former,
			     strcmp(override, binding->driver) ? override : "") < 0)
		return fail("%s: " BINDING_MEMORY "/%s cannot be written: %s", bdf, bdf, strerror(errno));
	if (function_put(bdf, "driver_override", binding->driver))
		return fail("%s: driver_override: %s", bdf, strerror(errno));
	return 0;
}

static int restore_one(const struct persistent *binding)
{
	if (binding_load(binding->driver))
		return fail("%s: module %s cannot be loaded (see vfio-dmabuf doctor); until it is, no other driver takes the function",
			    binding->bdf, binding->driver);
	/* Loading the module has bound it, unless the module was loaded before or it has another driver. */
	if (!binding_has(binding->bdf, binding->driver) && binding_change(binding->bdf, binding->driver))
		return fail("%s: %s", binding->bdf, strerror(errno));
	if (!binding_has(binding->bdf, binding->driver))
		return fail("%s: %s does not bind it; see the kernel's log", binding->bdf, binding->driver);
	return 0;
}

int persist_restore(const char (*bdfs)[16], int nr)
{
	struct persistent *bindings;
	char (*all)[16] = NULL;
	int status = 0, wanted = 0;

	if (!nr) {
		nr = persist_all(&all);
		bdfs = all;
	}
	bindings = calloc(nr ? nr : 1, sizeof(*bindings));
	if (!bindings)
		abort();
	/* All of them first, because modules take time to load. */
	for (int i = 0; i < nr; i++) {
		struct persistent *binding = &bindings[wanted];
		struct function function;

		if (read_binding(bdfs[i], binding)) {
			status = STATUS_FAILED;
		} else if (!function_read(bdfs[i], &function)) {
			/* Not a failure: it can appear later, by hotplug or as a virtual function. */
			fprintf(stderr, "vfio-dmabuf: %s: there is no such function yet\n", bdfs[i]);
		} else if (strcmp(function.driver, binding->driver)) {
			if (prepare(binding, &function))
				status = STATUS_FAILED;
			else
				wanted++;
		}
	}
	for (int i = 0; i < wanted; i++)
		if (restore_one(&bindings[i]))
			status = STATUS_FAILED;
	free(bindings);
	free(all);
	return status;
}

static const char *state_of(const struct persistent *binding, char *state, size_t size)
{
	struct function function;

	if (!function_read(binding->bdf, &function))
		snprintf(state, size, "absent");
	else if (is_other(binding, &function))
		snprintf(state, size, "another device");
	else if (!strcmp(function.driver, binding->driver))
		snprintf(state, size, "bound");
	else
		snprintf(state, size, "not bound");
	return state;
}

int persist_list(void)
{
	json_t *list = json_array();
	char (*all)[16], state[32];
	int nr = persist_all(&all), status = 0;

	if (!common.json && nr)
		printf("%-12s  %-16s  %-14s  %s\n", "FUNCTION", "DRIVER", "STATE", "FORMER DRIVER");
	for (int i = 0; i < nr; i++) {
		struct persistent binding;

		if (read_binding(all[i], &binding)) {
			status = STATUS_FAILED;
			continue;
		}
		state_of(&binding, state, sizeof(state));
		if (common.json)
			json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s?}", "bdf", binding.bdf, "driver",
							      binding.driver, "state", state, "former_driver",
							      binding.former[0] ? binding.former : NULL));
		else
			printf("%-12s  %-16s  %-14s  %s\n", binding.bdf, binding.driver, state,
			       binding.former[0] ? binding.former : "-");
	}
	free(all);
	if (common.json)
		print_json(list);
	else
		json_decref(list);
	return status;
}
