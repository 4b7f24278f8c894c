// SPDX-License-Identifier: GPL-2.0-only
/*
 * <debugfs>/<driver>/<BDF>/buffers lists a device's buffers, and the module's
 * trace events are defined here.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <uapi/linux/vfio_dmabuf.h>
#include "compat.h"
#include "access.h"
#include "buffer.h"
#include "debug.h"
#include "device.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* A buffer can have tens of thousands of runs; a line shows at most this many. */
#define SHOWN_RUNS	16

static struct dentry *debug_root;

static void show_ranges(struct seq_file *seq, const struct dvp_ranges *ranges)
{
	u32 i, shown = min_t(u32, ranges->nr_runs, SHOWN_RUNS);

	for (i = 0; i < shown; i++) {
		seq_printf(seq, "%c0x%llx+0x%llx", i ? ',' : ' ',
			   ranges->runs[i].bar_page << PAGE_SHIFT,
			   dvp_ranges_run_pages(ranges, i) << PAGE_SHIFT);
	}
	if (shown < ranges->nr_runs)
		seq_printf(seq, ",+%u", ranges->nr_runs - shown);
}

/*
 * Every process with the fd can set the DMABUF's name.  It is escaped, so that
 * it stays one column and cannot change the state of a terminal.
 */
static void show_name(struct seq_file *seq, struct dma_buf *dmabuf)
{
	spin_lock(&dmabuf->name_lock);
	if (*dmabuf->name)
		seq_escape_str(seq, dmabuf->name,
			       ESCAPE_OCTAL | ESCAPE_NAP | ESCAPE_APPEND,
			       " \\");
	else
		seq_putc(seq, '-');
	spin_unlock(&dmabuf->name_lock);
}

/* Under buffers_lock, which keeps the DMABUF. */
static void show_buffer(struct seq_file *seq, struct dvp_buffer *buffer)
{
	static const char * const states[] = {
		[DVP_ACCESS_LIVE] = "live",
		[DVP_ACCESS_HELD] = "suspended",
		[DVP_ACCESS_SUSPENDED] = "suspended",
		[DVP_ACCESS_REVOKED] = "revoked",
	};
	enum dvp_access access;

	scoped_guard(raw_spinlock, &buffer->dvp->gate)
		access = dvp_access_test(buffer);

	seq_printf(seq, "%u %s %s %s %d 0x%llx ", buffer->bar,
		   dvp_buffer_is_slice(buffer) ? "slice" : "bar",
		   states[access], buffer->read_only ? "ro" : "rw",
		   atomic_read(&buffer->mappings),
		   buffer->ranges.nr_pages << PAGE_SHIFT);

	show_name(seq, buffer->dmabuf);

	show_ranges(seq, &buffer->ranges);
	/* The inode is the key to its mappings in /proc/<pid>/maps. */
	seq_printf(seq, " %s %d %llu %llu\n",
		   buffer->memattr == VFIO_DMABUF_MEMATTR_WC ? "wc" : "nc",
		   atomic_read(&buffer->dma_maps), buffer->inode,
		   dvp_buffer_id(buffer));
}

static int buffers_show(struct seq_file *seq, void *unused)
{
	struct dvp_device *dvp = seq->private;
	struct dvp_buffer *buffer;
	u64 id = 0;

	seq_puts(seq, "# bar kind state mode mappings size name ranges memattr importers inode id\n");

	guard(rwsem_read)(&dvp->core.memory_lock);

	/* Clients take the lock, too. So it is held for one buffer at a time. */
	do {
		spin_lock(&dvp->buffers_lock);
		buffer = dvp_buffer_from(dvp, id);
		if (buffer) {
			show_buffer(seq, buffer);
			id = dvp_buffer_id(buffer) + 1;
		}
		spin_unlock(&dvp->buffers_lock);
	} while (buffer);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(buffers);

void dvp_debug_init(void)
{
	debug_root = debugfs_create_dir(DVP_DRIVER, NULL);
}

void dvp_debug_exit(void)
{
	debugfs_remove(debug_root);
}

void dvp_debug_add(struct dvp_device *dvp)
{
	dvp->debugfs = debugfs_create_dir(dvp->bdf, debug_root);
	debugfs_create_file("buffers", 0400, dvp->debugfs, dvp, &buffers_fops);
}

void dvp_debug_remove(struct dvp_device *dvp)
{
	debugfs_remove(dvp->debugfs);
}
