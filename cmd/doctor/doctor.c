/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf doctor: what is missing on this machine, and what to do about it.
 *
 * Each file of this directory is about one subject.  check_*() reads the state of the
 * machine, and judge_*() decides what it means without reading anything.
 */
#include <stddef.h>
#include <vfio-dmabuf.h>

#include "broker.h"
#include "command.h"
#include "driver.h"
#include "functions.h"
#include "iommu.h"
#include "process_limits.h"
#include "output.h"
#include "running_kernel.h"
#include "signing.h"
#include "units.h"

static void check_modules(struct findings *findings)
{
	struct modules modules;

	modules_read(&modules);
	judge_driver(&modules, findings);
	check_signing(&modules, findings);
}

int cmd_doctor(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Looks for what is missing on this machine. The exit status is 1 if something is missing.",
	};
	struct findings findings = { 0 };
	int status;

	parse_command(&argp, argc, argv, 0, NULL);
	check_kernel(&findings);
	check_iommu(&findings);
	check_vfio(&findings);
	check_modules(&findings);
	check_functions(&findings);
	check_limits(&findings);
	check_units(&findings);
	check_broker(common.socket ?: VDB_BROKER_SOCKET, &findings);

	if (common.json)
		print_json(findings_json(&findings));
	else
		findings_print(&findings);
	status = findings_any(&findings, MISSING) ? STATUS_FAILED : 0;
	findings_free(&findings);
	return status;
}
