// SPDX-License-Identifier: MIT
/* Starting the controller, going on with it, and stopping it. */
#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define CONFIGURATION	(NVME_CC_EN | NVME_CC_ENTRIES)


const char *nvme_error(const struct nvme *nvme)
{
	return nvme->error;
}

int nvme_fd(const struct nvme *nvme)
{
	return nvme->fd;
}

unsigned int nvme_max_queues(const struct nvme *nvme)
{
	return nvme->state->max_queues;
}

unsigned int nvme_max_entries(const struct nvme *nvme)
{
	return NVME_CAP_MQES(nvme->state->cap) + 1;
}

unsigned int nvme_doorbell_stride(const struct nvme *nvme)
{
	return 4u << NVME_CAP_DSTRD(nvme->state->cap);
}

bool nvme_cmb(const struct nvme *nvme, struct nvme_cmb *cmb)
{
	*cmb = nvme->state->cmb;
	return cmb->size;
}

/* ---- starting it ---- */

static unsigned int ready_ms(const struct nvme *nvme)
{
	/* A controller that says 0 still needs some time. */
	return (NVME_CAP_TO(nvme->state->cap) + 2) * 500;
}

static int read_capabilities(struct nvme *nvme)
{
	struct nvme_state *state = nvme->state;

	if (nvme_read64(nvme, NVME_CAP, &state->cap))
		return -1;
	if (state->cap == UINT64_MAX)
		return nvme_failed(nvme, ENODEV, "the controller does not answer: its registers read all ones");
	if (!NVME_CAP_NVM(state->cap) || NVME_CAP_MPSMIN(state->cap) ||
	    NVME_CAP_MQES(state->cap) + 1 < NVME_ADMIN_ENTRIES ||
	    NVME_CQ_HEAD(0, nvme_doorbell_stride(nvme)) + 4 > nvme->registers_size)
		return nvme_failed(nvme, EOPNOTSUPP, "the controller's capabilities are 0x%llx: it needs block I/O commands, pages of 4 KiB and queues of %u entries",
				   (unsigned long long)state->cap, NVME_ADMIN_ENTRIES);
	return 0;
}

/* 3.5.1: disabled, with admin queues, enabled. */
static int enable(struct nvme *nvme)
{
	uint32_t cc;

	if (nvme_read32(nvme, NVME_CC, &cc))
		return -1;
	if (cc & NVME_CC_EN && nvme_write32(nvme, NVME_CC, cc & ~NVME_CC_EN))
		return -1;
	if (nvme_wait_status(nvme, NVME_CSTS_RDY, 0, ready_ms(nvme)) ||
	    nvme_write32(nvme, NVME_AQA, (NVME_ADMIN_ENTRIES - 1) << 16 | (NVME_ADMIN_ENTRIES - 1)) ||
	    nvme_write64(nvme, NVME_ASQ, nvme->commands_iova + NVME_PAGE) ||
	    nvme_write64(nvme, NVME_ACQ, nvme->replies_iova))
		return -1;
	if (vdb_device_set_bus_master(nvme->device, true))
		return nvme_failed(nvme, errno, "bus mastering: %s", strerror(errno));
	if (nvme_write32(nvme, NVME_CC, CONFIGURATION))
		return -1;
	return nvme_wait_status(nvme, NVME_CSTS_RDY | NVME_CSTS_CFS, NVME_CSTS_RDY, ready_ms(nvme));
}

static int identify(struct nvme *nvme, unsigned int what, uint32_t nsid)
{
	struct nvme_command command = {
		.opcode = NVME_IDENTIFY,
		.nsid = nsid,
		.prp1 = nvme->replies_iova + NVME_PAGE,
		.dword10 = what,
	};
	int status = nvme_admin(nvme, &command, NULL);

	if (status <= 0)
		return status;
	return nvme_failed(nvme, EIO, "the controller has rejected identify %u of 0x%x with status 0x%x",
			   what, nsid, status);
}

static uint64_t reply(const struct nvme *nvme, unsigned int offset, unsigned int bytes)
{
	uint64_t value = 0;

	memcpy(&value, (const char *)nvme->reply + offset, bytes);
	return value;
}

/* NVM Command Set 4.1.5.1.  A namespace that this driver cannot use is left out. */
static void add_namespace(struct nvme *nvme, uint32_t id)
{
	struct nvme_state *state = nvme->state;
	uint64_t blocks = reply(nvme, 0, 8);
	unsigned int flbas = reply(nvme, 26, 1);
	unsigned int format = (flbas & 0xf) | (flbas >> 1 & 0x30);
	unsigned int metadata = reply(nvme, 128 + 4 * format, 2);
	unsigned int shift = reply(nvme, 128 + 4 * format + 2, 1);

	if (!blocks || metadata || shift < 9 || shift > 16)
		return;
	state->namespaces[state->nr_namespaces++] = (struct nvme_layout_namespace){ id, shift, blocks };
}

static int read_namespaces(struct nvme *nvme)
{
	uint32_t ids[NVME_MAX_NAMESPACES];

	if (identify(nvme, NVME_IDENTIFY_ACTIVE, 0))
		return -1;
	memcpy(ids, nvme->reply, sizeof(ids));
	for (unsigned int i = 0; i < NVME_MAX_NAMESPACES && ids[i]; i++) {
		if (identify(nvme, NVME_IDENTIFY_NAMESPACE, ids[i]))
			return -1;
		add_namespace(nvme, ids[i]);
	}
	return 0;
}

static int read_controller(struct nvme *nvme)
{
	struct nvme_state *state = nvme->state;
	unsigned int mdts;

	if (identify(nvme, NVME_IDENTIFY_CONTROLLER, 0))
		return -1;
	mdts = reply(nvme, 77, 1);
	state->max_transfer = NVME_MAX_TRANSFER;
	if (mdts && mdts < 8)
		state->max_transfer = (uint64_t)NVME_PAGE << mdts;
	return read_namespaces(nvme);
}

/* 5.27.1.5: to be set before there is a queue. */
static int set_queues(struct nvme *nvme)
{
	struct nvme_command command = {
		.opcode = NVME_SET_FEATURES,
		.dword10 = NVME_FEATURE_QUEUES,
		.dword11 = (NVME_MAX_QUEUES - 1) << 16 | (NVME_MAX_QUEUES - 1),
	};
	uint64_t fit = (nvme->registers_size - 0x1000) / (2 * nvme_doorbell_stride(nvme)) - 1;
	uint32_t result, granted;
	int status = nvme_admin(nvme, &command, &result);

	if (status > 0)
		return nvme_failed(nvme, EIO, "the controller has rejected the number of queues with status 0x%x", status);
	if (status)
		return -1;
	granted = (result & 0xffff) + 1;
	if ((result >> 16) + 1 < granted)
		granted = (result >> 16) + 1;
	if (granted > NVME_MAX_QUEUES)
		granted = NVME_MAX_QUEUES;
	nvme->state->max_queues = granted < fit ? granted : fit;
	return 0;
}

/* 8.5.  A controller whose buffer cannot be used is a controller without. */
static int find_cmb(struct nvme *nvme)
{
	struct nvme_state *state = nvme->state;
	uint32_t location, size;
	struct vdb_bar bar;
	uint64_t unit;

	if (!NVME_CAP_CMBS(state->cap))
		return 0;
	if (nvme_write64(nvme, NVME_CMBMSC, NVME_CMBMSC_CRE) ||
	    nvme_read32(nvme, NVME_CMBLOC, &location) || nvme_read32(nvme, NVME_CMBSZ, &size))
		return -1;
	unit = 4096ULL << 4 * NVME_CMBSZ_SZU(size);
	if (!(size & NVME_CMBSZ_SQS) || NVME_CMBSZ_SZU(size) > 6 ||
	    vdb_device_bar(nvme->device, NVME_CMBLOC_BIR(location), &bar) || !bar.mappable ||
	    NVME_CMBLOC_OFST(location) * unit + NVME_CMBSZ_SZ(size) * unit > bar.size)
		return nvme_write64(nvme, NVME_CMBMSC, 0);
	state->cmb = (struct nvme_cmb){
		.bar = NVME_CMBLOC_BIR(location),
		.offset = NVME_CMBLOC_OFST(location) * unit,
		.size = NVME_CMBSZ_SZ(size) * unit,
	};
	/* The upper half first: the lower one makes it valid. */
	return nvme_write32(nvme, NVME_CMBMSC + 4, NVME_CMB_ADDRESS >> 32) ?:
	       nvme_write32(nvme, NVME_CMBMSC, NVME_CMBMSC_CMSE | NVME_CMBMSC_CRE);
}

/* All of them at once, because not every kernel can add one later. */
static void prepare_interrupts(struct nvme *nvme)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	struct {
		struct vfio_irq_set set;
		int32_t eventfds[NVME_MAX_QUEUES + 1];
	} request = {
		.set = {
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_MSIX_IRQ_INDEX,
		},
	};
	struct vfio_irq_set none = {
		.argsz = sizeof(none),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	int fd = vdb_device_fd(nvme->device);

	nvme->state->vectors = 0;
	if (ioctl(fd, VFIO_DEVICE_GET_IRQ_INFO, &info) || info.count < 2)
		return;
	request.set.count = nvme->state->max_queues + 1;
	if (info.count < request.set.count)
		request.set.count = info.count;
	request.set.argsz = sizeof(request.set) + request.set.count * sizeof(request.eventfds[0]);
	memset(request.eventfds, 0xff, sizeof(request.eventfds));
	/* Those of an earlier start. */
	ioctl(fd, VFIO_DEVICE_SET_IRQS, &none);
	if (!ioctl(fd, VFIO_DEVICE_SET_IRQS, &request))
		nvme->state->vectors = request.set.count;
}

/* In memory that is all zeros, or of a controller that was reset. */
static int start(struct nvme *nvme)
{
	struct nvme_state *state = nvme->state;

	memset(state, 0, sizeof(*state));
	memset(nvme->commands, 0, NVME_PAGE);
	memset(nvme->entries, 0, NVME_PAGE);
	state->magic = NVME_STATE_MAGIC;
	state->commands_iova = nvme->commands_iova;
	state->replies_iova = nvme->replies_iova;
	if (read_capabilities(nvme) || enable(nvme) || read_controller(nvme) || set_queues(nvme) || find_cmb(nvme))
		return -1;
	prepare_interrupts(nvme);
	__atomic_store_n(&state->ready, 1, __ATOMIC_SEQ_CST);
	return 0;
}

/* ---- the object ---- */

static int find_registers(struct nvme *nvme)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX };

	if (ioctl(vdb_device_fd(nvme->device), VFIO_DEVICE_GET_REGION_INFO, &info))
		return nvme_failed(nvme, errno, "BAR 0: %s", strerror(errno));
	if (info.size < 0x2000)
		return nvme_failed(nvme, EOPNOTSUPP, "BAR 0 has 0x%llx bytes, not at least 0x2000: it is not an NVMe controller",
				   (unsigned long long)info.size);
	nvme->registers = info.offset;
	nvme->registers_size = info.size;
	return 0;
}

static struct nvme *nvme_new(const struct vdb_device *device, struct vdb_dma *dma, char *error)
{
	struct nvme *nvme = calloc(1, sizeof(*nvme));

	if (!nvme) {
		if (error)
			snprintf(error, VDB_ERROR_SIZE, "%s", strerror(ENOMEM));
		return NULL;
	}
	nvme->device = device;
	nvme->dma = dma;
	nvme->fd = -1;
	return nvme;
}

/* Of each of the two parts of the memory, which are mapped one by one. */
static uint64_t part_size(void)
{
	uint64_t page = sysconf(_SC_PAGESIZE);

	return (2 * NVME_PAGE + page - 1) / page * page;
}

static int map_here(struct nvme *nvme)
{
	char *memory = mmap(NULL, 2 * part_size(), PROT_READ | PROT_WRITE, MAP_SHARED, nvme->fd, 0);

	if (memory == MAP_FAILED)
		return nvme_failed(nvme, errno, "mapping the admin queues: %s", strerror(errno));
	nvme->state = (void *)memory;
	nvme->commands = (void *)(memory + NVME_PAGE);
	nvme->entries = (void *)(memory + part_size());
	nvme->reply = memory + part_size() + NVME_PAGE;
	return 0;
}

static int alloc_memory(struct nvme *nvme)
{
	nvme->fd = memfd_create("nvme", MFD_CLOEXEC);
	if (nvme->fd < 0 || ftruncate(nvme->fd, 2 * part_size()))
		return nvme_failed(nvme, errno, "memory for the admin queues: %s", strerror(errno));
	if (map_here(nvme))
		return -1;
	if (vdb_dma_map(nvme->dma, nvme->state, part_size(), VDB_FLAG_DMA_READ_ONLY, &nvme->commands_iova) ||
	    vdb_dma_map(nvme->dma, nvme->entries, part_size(), 0, &nvme->replies_iova))
		return nvme_failed(nvme, errno, "memory for the admin queues: %s", vdb_dma_error(nvme->dma));
	return 0;
}

/* The controller does not use it any more. */
static int unmap_part(struct nvme *nvme, uint64_t *iova)
{
	if (*iova && vdb_dma_unmap(nvme->dma, *iova, part_size()) && errno != ENOENT)
		return nvme_failed(nvme, errno, "%s", vdb_dma_error(nvme->dma));
	*iova = 0;
	return 0;
}

static int unmap_memory(struct nvme *nvme)
{
	return unmap_part(nvme, &nvme->commands_iova) ?: unmap_part(nvme, &nvme->replies_iova);
}

/* After a failure to start or to adopt it; errno is kept. */
static struct nvme *give_up(struct nvme *nvme, char *error)
{
	int number = errno;

	if (error)
		memcpy(error, nvme->error, VDB_ERROR_SIZE);
	/* It must not reach memory that is freed. */
	vdb_device_set_bus_master(nvme->device, false);
	unmap_memory(nvme);
	errno = number;
	nvme_free(nvme);
	return NULL;
}

struct nvme *nvme_start(const struct vdb_device *device, struct vdb_dma *dma, char error[VDB_ERROR_SIZE])
{
	struct nvme *nvme = nvme_new(device, dma, error);

	if (!nvme)
		return NULL;
	if (!find_registers(nvme) && !alloc_memory(nvme) &&
	    (!start(nvme) || (errno == EIO && !nvme_reset(nvme))))
		return nvme;
	return give_up(nvme, error);
}

bool nvme_is_running(struct nvme *nvme)
{
	uint32_t cc, csts, aqa;
	uint64_t asq, acq;

	return !nvme_read32(nvme, NVME_CC, &cc) && !nvme_read32(nvme, NVME_CSTS, &csts) &&
	       !nvme_read32(nvme, NVME_AQA, &aqa) && !nvme_read64(nvme, NVME_ASQ, &asq) &&
	       !nvme_read64(nvme, NVME_ACQ, &acq) && cc == CONFIGURATION &&
	       (csts & (NVME_CSTS_RDY | NVME_CSTS_CFS)) == NVME_CSTS_RDY &&
	       asq == nvme->commands_iova + NVME_PAGE &&
	       acq == nvme->replies_iova &&
	       aqa == ((NVME_ADMIN_ENTRIES - 1) << 16 | (NVME_ADMIN_ENTRIES - 1));
}

/* The other process has mapped it, unless it was killed before. */
static int find_memory(struct nvme *nvme, int fd)
{
	struct stat st;

	if (fstat(fd, &st) || (uint64_t)st.st_size != 2 * part_size())
		return nvme_failed(nvme, EINVAL, "this is not the memory of a controller's admin queues");
	nvme->fd = fd;
	if (map_here(nvme))
		return -1;
	if (nvme->state->magic != NVME_STATE_MAGIC)
		return nvme_failed(nvme, ESTALE, "the controller was not started");
	if (vdb_dma_reserve(nvme->dma, nvme->state->commands_iova, part_size()) ||
	    vdb_dma_reserve(nvme->dma, nvme->state->replies_iova, part_size()))
		return nvme_failed(nvme, errno, "memory for the admin queues: %s", vdb_dma_error(nvme->dma));
	nvme->commands_iova = nvme->state->commands_iova;
	nvme->replies_iova = nvme->state->replies_iova;
	return 0;
}

struct nvme *nvme_adopt(const struct vdb_device *device, struct vdb_dma *dma, int fd,
			char error[VDB_ERROR_SIZE])
{
	struct nvme *nvme = nvme_new(device, dma, error);

	if (!nvme)
		return NULL;
	if (!find_registers(nvme) && !find_memory(nvme, fd)) {
		if (nvme->state->ready && nvme_is_running(nvme) && nvme_admin_finish(nvme) >= 0)
			return nvme;
		nvme_failed(nvme, ESTALE, "the controller was reset, has failed, or was not started completely: it must be started again");
	}
	/* The caller's. */
	nvme->fd = -1;
	return give_up(nvme, error);
}

void nvme_free(struct nvme *nvme)
{
	int error = errno;

	if (!nvme)
		return;
	if (nvme->state)
		munmap(nvme->state, 2 * part_size());
	if (nvme->fd >= 0)
		close(nvme->fd);
	free(nvme);
	errno = error;
}

int nvme_stop(struct nvme *nvme)
{
	int ret = 0;

	__atomic_store_n(&nvme->state->ready, 0, __ATOMIC_SEQ_CST);
	/*
	 * 3.6.1: a normal shutdown.  If it fails, the controller is disabled all the same.  One
	 * that was reset by others would be enabled by this.
	 */
	if (nvme_is_running(nvme) && (nvme_write32(nvme, NVME_CC, CONFIGURATION | NVME_CC_SHN_NORMAL) ||
	    nvme_wait_status(nvme, 3 << 2, NVME_SHST_DONE << 2, ready_ms(nvme))))
		ret = -1;
	if (nvme_write32(nvme, NVME_CC, NVME_CC_ENTRIES) ||
	    nvme_wait_status(nvme, NVME_CSTS_RDY, 0, ready_ms(nvme)))
		ret = -1;
	/* Whatever it does, it does not reach memory. */
	vdb_device_set_bus_master(nvme->device, false);
	return unmap_memory(nvme) ?: ret;
}

int nvme_reset(struct nvme *nvme)
{
	__atomic_store_n(&nvme->state->ready, 0, __ATOMIC_SEQ_CST);
	memset(nvme->state->queues, 0, sizeof(nvme->state->queues));
	if (vdb_device_reset(nvme->device))
		return nvme_failed(nvme, errno, "resetting the function: %s", strerror(errno));
	return start(nvme);
}
