/* SPDX-License-Identifier: MIT */
/* A slice, leased from the broker or exported from a device that this process opens. */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "in_use.h"
#include "sysfs.h"
#include "target.h"

const char *broker_advice(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return "is vfio-dmabufd.socket active?";
	case EACCES:
		return "its mode decides who can connect (SocketMode= of vfio-dmabufd.socket)";
	case EPROTONOSUPPORT:
		return "vfio-dmabuf and vfio-dmabufd have different versions; update both";
	case ENOTCONN:
		return "you, or all users together, have reached the limit of connections; end programs that have some";
	case ETIMEDOUT:
		return "the broker does not answer; see journalctl -u vfio-dmabufd";
	default:
		return "see journalctl -u vfio-dmabufd";
	}
}

struct vdb_client *connect_broker(void)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_client *client = vdb_client_connect(common.socket, BROKER_MS, error);

	if (!client)
		fail("the broker at %s: %s; %s", common.socket ?: VDB_BROKER_SOCKET, error,
		     broker_advice(errno));
	return client;
}

/* The physical function whose token a virtual function needs, because it has a VFIO driver. */
static bool needs_token(const char *bdf, char *physical, size_t size)
{
	char driver[64];

	return function_link(bdf, "physfn", physical, size) &&
	       function_link(physical, "driver", driver, sizeof(driver)) && strstr(driver, "vfio");
}

static int token_not_needed(const char *bdf, const char *error)
{
	return fail("%s: %s; a function takes a token only if it has virtual functions, or is a virtual function of one with a VFIO driver",
		    bdf, error);
}

/* What to do if a device cannot be opened. */
static int open_failed(const char *bdf, const char *vf_token, int number, const char *error)
{
	char driver[64], physical[32];

	switch (number) {
	case ENOENT:
		if (!function_link(bdf, "subsystem", driver, sizeof(driver)))
			return fail("%s: there is no such function; vfio-dmabuf list shows all functions", bdf);
		return fail("%s: it has no VFIO driver; bind it first: vfio-dmabuf bind %s", bdf, bdf);
	case EBUSY:
		/* With a token that is not needed, a character device answers the same. */
		if (vf_token && !needs_token(bdf, physical, sizeof(physical)))
			return token_not_needed(bdf, error);
		return fail("%s: another process has it open (if it is the broker, name a slice), or others of its IOMMU group have drivers of their own (bind --group)",
			    bdf);
	case EACCES:
		if (!needs_token(bdf, physical, sizeof(physical)))
			return fail("%s: %s; vfio-dmabuf doctor says what you may open", bdf, error);
		if (vf_token)
			return fail("%s: %s; if you are allowed to open its node, the token is not that of %s: the process that has that function open chooses the token",
				    bdf, error, physical);
		return fail("%s: %s; it is a virtual function of %s: give the token of the process that has that function open (--vf-token UUID)",
			    bdf, error, physical);
	case EINVAL:
		if (vf_token && !needs_token(bdf, physical, sizeof(physical)))
			return token_not_needed(bdf, error);
		return fail("%s: %s", bdf, error);
	default:
		return fail("%s: %s", bdf, error);
	}
}

static int open_direct(const struct target *target, unsigned int flags, bool reset, const char *vf_token,
		       struct opened *opened)
{
	struct vdb_range range = { 0 };
	char error[VDB_ERROR_SIZE];
	struct vdb_bar bar;
	char why[512];

	/* An ordinary user does not see other users' processes.  Then opening the function fails. */
	if (vfio_in_use(target->bdf, why, sizeof(why)))
		return fail("%s: %s; if it is the broker, name a slice", target->bdf, why);
	if (!reset)
		return fail("%s: opening the function resets it, and closing it resets it again; use --reset if its state is not needed, or name a slice of the broker",
			    target->bdf);
	opened->device = vdb_device_open(target->bdf, vf_token, error);
	if (!opened->device)
		return open_failed(target->bdf, vf_token, errno, error);
	if (vdb_device_bar(opened->device, target->bar, &bar))
		return fail("%s: BAR %u: %s", target->bdf, target->bar, strerror(errno));
	if (!bar.mappable)
		return fail("%s: it has no BAR %u that can be mapped; vfio-dmabuf list %s shows its BARs",
			    target->bdf, target->bar, target->bdf);
	opened->length = bar.size;
	/* A BAR that is smaller than a page is alone in its page. */
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
	if (vdb_client_acquire(opened->client, target->slice, target->index, flags, 0, 0, &lease))
		return fail("%s: %s", target->slice, vdb_client_error(opened->client));
	opened->slice = lease.slice;
	opened->length = vdb_slice_length(lease.slice);
	return 0;
}

int target_open(const struct target *target, unsigned int flags, bool reset, const char *vf_token,
		struct opened *opened)
{
	int ret;

	*opened = (struct opened){ 0 };
	if (target->direct)
		ret = open_direct(target, flags, reset, vf_token, opened);
	else
		ret = open_lent(target, flags, opened);
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
