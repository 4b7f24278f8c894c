/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf reload: make the broker read its configuration again. */
#include "command.h"
#include "output.h"
#include "target.h"

int cmd_reload(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Makes the broker read its configuration again. Only administrators of the broker can do this."
		       "\vIf the configuration has a mistake, the broker rejects it and keeps the former"
		       " one. The command prints the first mistake, and the exit status is 1.",
	};
	struct vdb_client *client;
	int ret = 0;

	parse_command(&argp, argc, argv, 0, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	if (vdb_client_reload(client))
		ret = fail("the reload failed; the former configuration stays in force: %s",
			   vdb_client_error(client));
	else if (common.json)
		print_json(json_pack("{s:b}", "reloaded", 1));
	vdb_client_close(client);
	return ret;
}
