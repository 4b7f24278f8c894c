/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf read, write: registers through a slice. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "command.h"
#include "output.h"
#include "target.h"

static struct {
	unsigned int width;
	uint64_t count;
	struct target target;
	uint64_t offset, value;
	const char *name;
	int nr;
	bool reset;
	const char *vf_token;
} args = { .width = 32, .count = 1 };

static const struct argp_option read_options[] = {
	{ "width", 'w', "BITS", 0, "8, 16, 32 (default) or 64", 0 },
	{ "count", 'n', "N", 0, "the number of consecutive registers to read", 0 },
	{ "reset", 'r', NULL, 0, "open a function although VFIO resets it", 0 },
	{ "vf-token", 'k', "UUID", 0, "the token to open a virtual function with", 0 },
	{ 0 }
};

static const struct argp_option write_options[] = {
	{ "width", 'w', "BITS", 0, "8, 16, 32 (default) or 64", 0 },
	{ "reset", 'r', NULL, 0, "open a function although VFIO resets it", 0 },
	{ "vf-token", 'k', "UUID", 0, "the token to open a virtual function with", 0 },
	{ 0 }
};

static void parse_position(const char *arg, struct argp_state *state)
{
	switch (args.nr++) {
	case 0:
		args.name = arg;
		if (!parse_target(arg, &args.target))
			argp_error(state, "\"%s\" is neither a slice (device/slice, device/slice[3]) nor a BAR (0000:01:00.0/2)", arg);
		return;
	case 1:
	case 2:
		if (args.nr == 2 && !parse_size(arg, &args.offset))
			argp_error(state, "\"%s\" is not an offset; write it as in 4096, 0x1000 or 4K", arg);
		if (args.nr == 3 && !parse_number(arg, &args.value))
			argp_error(state, "\"%s\" is not a number; write it as in 4096 or 0x1000", arg);
		return;
	default:
		argp_error(state, "unexpected argument \"%s\"", arg);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	int wanted = *(int *)state->input;
	uint64_t width;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 'w':
		if (!parse_number(arg, &width) || (width != 8 && width != 16 && width != 32 && width != 64))
			argp_error(state, "\"%s\" is not a width; write 8, 16, 32 or 64", arg);
		args.width = width;
		return 0;
	case 'n':
		if (!parse_number(arg, &args.count) || !args.count || args.count > 4096)
			argp_error(state, "\"%s\" is not a count; write a number from 1 to 4096", arg);
		return 0;
	case 'r':
		args.reset = true;
		return 0;
	case 'k':
		args.vf_token = arg;
		return 0;
	case ARGP_KEY_ARG:
		parse_position(arg, state);
		return 0;
	case ARGP_KEY_END:
		if (args.nr < wanted)
			argp_error(state, "%s", wanted == 3 ? "give a slice, an offset and a value" :
				   "give a slice and an offset");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int try_read(const char *address, uint64_t *value)
{
	uint8_t byte;
	uint16_t word;
	uint32_t dword;
	int ret;

	switch (args.width) {
	case 8:
		ret = vdb_try_read8(address, &byte);
		*value = byte;
		return ret;
	case 16:
		ret = vdb_try_read16(address, &word);
		*value = word;
		return ret;
	case 32:
		ret = vdb_try_read32(address, &dword);
		*value = dword;
		return ret;
	default:
		return vdb_try_read64(address, value);
	}
}

static int try_write(char *address, uint64_t value)
{
	switch (args.width) {
	case 8:
		return vdb_try_write8(address, value);
	case 16:
		return vdb_try_write16(address, value);
	case 32:
		return vdb_try_write32(address, value);
	default:
		return vdb_try_write64(address, value);
	}
}

/* Maps the one or two pages of the registers; returns the address of the first register. */
static char *map(const struct opened *opened, int prot)
{
	uint64_t bytes = args.width / 8, size = args.count * bytes;
	uint64_t length = opened->length;
	char *address;

	if (args.offset % bytes) {
		fail("offset 0x%" PRIx64 " is not aligned to %u bits", args.offset, args.width);
		return NULL;
	}
	if (args.offset >= length || size > length - args.offset) {
		fail("%s has 0x%" PRIx64 " bytes; 0x%" PRIx64 " bytes at offset 0x%" PRIx64 " are not inside",
		     args.name, length, size, args.offset);
		return NULL;
	}
	address = vdb_slice_map(opened->slice, 0, 0, prot);
	if (!address) {
		fail("%s cannot be mapped: %s", args.name, strerror(errno));
		return NULL;
	}
	return address + args.offset;
}

static void print_value(uint64_t offset, uint64_t value, json_t *list)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%0*" PRIx64, (int)args.width / 4, value);
	/* Not every JSON parser reads numbers of 64 bits. */
	if (list)
		json_array_append_new(list, json_pack("{s:I,s:s}", "offset", (json_int_t)offset, "value", text));
	else if (args.count == 1)
		printf("%s\n", text);
	else
		printf("0x%04" PRIx64 "  %s\n", offset, text);
}

static int read_registers(const struct opened *opened)
{
	char *address = map(opened, PROT_READ);
	json_t *list = common.json ? json_array() : NULL;

	if (!address)
		return STATUS_FAILED;
	for (uint64_t i = 0; i < args.count; i++) {
		uint64_t at = i * args.width / 8, value;

		if (try_read(address + at, &value)) {
			json_decref(list);
			return fail("%s: offset 0x%" PRIx64 " cannot be read: the slice is revoked, or the device suspended",
				    args.name, args.offset + at);
		}
		print_value(args.offset + at, value, list);
	}
	if (list)
		print_json(list);
	return 0;
}

static int write_register(const struct opened *opened)
{
	char *address;

	if (args.width < 64 && args.value >> args.width)
		return fail("0x%" PRIx64 " has more than %u bits", args.value, args.width);
	address = map(opened, PROT_READ | PROT_WRITE);
	if (!address)
		return STATUS_FAILED;
	if (try_write(address, args.value))
		return fail("%s: offset 0x%" PRIx64 " cannot be written: the slice is revoked, or the device suspended",
			    args.name, args.offset);
	if (vdb_slice_flags(opened->slice) & VDB_FLAG_WC)
		vdb_wc_flush();
	return 0;
}

static int run(unsigned int flags, int (*access)(const struct opened *))
{
	struct opened opened;
	int ret;

	if (vdb_guard_enable())
		return fail("the handler for SIGBUS cannot be installed: %s", strerror(errno));
	if (target_open(&args.target, flags, args.reset, args.vf_token, &opened))
		return STATUS_FAILED;
	ret = access(&opened);
	target_close(&opened);
	return ret;
}

int cmd_read(int argc, char **argv)
{
	static const struct argp argp = {
		.options = read_options, .parser = parse, .args_doc = "SLICE OFFSET", .children = common_options,
		.doc = "Reads registers through a slice of the broker (device/slice, device/slice[3]) "
		       "or a BAR of a function that no process has open (0000:01:00.0/2)."
		       "\vVFIO resets a function when a process opens it and when it closes it. So a BAR needs"
		       " --reset. A slice of the broker does not: the broker has the function open.",
	};

	parse_command(&argp, argc, argv, 0, &(int){ 2 });
	return run(VDB_FLAG_READ_ONLY, read_registers);
}

int cmd_write(int argc, char **argv)
{
	static const struct argp argp = {
		.options = write_options, .parser = parse, .args_doc = "SLICE OFFSET VALUE", .children = common_options,
		.doc = "Writes a register through a slice of the broker or a BAR; see vfio-dmabuf read --help."
		       "\vVFIO resets a function when a process opens it and when it closes it. So a BAR needs"
		       " --reset, and what was written is lost when the command ends.",
	};

	parse_command(&argp, argc, argv, 0, &(int){ 3 });
	return run(0, write_register);
}
