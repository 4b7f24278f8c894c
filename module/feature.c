// SPDX-License-Identifier: GPL-2.0-only
/*
 * The entry points of user space's VFIO_DEVICE_FEATURE ioctl.
 * <linux/vfio_dmabuf.h> describes each feature.
 */
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/uaccess.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "device.h"
#include "events.h"
#include "feature.h"
#include "list.h"
#include "memattr.h"
#include "trace.h"

/* 1 if there is a request, else what the ioctl returns: a probe has none. */
static int copy_request(void *request, const void __user *arg, size_t size,
			u32 op, u32 flags, size_t argsz)
{
	int ret = vfio_check_feature(flags, argsz, op, size);

	if (ret == 1 && copy_from_user(request, arg, size))
		return -EFAULT;
	return ret;
}

/* Bytes of a BAR that can be mapped, or a negative errno. */
static s64 bar_size(struct dvp_device *dvp, unsigned int bar)
{
	struct vfio_pci_core_device *vdev = &dvp->core;

	if (bar >= VFIO_PCI_ROM_REGION_INDEX || !vdev->bar_mmap_supported[bar])
		return -ENODEV;
	if (dvp_claim_bar(vdev, bar))
		return -ENODEV;

	return PAGE_ALIGN(pci_resource_len(vdev->pdev, bar));
}

static struct dvp_buffer *
make_slice(struct dvp_device *dvp, u32 bar, u32 open_flags, u32 memattr,
	   const struct vfio_region_dma_range *input, u32 nr)
{
	s64 size = bar_size(dvp, bar);
	struct dvp_buffer *buffer;
	int ret;

	if (size < 0)
		return ERR_PTR(size);

	buffer = dvp_buffer_alloc(dvp, bar, nr);
	if (!buffer)
		return ERR_PTR(-ENOMEM);

	ret = dvp_ranges_init(&buffer->ranges, buffer->runs, input, nr, size);
	if (ret)
		goto free;

	buffer->base_page = buffer->runs[0].bar_page;
	buffer->read_only = (open_flags & O_ACCMODE) == O_RDONLY;
	buffer->memattr = memattr;

	ret = dvp_buffer_publish(buffer, open_flags);
	if (ret)
		goto free;
	return buffer;

free:
	dvp_buffer_put(buffer);
	return ERR_PTR(ret);
}

static int feature_dma_buf(struct dvp_device *dvp, u32 flags,
			   struct vfio_device_feature_dma_buf __user *arg,
			   size_t argsz)
{
	struct vfio_device_feature_dma_buf request;
	struct vfio_region_dma_range *input;
	struct dvp_buffer *buffer;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_GET, flags, argsz);
	if (ret != 1)
		return ret;

	if (request.flags || !request.nr_ranges)
		return -EINVAL;
	if (request.open_flags & ~(O_CLOEXEC | O_RDWR))
		return -EINVAL;
	if (request.nr_ranges > VFIO_DMABUF_MAX_RANGES)
		return -E2BIG;
	if (argsz < struct_size(arg, dma_ranges, request.nr_ranges))
		return -EINVAL;

	input = vmemdup_array_user(arg->dma_ranges, request.nr_ranges,
				   sizeof(*input));
	if (IS_ERR(input))
		return PTR_ERR(input);

	buffer = make_slice(dvp, request.region_index, request.open_flags,
			    VFIO_DMABUF_MEMATTR_NC, input, request.nr_ranges);
	kvfree(input);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	trace_buffer_export(buffer);

	/* The fd takes over the only reference, so it comes last. */
	ret = dma_buf_fd(buffer->dmabuf, request.open_flags);
	if (ret < 0)
		dma_buf_put(buffer->dmabuf);
	return ret;
}

/* Fds that are the process's as soon as they are installed; -1: none. */
struct new_fds {
	int dmabuf, events;
};

static void put_fds(const struct new_fds *fds)
{
	put_unused_fd(fds->dmabuf);
	if (fds->events >= 0)
		put_unused_fd(fds->events);
}

static int get_fds(struct new_fds *fds, u32 open_flags, bool events)
{
	fds->events = -1;
	fds->dmabuf = get_unused_fd_flags(open_flags & O_CLOEXEC);
	if (fds->dmabuf < 0)
		return fds->dmabuf;
	if (!events)
		return 0;
	fds->events = get_unused_fd_flags(open_flags & O_CLOEXEC);
	if (fds->events >= 0)
		return 0;
	put_unused_fd(fds->dmabuf);
	return fds->events;
}

/* Gives a new buffer and its event file to the process, or neither. */
static int hand_over(struct dvp_buffer *buffer, const struct new_fds *fds,
		     struct vfio_dmabuf_feature_export *request,
		     struct vfio_dmabuf_feature_export __user *arg)
{
	struct file *events = NULL;

	if (fds->events >= 0)
		events = dvp_events_file(buffer->dvp, buffer, O_NONBLOCK);
	if (IS_ERR(events))
		return PTR_ERR(events);

	request->dmabuf_fd = fds->dmabuf;
	request->events_fd = fds->events;
	request->id = dvp_buffer_id(buffer);
	if (copy_to_user(arg, request, sizeof(*request))) {
		if (events)
			fput(events);
		return -EFAULT;
	}

	trace_buffer_export(buffer);
	if (events)
		fd_install(fds->events, events);
	/* Takes over the only reference to the buffer, and must come last. */
	fd_install(fds->dmabuf, buffer->dmabuf->file);
	return 0;
}

static int check_export(struct dvp_device *dvp,
			const struct vfio_dmabuf_feature_export *request)
{
	if (request->flags & ~(VFIO_DMABUF_NONBLOCK | VFIO_DMABUF_EXPORT_EVENTS) ||
	    request->open_flags & ~(O_CLOEXEC | O_RDWR) ||
	    request->memattr > VFIO_DMABUF_MEMATTR_WC)
		return -EINVAL;
	if (!dvp_memattr_supported(request->memattr))
		return -EOPNOTSUPP;
	/* The first use of a BAR may claim it. */
	if (request->flags & VFIO_DMABUF_NONBLOCK &&
	    request->region_index < PCI_STD_NUM_BARS &&
	    !dvp->core.barmap[request->region_index])
		return -EAGAIN;
	return 0;
}

static int feature_export(struct dvp_device *dvp, u32 flags,
			  struct vfio_dmabuf_feature_export __user *arg,
			  size_t argsz)
{
	struct vfio_dmabuf_feature_export request;
	struct dvp_buffer *buffer;
	struct new_fds fds;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_GET, flags, argsz);
	if (ret != 1)
		return ret;
	ret = check_export(dvp, &request);
	if (ret)
		return ret;
	ret = get_fds(&fds, request.open_flags,
		      request.flags & VFIO_DMABUF_EXPORT_EVENTS);
	if (ret)
		return ret;

	buffer = make_slice(dvp, request.region_index, request.open_flags,
			    request.memattr, &request.range, 1);
	if (IS_ERR(buffer)) {
		put_fds(&fds);
		return PTR_ERR(buffer);
	}
	ret = hand_over(buffer, &fds, &request, arg);
	if (ret) {
		dma_buf_put(buffer->dmabuf);
		put_fds(&fds);
	}
	return ret;
}

static int feature_revoke(struct dvp_device *dvp, u32 flags,
			  struct vfio_dmabuf_feature_revoke __user *arg,
			  size_t argsz)
{
	struct vfio_dmabuf_feature_revoke request;
	struct dvp_buffer *buffer;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_SET, flags, argsz);
	if (ret != 1)
		return ret;

	if (request.flags & ~VFIO_DMABUF_NONBLOCK)
		return -EINVAL;
	buffer = dvp_buffer_get(dvp, request.dmabuf_fd, request.id);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	if (request.flags & VFIO_DMABUF_NONBLOCK)
		ret = dvp_access_revoke_now(buffer);
	else
		ret = dvp_access_revoke(buffer);
	dvp_buffer_put(buffer);
	return ret;
}

static int feature_memattr(struct dvp_device *dvp, u32 flags,
			   struct vfio_dmabuf_feature_memattr __user *arg,
			   size_t argsz)
{
	struct vfio_dmabuf_feature_memattr request;
	struct dvp_buffer *buffer;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_SET, flags, argsz);
	if (ret != 1)
		return ret;

	if (request.memattr > VFIO_DMABUF_MEMATTR_WC)
		return -EINVAL;
	if (!dvp_memattr_supported(request.memattr))
		return -EOPNOTSUPP;

	if (request.dmabuf_fd < 0)
		return -EBADF;
	buffer = dvp_buffer_get(dvp, request.dmabuf_fd, 0);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	ret = dvp_memattr_set(buffer, request.memattr);
	dvp_buffer_put(buffer);
	return ret;
}

static int feature_events(struct dvp_device *dvp, u32 flags,
			  struct vfio_dmabuf_feature_events __user *arg,
			  size_t argsz)
{
	struct vfio_dmabuf_feature_events request;
	struct dvp_buffer *buffer;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_GET, flags, argsz);
	if (ret != 1)
		return ret;

	if (request.dmabuf_fd == -1 && !request.id)
		return dvp_events_open(dvp, NULL, request.open_flags);

	buffer = dvp_buffer_get(dvp, request.dmabuf_fd, request.id);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	ret = dvp_events_open(dvp, buffer, request.open_flags);
	dvp_buffer_put(buffer);
	return ret;
}

static int feature_list(struct dvp_device *dvp, u32 flags,
			struct vfio_dmabuf_feature_list __user *arg,
			size_t argsz)
{
	struct vfio_dmabuf_feature_list request;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_GET, flags, argsz);
	if (ret != 1)
		return ret;

	ret = dvp_list(dvp, &request);
	if (!ret && copy_to_user(arg, &request, sizeof(request)))
		return -EFAULT;
	return ret;
}

static int feature_info(struct dvp_device *dvp, u32 flags,
			struct vfio_dmabuf_feature_info __user *arg,
			size_t argsz)
{
	struct vfio_dmabuf_feature_info request;
	struct dvp_buffer *buffer;
	int ret;

	ret = copy_request(&request, arg, sizeof(request),
			   VFIO_DEVICE_FEATURE_GET, flags, argsz);
	if (ret != 1)
		return ret;

	buffer = dvp_buffer_get(dvp, request.dmabuf_fd, request.id);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	ret = dvp_info(buffer, &request);
	dvp_buffer_put(buffer);
	if (!ret && copy_to_user(arg, &request, sizeof(request)))
		return -EFAULT;
	return ret;
}

/*
 * Low power is entered and left by features of vfio-pci-core, which does not
 * notify our importers.
 */
static int core_feature(struct dvp_device *dvp, u32 flags, void __user *arg,
			size_t argsz)
{
	u32 feature = flags & VFIO_DEVICE_FEATURE_MASK;
	bool announced = flags & VFIO_DEVICE_FEATURE_SET &&
			 !(flags & VFIO_DEVICE_FEATURE_PROBE) &&
			 (feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY ||
			  feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP);
	int ret;

	if (announced) {
		ret = dvp_access_announce(dvp);
		if (ret)
			return ret;
	}
	ret = vfio_pci_core_ioctl_feature(&dvp->core.vdev, flags, arg, argsz);
	dvp_access_changed(dvp, announced);
	return ret;
}

/**
 * dvp_device_feature() - VFIO_DEVICE_FEATURE
 * @core_vdev: the device, open
 * @flags: feature index and operation
 * @arg: user memory after struct vfio_device_feature
 * @argsz: bytes of it
 *
 * Return: the result of the feature; -ENOTTY if there is no such feature.
 */
int dvp_device_feature(struct vfio_device *core_vdev, u32 flags,
		       void __user *arg, size_t argsz)
{
	struct dvp_device *dvp = dvp_from_core(core_vdev);
	u32 feature = flags & VFIO_DEVICE_FEATURE_MASK;

	switch (feature) {
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		if (READ_ONCE(dvp->core_export))
			break;
		return feature_dma_buf(dvp, flags, arg, argsz);
	case VFIO_DMABUF_FEATURE_CORE_EXPORT:
		flags &= ~VFIO_DEVICE_FEATURE_MASK;
		flags |= VFIO_DEVICE_FEATURE_DMA_BUF;
		break;
	case VFIO_DMABUF_FEATURE_EXPORT:
		return feature_export(dvp, flags, arg, argsz);
	case VFIO_DMABUF_FEATURE_REVOKE:
		return feature_revoke(dvp, flags, arg, argsz);
	case VFIO_DMABUF_FEATURE_MEMATTR:
		return feature_memattr(dvp, flags, arg, argsz);
	case VFIO_DMABUF_FEATURE_EVENTS:
		return feature_events(dvp, flags, arg, argsz);
	case VFIO_DMABUF_FEATURE_LIST:
		return feature_list(dvp, flags, arg, argsz);
	case VFIO_DMABUF_FEATURE_INFO:
		return feature_info(dvp, flags, arg, argsz);
	}

	return core_feature(dvp, flags, arg, argsz);
}
