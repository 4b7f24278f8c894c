/* SPDX-License-Identifier: MIT */
/* Getting at a slice: from the broker, or of a device that we open ourselves. */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "target.h"

struct vdb_client *connect_broker(void)
{
	struct vdb_client *client = vdb_client_connect(common.socket);

	if (!client)
		fail("no broker at %s: %s; is vfio-dmabufd.socket active?",
		     common.socket ?: VDB_BROKER_SOCKET, strerror(errno));
	return client;
}

static int open_direct(const struct target *target, unsigned int flags, struct opened *opened)
{
	struct vdb_range range = { 0 };
	struct vdb_bar bar;

	opened->device = vdb_device_open(target->bdf);
	if (!opened->device)
		return fail("%s: %s%s", target->bdf, strerror(errno),
			    errno == EBUSY ? "; if the broker has it, name a slice" : "");
	if (vdb_device_bar(opened->device, target->bar, &bar))
		return fail("%s: BAR %u: %s", target->bdf, target->bar, strerror(errno));
	if (!bar.mappable)
		return fail("%s: it has no BAR %u that can be mapped; vfio-dmabuf list %s shows its BARs",
			    target->bdf, target->bar, target->bdf);
	/* A BAR smaller than a page has a page of its own. */
	range.length = (bar.size + 4095) & ~4095ULL;
	opened->slice = vdb_slice_export(opened->device, target->bar, &range, 1, flags);
	if (!opened->slice)
		return fail("%s: BAR %u: %s%s", target->bdf, target->bar, strerror(errno),
			    errno == ENOTTY ? "; bind it: vfio-dmabuf bind" : "");
	return 0;
}

static int open_lent(const struct target *target, unsigned int flags, struct opened *opened)
{
	struct vdb_lease lease;

	opened->client = connect_broker();
	if (!opened->client)
		return STATUS_FAILED;
	if (vdb_client_acquire(opened->client, target->slice, target->index, flags, 0, &lease))
		return fail("%s: %s", target->slice, vdb_client_error(opened->client));
	opened->slice = lease.slice;
	return 0;
}

int target_open(const struct target *target, unsigned int flags, struct opened *opened)
{
	int ret;

	*opened = (struct opened){ 0 };
	ret = target->direct ? open_direct(target, flags, opened) : open_lent(target, flags, opened);
	if (ret)
		target_close(opened);
	return ret;
}

void target_close(struct opened *opened)
{
	vdb_slice_free(opened->slice);
	vdb_client_close(opened->client);
	vdb_device_close(opened->device);
}
