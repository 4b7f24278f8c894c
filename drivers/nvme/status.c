// SPDX-License-Identifier: MIT
/* The status of a completion in words and as errno (Base Specification, 3.3.3.2.1). */
#include <errno.h>
#include <stddef.h>
#include <vfio-dmabuf-nvme.h>

#define TYPE_AND_CODE	0x7ff

static const struct {
	uint16_t status;	/* Status Code Type and Status Code */
	int error;
	const char *text;
} known[] = {
	{ 0x000, 0, "success" },
	{ 0x001, EOPNOTSUPP, "the controller does not know the command" },
	{ 0x002, EINVAL, "a field of the command is invalid" },
	{ 0x004, EIO, "the controller could not transfer the data" },
	{ 0x005, EIO, "aborted because the controller lost power" },
	{ 0x006, EIO, "an internal error of the controller" },
	{ 0x007, EIO, "aborted" },
	{ 0x008, ENODEV, "aborted because the queue was deleted" },
	{ 0x00b, EINVAL, "there is no such namespace" },
	{ 0x013, EINVAL, "a PRP entry is invalid" },
	{ 0x020, EIO, "the namespace is write-protected" },
	{ 0x080, EINVAL, "the blocks are not in the namespace" },
	{ 0x081, ENOSPC, "the namespace has no room left" },
	{ 0x082, EIO, "the namespace is not ready" },
	{ 0x182, EINVAL, "the namespace is read-only" },
	{ 0x280, EIO, "the data could not be written" },
	{ 0x281, ENODATA, "the data could not be read" },
	{ 0x282, EILSEQ, "the guard of the data is wrong" },
	{ 0x286, EACCES, "access denied" },
	{ 0x287, ENODATA, "the block was never written" },
};

static int find(uint32_t status)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].status == (status & TYPE_AND_CODE))
			return i;
	return -1;
}

const char *vdb_nvme_status_text(uint32_t status)
{
	int i = find(status);

	if (status == VDB_NVME_LOST)
		return "lost: the queue has ended";
	return i < 0 ? "an error that this library does not know" : known[i].text;
}

int vdb_nvme_status_errno(uint32_t status)
{
	int i = find(status);

	if (status == VDB_NVME_LOST)
		return ENODEV;
	return i < 0 ? EIO : known[i].error;
}
