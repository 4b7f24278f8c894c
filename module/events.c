// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that tells whoever holds it, a client for instance, when a buffer is
 * suspended, resumed and revoked.
 *
 * Nothing is queued: a change counts up and wakes, and a read compares.  What
 * is told is kept apart from what faults test, since it is told when it is
 * complete: a mapping may still reach the device between the setting of
 * revoked and the end of the zap.
 */
#include <linux/anon_inodes.h>
#include <linux/dma-buf.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "device.h"
#include "events.h"

#define NEVER_READ	U64_MAX

struct dvp_events {
	struct dvp_buffer *buffer;	/* with a reference to its DMABUF */
	/*
	 * event.changes of the last read.  Readers of one file at the same
	 * time may be told the same.
	 */
	u64 seen;
};

static void look(struct dvp_buffer *buffer, struct vfio_dmabuf_event *event)
{
	struct dvp_device *dvp = buffer->dvp;

	spin_lock(&dvp->events_lock);
	event->changes = buffer->told_end ?: dvp->told_changes;
	if (buffer->told_end)
		event->state = VFIO_DMABUF_STATE_REVOKED;
	else if (dvp->told_reasons)
		event->state = VFIO_DMABUF_STATE_SUSPENDED;
	else
		event->state = VFIO_DMABUF_STATE_LIVE;
	spin_unlock(&dvp->events_lock);
}

/* Whether a read has something new, or the end of the file, to return. */
static bool readable(struct dvp_events *events, struct vfio_dmabuf_event *event)
{
	look(events->buffer, event);
	return READ_ONCE(events->seen) != event->changes ||
	       event->state == VFIO_DMABUF_STATE_REVOKED;
}

static ssize_t events_read(struct file *file, char __user *data, size_t size,
			   loff_t *ppos)
{
	struct dvp_events *events = file->private_data;
	struct vfio_dmabuf_event event = {};
	int ret;

	if (size < sizeof(event))
		return -EINVAL;

	if (!readable(events, &event)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		ret = wait_event_interruptible(events->buffer->dvp->events_wait,
					       readable(events, &event));
		if (ret)
			return ret;
	}
	if (READ_ONCE(events->seen) == event.changes)
		return 0;

	if (copy_to_user(data, &event, sizeof(event)))
		return -EFAULT;
	WRITE_ONCE(events->seen, event.changes);
	return sizeof(event);
}

static __poll_t events_poll(struct file *file, poll_table *table)
{
	struct dvp_events *events = file->private_data;
	struct vfio_dmabuf_event event;

	poll_wait(file, &events->buffer->dvp->events_wait, table);
	if (!readable(events, &event))
		return 0;
	if (event.state == VFIO_DMABUF_STATE_REVOKED)
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return EPOLLIN | EPOLLRDNORM;
}

static int events_release(struct inode *inode, struct file *file)
{
	struct dvp_events *events = file->private_data;

	dma_buf_put(events->buffer->dmabuf);
	kfree(events);
	return 0;
}

static const struct file_operations dvp_events_fops = {
	.owner		= THIS_MODULE,
	.read		= events_read,
	.poll		= events_poll,
	.release	= events_release,
};

/**
 * dvp_events_open() - make a file that tells what happens to a buffer
 * @buffer: with a reference to its DMABUF, which stays the caller's
 * @open_flags: O_CLOEXEC, O_NONBLOCK
 *
 * Return: its fd, -EINVAL for other flags, or as usual.
 */
int dvp_events_open(struct dvp_buffer *buffer, u32 open_flags)
{
	struct dvp_events *events;
	int fd;

	if (open_flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;

	events = kzalloc_obj(*events, GFP_KERNEL_ACCOUNT);
	if (!events)
		return -ENOMEM;
	events->buffer = buffer;
	events->seen = NEVER_READ;

	get_dma_buf(buffer->dmabuf);
	fd = anon_inode_getfd("[vfio-dmabuf-events]", &dvp_events_fops, events,
			      O_RDONLY | open_flags);
	if (fd < 0) {
		dma_buf_put(buffer->dmabuf);
		kfree(events);
	}
	return fd;
}

/**
 * dvp_events_suspended() - tell that a device is suspended or no longer is
 * @dvp: the device
 * @reason: one of them, and told as one
 * @suspended: no mapping reaches the device any more; or that reason is gone
 */
void dvp_events_suspended(struct dvp_device *dvp, enum dvp_reason reason,
			  bool suspended)
{
	unsigned int before;

	scoped_guard(spinlock, &dvp->events_lock) {
		before = dvp->told_reasons;
		if (suspended)
			dvp->told_reasons |= reason;
		else
			dvp->told_reasons &= ~reason;
		if (!before == !dvp->told_reasons)
			return;
		dvp->told_changes++;
	}
	wake_up_all(&dvp->events_wait);
}

/**
 * dvp_events_revoked() - tell that a buffer is revoked
 * @buffer: that no mapping and no importer reaches the device through any more
 */
void dvp_events_revoked(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;

	scoped_guard(spinlock, &dvp->events_lock)
		buffer->told_end = dvp->told_changes + 1;
	wake_up_all(&dvp->events_wait);
}
