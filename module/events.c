// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that reports when a buffer, or the device as a whole, is suspended,
 * resumed and revoked.
 *
 * Nothing is queued: a change increments a count and wakes readers, and a read
 * compares the count.  The reported state is separate from the state that
 * faults test, because a change is reported when it is complete.  Between the
 * setting of revoked and the end of the zap a mapping can still reach the
 * device.
 *
 * Each file has a wait queue of its own, and a work item that wakes it.
 * Clients choose how many of them wait, and the owner that revokes or resets
 * must not pay for them.
 *
 * A file holds its buffer's memory, not the DMABUF.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "device.h"
#include "events.h"

#define NEVER_READ	U64_MAX

struct dvp_events {
	struct dvp_device *dvp;		/* with a reference, as is */
	struct dvp_buffer *buffer;	/* NULL: the device as a whole */
	struct list_head in_device;	/* dvp->watchers */
	struct list_head in_buffer;	/* buffer->watchers */
	wait_queue_head_t wait;
	struct work_struct wake;
	bool woken;			/* the work has been queued once; under events_lock */
	u64 end;			/* of the device; see buffer->told_end */
	/*
	 * event.changes of the last read.  Simultaneous readers of one file can
	 * get the same.
	 */
	u64 seen;
};

static struct workqueue_struct *wake_queue;

static u32 state_at(const struct dvp_device *dvp, u64 end)
{
	if (end)
		return VFIO_DMABUF_STATE_REVOKED;
	if (dvp->told_reasons)
		return VFIO_DMABUF_STATE_SUSPENDED;
	return VFIO_DMABUF_STATE_LIVE;
}

static void look(struct dvp_events *events, struct vfio_dmabuf_event *event)
{
	struct dvp_device *dvp = events->dvp;
	u64 end;

	spin_lock(&dvp->events_lock);
	end = events->buffer ? events->buffer->told_end : events->end;
	event->changes = end ?: dvp->told_changes;
	event->state = state_at(dvp, end);
	spin_unlock(&dvp->events_lock);
}

/* Whether a read has something new, or the end of the file, to return. */
static bool readable(struct dvp_events *events, struct vfio_dmabuf_event *event)
{
	look(events, event);
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
		ret = wait_event_interruptible(events->wait,
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

	poll_wait(file, &events->wait, table);
	if (!readable(events, &event))
		return 0;
	if (event.state == VFIO_DMABUF_STATE_REVOKED)
		return EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return EPOLLIN | EPOLLRDNORM;
}

static void events_free(struct dvp_events *events)
{
	if (events->buffer)
		dvp_buffer_put(events->buffer);
	vfio_put_device(&events->dvp->core.vdev);
	kfree(events);
}

static int events_release(struct inode *inode, struct file *file)
{
	struct dvp_events *events = file->private_data;
	bool woken;

	scoped_guard(spinlock, &events->dvp->events_lock) {
		list_del(&events->in_device);
		list_del(&events->in_buffer);
		woken = events->woken;
	}
	if (woken)
		cancel_work_sync(&events->wake);
	events_free(events);
	return 0;
}

static void wake_watchers(struct work_struct *work)
{
	struct dvp_events *events = container_of(work, struct dvp_events, wake);

	wake_up_all(&events->wait);
}

static const struct file_operations dvp_events_fops = {
	.owner		= THIS_MODULE,
	.read		= events_read,
	.poll		= events_poll,
	.release	= events_release,
};

/**
 * dvp_events_start() - called before there is a device
 *
 * Return: 0 or -ENOMEM.
 */
int dvp_events_start(void)
{
	wake_queue = alloc_workqueue(DVP_DRIVER, WQ_UNBOUND, 0);
	return wake_queue ? 0 : -ENOMEM;
}

/**
 * dvp_events_stop() - called when no device and no file is left
 */
void dvp_events_stop(void)
{
	destroy_workqueue(wake_queue);
}

/**
 * dvp_events_queue() - run a work item soon
 * @work: wakes readers
 */
void dvp_events_queue(struct work_struct *work)
{
	queue_work(wake_queue, work);
}

/*
 * Under events_lock, after what is to be reported is set.  One who begins to wait puts
 * itself into the queue and then looks, under that lock: it is seen here, or it sees
 * what is reported.  Mostly nobody waits, and the work would cost more than the rest.
 */
static void wake(struct dvp_events *events)
{
	lockdep_assert_held(&events->dvp->events_lock);

	if (wq_has_sleeper(&events->wait)) {
		events->woken = true;
		dvp_events_queue(&events->wake);
	}
}

/**
 * dvp_events_init() - for a new device
 * @dvp: the device
 */
void dvp_events_init(struct dvp_device *dvp)
{
	spin_lock_init(&dvp->events_lock);
	INIT_LIST_HEAD(&dvp->watchers);
}

/**
 * dvp_events_file() - make a file that reports what happens
 * @dvp: an open device
 * @buffer: of it, or NULL: to the device as a whole
 * @open_flags: O_CLOEXEC, which is the caller's affair, and O_NONBLOCK
 *
 * Return: the file, an ERR_PTR() of -EINVAL for other flags, or as usual.
 */
struct file *dvp_events_file(struct dvp_device *dvp, struct dvp_buffer *buffer,
			     u32 open_flags)
{
	struct dvp_events *events;
	struct file *file;

	if (open_flags & ~(O_CLOEXEC | O_NONBLOCK))
		return ERR_PTR(-EINVAL);

	events = kzalloc_obj(*events, GFP_KERNEL_ACCOUNT);
	if (!events)
		return ERR_PTR(-ENOMEM);
	get_device(&dvp->core.vdev.device);
	events->dvp = dvp;
	if (buffer)
		refcount_inc(&buffer->refs);
	events->buffer = buffer;
	events->seen = NEVER_READ;
	init_waitqueue_head(&events->wait);
	INIT_WORK(&events->wake, wake_watchers);

	file = anon_inode_getfile("[vfio-dmabuf-events]", &dvp_events_fops,
				  events, O_RDONLY | open_flags);
	if (IS_ERR(file)) {
		events_free(events);
		return file;
	}

	scoped_guard(spinlock, &dvp->events_lock) {
		list_add(&events->in_device, &dvp->watchers);
		if (buffer)
			list_add(&events->in_buffer, &buffer->watchers);
		else
			INIT_LIST_HEAD(&events->in_buffer);
	}
	return file;
}

/**
 * dvp_events_open() - make such a file and give it to the caller's process
 * @dvp: an open device
 * @buffer: of it, or NULL: to the device as a whole
 * @open_flags: O_CLOEXEC, O_NONBLOCK
 *
 * Return: its fd, -EINVAL for other flags, or as usual.
 */
int dvp_events_open(struct dvp_device *dvp, struct dvp_buffer *buffer,
		    u32 open_flags)
{
	struct file *file = dvp_events_file(dvp, buffer, open_flags);
	int fd;

	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(open_flags);
	if (fd < 0)
		fput(file);
	else
		/* From here user space can close it. */
		fd_install(fd, file);
	return fd;
}

/**
 * dvp_events_state() - what has been reported of a buffer
 * @buffer: any
 *
 * Return: VFIO_DMABUF_STATE_*.
 */
u32 dvp_events_state(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;
	u32 state;

	spin_lock(&dvp->events_lock);
	state = state_at(dvp, buffer->told_end);
	spin_unlock(&dvp->events_lock);
	return state;
}

/**
 * dvp_events_suspended() - report that a device is suspended or no longer is
 * @dvp: the device
 * @reason: which one; all of them are reported as suspended
 * @suspended: true: no mapping reaches the device any more; false: the reason
 * no longer holds
 *
 * Does not sleep.
 */
void dvp_events_suspended(struct dvp_device *dvp, enum dvp_reason reason,
			  bool suspended)
{
	struct dvp_events *events;
	unsigned int before;

	spin_lock(&dvp->events_lock);
	before = dvp->told_reasons;
	if (suspended)
		dvp->told_reasons |= reason;
	else
		dvp->told_reasons &= ~reason;
	if (!before != !dvp->told_reasons) {
		dvp->told_changes++;
		list_for_each_entry(events, &dvp->watchers, in_device)
			wake(events);
	}
	spin_unlock(&dvp->events_lock);
}

/**
 * dvp_events_revoked() - report that a buffer is revoked, once it is
 * @buffer: any; does nothing while a mapping or an importer is left, nor the
 * second time
 *
 * Called when the last mapping of importers is undone, and after an eviction.  A
 * mapping that is being made at that time is undone as well.  Does not sleep.
 */
void dvp_events_revoked(struct dvp_buffer *buffer)
{
	struct dvp_device *dvp = buffer->dvp;
	struct dvp_events *events;

	/* Pairs with the release where it is set. */
	if (!smp_load_acquire(&buffer->zapped) ||
	    atomic_read(&buffer->dma_maps))
		return;

	spin_lock(&dvp->events_lock);
	if (!buffer->told_end) {
		buffer->told_end = dvp->told_changes + 1;
		list_for_each_entry(events, &buffer->watchers, in_buffer)
			wake(events);
	}
	spin_unlock(&dvp->events_lock);
}

/**
 * dvp_events_closed() - report that a device is closed, to its own files
 * @dvp: the device, with all buffers revoked
 */
void dvp_events_closed(struct dvp_device *dvp)
{
	struct dvp_events *events;

	spin_lock(&dvp->events_lock);
	list_for_each_entry(events, &dvp->watchers, in_device) {
		if (events->buffer || events->end)
			continue;
		events->end = dvp->told_changes + 1;
		wake(events);
	}
	spin_unlock(&dvp->events_lock);
}
