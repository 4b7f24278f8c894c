/* SPDX-License-Identifier: MIT */
/*
 * An external engine of fio that reads and writes through lent NVMe queue pairs:
 *
 *	vfio-dmabuf run -s nvme/queue -- fio --ioengine=external:/usr/lib/.../fio-vfio-dmabuf.so ...
 *
 * Each job takes a queue pair of its own from those that vfio-dmabuf run has passed.  fio's
 * buffers are in the memory that was lent with it, so nothing is copied, and the job makes
 * no system call while it waits for completions.
 *
 * A job that verifies has buffers of its own, and the engine copies.  The lent memory is taken
 * away with the lease, at any time: fio would find zeros in a buffer that it compares, and
 * report that the drive has lost data.
 *
 * The headers are fio's, and fio is GPL-2.0: so is what is built from this file.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <fio.h>
#include <optgroup.h>

#include <vfio-dmabuf-nvme.h>

#include "inherited.h"

#define LOOK_EVERY	(1u << 16)	/* empty polls between looks at the doorbells' state */
#define END_SECONDS	10		/* for the owner to say that a revoked queue has ended */

struct settings {
	void *of_fio;			/* the first member must be a pointer */
	char *slice;
	unsigned int nsid;
};

struct job {
	struct vdb_nvme *queue;
	struct vdb_slice *doorbells;
	uint32_t nsid;
	unsigned int block_shift;
	unsigned int unrung;		/* commands that are submitted since commit() */
	unsigned int idle;		/* polls since something was completed */
	time_t revoked;			/* when that was seen; 0: it was not */
	bool reported;			/* that the queue has ended */
	struct vdb_nvme_completion *completions;
	char *data;			/* lent: for what fio has at buffers */
	char *buffers;			/* the same, unless the job verifies */
	size_t buffers_size;
};

static struct fio_option options[] = {
	{
		.name = "slice",
		.lname = "Slice",
		.type = FIO_OPT_STR_STORE,
		.off1 = offsetof(struct settings, slice),
		.help = "Name of the slice as for vfio-dmabuf run: nvme/queue, or nvme/queue[3] (default: any with memory)",
		.category = FIO_OPT_C_ENGINE,
		.group = FIO_OPT_G_INVALID,
	},
	{
		.name = "nsid",
		.lname = "Namespace",
		.type = FIO_OPT_INT,
		.off1 = offsetof(struct settings, nsid),
		.help = "Number of the namespace (default: the first)",
		.category = FIO_OPT_C_ENGINE,
		.group = FIO_OPT_G_INVALID,
	},
	{ .name = NULL },
};

struct ioengine_ops ioengine;

/*
 * fio compares only the version of the engines' interface, but the structures that this
 * file uses change more often.
 */
static bool is_built_for_this_fio(const struct thread_data *td)
{
	return !strcmp(fio_version_string, FIO_VERSION) && td->io_ops == &ioengine && td->eo;
}

static bool choose_namespace(struct thread_data *td, struct job *job, const struct vdb_nvme_namespace **chosen)
{
	const struct settings *settings = td->eo;
	const struct vdb_nvme_namespace *namespace;

	for (unsigned int i = 0; (namespace = vdb_nvme_namespace(job->queue, i)); i++) {
		if (settings->nsid && namespace->id != settings->nsid)
			continue;
		job->nsid = namespace->id;
		job->block_shift = __builtin_ctz(namespace->block_size);
		*chosen = namespace;
		return true;
	}
	if (settings->nsid)
		log_err("vfio-dmabuf: the controller has no usable namespace %u; set nsid= to one that it has\n",
			settings->nsid);
	else
		log_err("vfio-dmabuf: the controller has no namespace that can be used\n");
	return false;
}

/* Whether the queue can do what the job's options ask for. */
static bool fits(const struct thread_data *td, const struct job *job)
{
	const struct thread_options *o = &td->o;

	if (o->iodepth > vdb_nvme_depth(job->queue)) {
		log_err("vfio-dmabuf: iodepth=%u, but the queue has room for %u commands; lower it, or lend a deeper queue\n",
			o->iodepth, vdb_nvme_depth(job->queue));
		return false;
	}
	for (enum fio_ddir ddir = DDIR_READ; ddir <= DDIR_WRITE; ddir++) {
		if (ddir == DDIR_READ ? !td_read(td) && !o->verify : !td_write(td))
			continue;
		if ((o->min_bs[ddir] | o->max_bs[ddir]) & ((1ULL << job->block_shift) - 1)) {
			log_err("vfio-dmabuf: bs=%llu is not in blocks of %u bytes, which the namespace has\n",
				o->min_bs[ddir], 1u << job->block_shift);
			return false;
		}
		if (o->max_bs[ddir] > vdb_nvme_max_transfer(job->queue)) {
			log_err("vfio-dmabuf: bs=%llu, but the controller transfers at most %zu bytes at once; lower it\n",
				o->max_bs[ddir], vdb_nvme_max_transfer(job->queue));
			return false;
		}
	}
	return true;
}

/* Opens the first queue that no job has yet.  A lease can be opened once, by any process. */
static bool open_queue(struct thread_data *td, struct job *job)
{
	const struct settings *settings = td->eo;
	char error[VDB_ERROR_SIZE];
	unsigned int nr_taken = 0;
	struct inherited lease;

	for (unsigned int i = 0;; i++) {
		int ret = inherited_queue(settings->slice, i, &lease, error);

		if (ret < 0) {
			log_err("vfio-dmabuf: %s\n", error);
			return false;
		}
		if (!ret)
			break;
		job->queue = vdb_nvme_open(lease.doorbells, lease.memory, NULL, error);
		vdb_slice_free(lease.memory);
		if (job->queue) {
			job->doorbells = lease.doorbells;
			return true;
		}
		vdb_slice_free(lease.doorbells);
		if (errno != EBUSY) {
			log_err("vfio-dmabuf: %s: %s\n", lease.name, error);
			return false;
		}
		nr_taken++;
	}
	if (nr_taken)
		log_err("vfio-dmabuf: all %u queues are taken by other jobs; each job needs a lease of its own: vfio-dmabuf run -s nvme/queue -s nvme/queue -- fio ...\n",
			nr_taken);
	else if (settings->slice)
		log_err("vfio-dmabuf: there is no slice \"%s\" with memory; run fio with it: vfio-dmabuf run -s %s -- fio ...\n",
			settings->slice, settings->slice);
	else
		log_err("vfio-dmabuf: there is no slice with memory; run fio with one: vfio-dmabuf run -s nvme/queue -- fio ...\n");
	return false;
}

static void free_job(struct job *job)
{
	if (!job)
		return;
	vdb_nvme_close(job->queue);
	vdb_slice_free(job->doorbells);
	free(job->completions);
	free(job);
}

/* fio needs the size of the namespace, and so the queue, before it starts jobs. */
static int setup(struct thread_data *td)
{
	const struct vdb_nvme_namespace *namespace;
	struct job *job;

	if (!is_built_for_this_fio(td)) {
		log_err("vfio-dmabuf: the engine is built for %s, but this is another fio (%s); build it with this fio's headers\n",
			FIO_VERSION, fio_version_string);
		return 1;
	}
	if (td_trim(td)) {
		log_err("vfio-dmabuf: trim is not possible; use read and write\n");
		return 1;
	}
	job = calloc(1, sizeof(*job));
	if (!job)
		return 1;
	if (vdb_guard_enable()) {
		log_err("vfio-dmabuf: revocation cannot be caught: %s\n", strerror(errno));
		goto fail;
	}
	if (!open_queue(td, job) || !choose_namespace(td, job, &namespace) || !fits(td, job))
		goto fail;
	job->completions = calloc(vdb_nvme_depth(job->queue), sizeof(*job->completions));
	if (!job->completions)
		goto fail;
	if (!td->files_index) {
		add_file(td, "nvme", 0, 0);
		td->o.nr_files = td->o.nr_files ?: 1;
		td->o.open_files++;
	}
	if (td->o.nr_files > 1) {
		log_err("vfio-dmabuf: a job has one namespace, so nrfiles= must be 1\n");
		goto fail;
	}
	td->files[0]->real_file_size = namespace->blocks << job->block_shift;
	fio_file_set_size_known(td->files[0]);
	td->io_ops_data = job;
	return 0;
fail:
	free_job(job);
	return 1;
}

static void cleanup(struct thread_data *td)
{
	free_job(td->io_ops_data);
}

static int iomem_alloc(struct thread_data *td, size_t size)
{
	struct job *job = td->io_ops_data;
	size_t room;

	job->data = vdb_nvme_data(job->queue, &room);
	if (size > room) {
		log_err("vfio-dmabuf: the job needs %zu bytes for its buffers, and the lease has %zu; lower iodepth= or bs=, or lend more memory\n",
			size, room);
		return 1;
	}
	job->buffers = job->data;
	if (td->o.verify) {
		job->buffers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (job->buffers == MAP_FAILED) {
			log_err("vfio-dmabuf: %zu bytes for buffers: %s\n", size, strerror(errno));
			return 1;
		}
		job->buffers_size = size;
	}
	td->orig_buffer = job->buffers;
	return 0;
}

static void iomem_free(struct thread_data *td)
{
	struct job *job = td->io_ops_data;

	if (job->buffers_size)
		munmap(job->buffers, job->buffers_size);
	job->buffers_size = 0;
	td->orig_buffer = NULL;
}

/* Where the controller has the data of a command. */
static char *lent_data(const struct job *job, const struct io_u *io_u)
{
	return job->data + ((char *)io_u->xfer_buf - job->buffers);
}

/* False: the lease has ended, and what was copied may not be what was read. */
static bool copy_from_lent(const struct job *job, const struct io_u *io_u)
{
	memcpy(io_u->xfer_buf, lent_data(job, io_u), io_u->xfer_buflen);
	return !vdb_nvme_has_ended(job->queue);
}

static int open_file(struct thread_data *td, struct fio_file *file)
{
	(void)td, (void)file;
	return 0;
}

static int close_file(struct thread_data *td, struct fio_file *file)
{
	(void)td, (void)file;
	return 0;
}

/* Once, because fio reports each command. */
static void report_end(struct job *job)
{
	if (!job->reported)
		log_err("vfio-dmabuf: the queue has ended: its lease has ended, or the controller was reset; what was written last may not be on the drive\n");
	job->reported = true;
}

static enum fio_q_status queue(struct thread_data *td, struct io_u *io_u)
{
	struct job *job = td->io_ops_data;
	uint64_t tag = (uintptr_t)io_u;
	uint64_t block = io_u->offset >> job->block_shift;
	uint32_t blocks = io_u->xfer_buflen >> job->block_shift;
	int ret;

	switch (io_u->ddir) {
	case DDIR_READ:
		ret = vdb_nvme_read(job->queue, job->nsid, block, blocks, lent_data(job, io_u), tag);
		break;
	case DDIR_WRITE:
		if (job->buffers_size)
			memcpy(lent_data(job, io_u), io_u->xfer_buf, io_u->xfer_buflen);
		ret = vdb_nvme_write(job->queue, job->nsid, block, blocks, lent_data(job, io_u), tag);
		break;
	case DDIR_SYNC:
	case DDIR_DATASYNC:
		ret = vdb_nvme_flush(job->queue, job->nsid, tag);
		break;
	default:
		errno = EOPNOTSUPP;
		ret = -1;
	}
	if (!ret) {
		job->unrung++;
		return FIO_Q_QUEUED;
	}
	if (errno == EAGAIN)
		return FIO_Q_BUSY;
	io_u->error = errno;
	io_u->engine_data = NULL;
	if (errno == ENODEV)
		report_end(job);
	return FIO_Q_COMPLETED;
}

static int commit(struct thread_data *td)
{
	struct job *job = td->io_ops_data;

	if (!job->unrung)
		return 0;
	io_u_mark_submit(td, job->unrung);
	job->unrung = 0;
	/* If the doorbells are revoked, getevents() reports the commands. */
	vdb_nvme_ring(job->queue);
	return 0;
}

/*
 * The owner writes into the memory that the queue has ended.  It cannot do that if it has
 * died; then the revocation of the doorbells is all that there is.
 */
static void look_for_end(struct job *job)
{
	if (!job->revoked) {
		if (vdb_slice_event_fd(job->doorbells) >= 0 &&
		    vdb_slice_state(job->doorbells, NULL) == VDB_STATE_REVOKED)
			job->revoked = time(NULL);
	} else if (time(NULL) > job->revoked + END_SECONDS) {
		vdb_nvme_end(job->queue);
	}
}

static bool is_over(const struct timespec *begin, const struct timespec *timeout)
{
	return ntime_since_now(begin) >= timeout->tv_sec * 1000000000ULL + timeout->tv_nsec;
}

static int getevents(struct thread_data *td, unsigned int min, unsigned int max, const struct timespec *timeout)
{
	struct job *job = td->io_ops_data;
	struct timespec begin;
	unsigned int nr = 0;

	if (timeout && min)
		fio_gettime(&begin, NULL);
	for (;;) {
		int ret = vdb_nvme_poll(job->queue, job->completions + nr, max - nr);

		if (ret < 0 && !nr) {
			ret = -errno;
			report_end(job);
			return ret;
		}
		if (ret > 0) {
			nr += ret;
			job->idle = 0;
		}
		if (ret < 0 || nr >= min)
			return nr;
		if (timeout && is_over(&begin, timeout))
			return nr;
		if (++job->idle % LOOK_EVERY == 0)
			look_for_end(job);
		nop;
	}
}

static struct io_u *event(struct thread_data *td, int i)
{
	struct job *job = td->io_ops_data;
	const struct vdb_nvme_completion *completion = &job->completions[i];
	struct io_u *io_u = (struct io_u *)(uintptr_t)completion->tag;
	uint32_t status = completion->status;

	if (!status && job->buffers_size && io_u->ddir == DDIR_READ && !copy_from_lent(job, io_u))
		status = VDB_NVME_LOST;
	io_u->error = vdb_nvme_status_errno(status);
	io_u->resid = 0;
	io_u->engine_data = (void *)(uintptr_t)status;
	if (io_u->error == ENODEV)
		report_end(job);
	return io_u;
}

static char *errdetails(struct thread_data *td, struct io_u *io_u)
{
	uint32_t status = (uintptr_t)io_u->engine_data;

	(void)td;
	/* 0: it was not submitted. */
	return status ? strdup(vdb_nvme_status_text(status)) : NULL;
}

struct ioengine_ops ioengine = {
	.name = "vfio-dmabuf",
	.version = FIO_IOOPS_VERSION,
	.flags = FIO_DISKLESSIO | FIO_NOEXTEND | FIO_NODISKUTIL | FIO_NO_OFFLOAD,
	.setup = setup,
	.cleanup = cleanup,
	.iomem_alloc = iomem_alloc,
	.iomem_free = iomem_free,
	.open_file = open_file,
	.close_file = close_file,
	.queue = queue,
	.commit = commit,
	.getevents = getevents,
	.event = event,
	.errdetails = errdetails,
	.options = options,
	.option_struct_size = sizeof(struct settings),
};
