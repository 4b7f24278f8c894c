/* SPDX-License-Identifier: MIT */
/* The broker: whether it answers, and whether it grants leases of the slices that it has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "broker.h"
#include "common/names.h"
#include "output.h"
#include "target.h"

struct granting {
	struct findings *findings;
	bool all;		/* all devices are open */
	char last[16];		/* device of the last finding */
};

/* An administrator receives all devices. */
static bool on_device(const struct vdb_device_info *info, void *data)
{
	struct granting *granting = data;
	bool bad = *info->reason || info->phase == VDB_DEVICE_ABSENT || info->phase == VDB_DEVICE_CLOSING;

	if (!*info->name || info->phase == VDB_DEVICE_OPEN)
		return true;
	granting->all = false;
	/* A device that is being opened for the first time is soon open, or absent with a reason. */
	found(granting->findings, "device", bad ? MISSING : WARNING, "%s: %s is %s%s%s, and its slices are not granted",
	      info->name, info->bdf, device_phase_name(info->phase), *info->reason ? ": " : "", info->reason);
	advise(granting->findings, "see journalctl -u vfio-dmabufd");
	return true;
}

/* Others receive the slices that they may lease.  The slices of a device are consecutive. */
static bool on_slice(const struct vdb_slice_info *info, void *data)
{
	struct granting *granting = data;

	if (info->device == VDB_DEVICE_OPEN || !strcmp(info->bdf, granting->last))
		return true;
	snprintf(granting->last, sizeof(granting->last), "%s", info->bdf);
	granting->all = false;
	found(granting->findings, "device", WARNING, "%s is %s, and its slices are not granted", info->bdf,
	      device_phase_name(info->device));
	advise(granting->findings, "ask an administrator of the broker");
	return true;
}

static void check_granting(struct vdb_client *client, struct findings *findings)
{
	struct granting granting = { .findings = findings, .all = true };
	struct vdb_status status;

	if (vdb_client_status(client, &status) ||
	    (status.admin ? vdb_client_devices(client, on_device, &granting) :
			    vdb_client_slices(client, on_slice, &granting))) {
		found(findings, "broker", MISSING, "it does not report its status: %s",
		      vdb_client_error(client)[0] ? vdb_client_error(client) : strerror(errno));
		advise(findings, "see journalctl -u vfio-dmabufd");
	} else if (*status.problem || !status.grants) {
		found(findings, "broker", MISSING, "its configuration is rejected%s%s", *status.problem ? ": " : "", status.problem);
		advise(findings, "run vfio-dmabufd --check, correct the mistakes, and run vfio-dmabuf reload");
	} else if (granting.all) {
		found(findings, "device", GOOD, status.admin ? "all devices of the broker's configuration are open" :
		      "all devices whose slices you are allowed to lease are open");
	}
}

void check_broker(const char *path, struct findings *findings)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_client *client;

	if (access(path, F_OK)) {
		found(findings, "broker", WARNING, "no socket at %s", path);
		advise(findings, "if you want the broker: systemctl enable --now vfio-dmabufd.socket");
		return;
	}
	client = vdb_client_connect(path, BROKER_MS, error);
	if (client) {
		found(findings, "broker", GOOD, "it answers at %s", path);
		check_granting(client, findings);
	} else {
		found(findings, "broker", MISSING, "%s: %s", path, error);
		advise(findings, "%s", broker_advice(errno));
	}
	vdb_client_close(client);
}
