// SPDX-License-Identifier: MIT
/* Call sites of the driver made to fail, by the tests' module. */
#define _GNU_SOURCE
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "inject/inject.h"
#include "suite.h"

#define VM_FAULT_OOM		1
/* What an xarray's functions return instead of a pointer. */
#define XA_ENOMEM		(-ENOMEM * 4 + 2)

static const struct failure failures[] = {
	/* memory */
	{ "__kmalloc_noprof", 0, ENOMEM, 0 },
	{ "__kmalloc_cache_noprof", 0, ENOMEM, 0 },
	{ "__kmalloc_large_noprof", 0, ENOMEM, 0 },
	{ "__kmalloc_node_noprof", 0, ENOMEM, 0 },
	{ "__kvmalloc_node_noprof", 0, ENOMEM, 0 },
	{ "kmem_cache_alloc_noprof", 0, ENOMEM, 0 },
	{ "kstrdup", 0, ENOMEM, 0 },
	{ "kstrdup_noprof", 0, ENOMEM, 0 },
	{ "kasprintf", 0, ENOMEM, 0 },
	{ "kmemdup_noprof", 0, ENOMEM, 0 },
	{ "memdup_user", -ENOMEM, ENOMEM, 0 },
	{ "vmemdup_user", -ENOMEM, ENOMEM, 0 },
	{ "sg_alloc_table", -ENOMEM, ENOMEM, 0 },
	{ "alloc_workqueue_noprof", 0, ENOMEM, 0 },
	{ "__xa_alloc", -ENOMEM, ENOMEM, 0 },
	{ "__xa_alloc_cyclic", -ENOMEM, ENOMEM, 0 },
	{ "__xa_insert", -ENOMEM, ENOMEM, 0 },
	{ "xa_insert", -ENOMEM, ENOMEM, 0 },
	/* Reserves an entry, which xa_store() fills later without fail. */
	{ "__xa_cmpxchg", XA_ENOMEM, ENOMEM, 0 },
	{ "ida_alloc_range", -ENOMEM, ENOMEM, 0 },

	/* user space's memory */
	{ "_copy_from_user", 0, EFAULT, FAILURE_ARG3 },
	{ "_copy_to_user", 0, EFAULT, FAILURE_ARG3 },
	{ "_inline_copy_from_user", 0, EFAULT, FAILURE_ARG3 },
	/* What the two are on arm64. */
	{ "__arch_copy_from_user", 0, EFAULT, FAILURE_ARG3 },
	{ "__arch_copy_to_user", 0, EFAULT, FAILURE_ARG3 },
	{ "__get_user_1", -EFAULT, EFAULT, 0 },
	{ "__get_user_2", -EFAULT, EFAULT, 0 },
	{ "__get_user_4", -EFAULT, EFAULT, 0 },
	{ "__get_user_8", -EFAULT, EFAULT, 0 },

	/* files */
	{ "anon_inode_getfd", -EMFILE, EMFILE, 0 },
	{ "anon_inode_getfile", -ENFILE, ENFILE, 0 },
	{ "anon_inode_create_getfile", -ENFILE, ENFILE, 0 },
	{ "get_unused_fd_flags", -EMFILE, EMFILE, 0 },
	{ "single_open", -ENOMEM, ENOMEM, 0 },
	/* A driver must not depend on its result: see debugfs_create_dir(). */
	{ "debugfs_create_dir", -ENOMEM, 0, 0 },
	{ "debugfs_create_file_full", -ENOMEM, 0, 0 },

	/* DMABUFs */
	{ "dma_buf_export", -ENOMEM, ENOMEM, 0 },
	{ "dma_buf_fd", -EMFILE, EMFILE, 0 },
	{ "dma_buf_get", -EBADF, EBADF, 0 },
	{ "dma_buf_attach_revocable", 0, EOPNOTSUPP, 0 },
	{ "dma_buf_phys_vec_to_sgt", -ENOMEM, ENOMEM, 0 },
	{ "pcim_p2pdma_provider", 0, EOPNOTSUPP, 0 },

	/* page tables */
	{ "apply_to_page_range", -ENOMEM, 0, 0 },
	{ "vmf_insert_pfn_pud", VM_FAULT_OOM, 0, 0 },
	{ "__pte_alloc", 1, 0, 0 },
	{ "__pmd_alloc", 1, 0, 0 },

	/* vfio-pci-core: an errno of its own, so that it is recognized */
	{ "_vfio_alloc_device", -ENOMEM, ENOMEM, 0 },
	{ "vfio_pci_core_init_dev", -EIO, EIO, 0 },
	{ "vfio_pci_core_register_device", -EIO, EIO, 0 },
	{ "vfio_pci_core_enable", -EIO, EIO, 0 },
	{ "vfio_pci_core_setup_barmap", -EIO, ENODEV, 0 },
	{ "vfio_pci_core_ioctl", -EIO, EIO, 0 },
	{ "vfio_pci_core_ioctl_feature", -EIO, EIO, 0 },
	{ "vfio_pci_core_mmap", -EIO, EIO, 0 },
	{ "vfio_pci_core_write", -EIO, EIO, 0 },
	{ "vfio_pci_core_read", -EIO, EIO, 0 },
	{ "vfio_pci_core_sriov_configure", -EIO, EIO, 0 },
	{ "__pci_register_driver", -EIO, EIO, 0 },

	/* waits */
	{ "prepare_to_wait_event", -EINTR, EINTR, FAILURE_FIRST | FAILURE_RETRY },
	{ "mutex_lock_interruptible", -EINTR, EINTR, FAILURE_RETRY },
	{ "mutex_lock_killable", -EINTR, EINTR, FAILURE_RETRY },
	{ "down_read_interruptible", -EINTR, EINTR, FAILURE_RETRY },
	{ "down_read_killable", -EINTR, EINTR, FAILURE_RETRY },
	{ "down_write_killable", -EINTR, EINTR, FAILURE_RETRY },
	{ "ww_mutex_lock_interruptible", -EINTR, EINTR, FAILURE_RETRY },
	{ "wait_for_completion_interruptible", -EINTR, EINTR, FAILURE_RETRY },
	{ "wait_for_completion_interruptible_timeout", -EINTR, EINTR, FAILURE_RETRY },
	{ "wait_for_completion_killable", -EINTR, EINTR, FAILURE_RETRY },
	{ "schedule_timeout_interruptible", 0, 0, FAILURE_RETRY },
	{ "schedule_timeout_killable", 0, 0, FAILURE_RETRY },
	{ "mutex_trylock", 0, 0, FAILURE_RETRY },
	{ "down_read_trylock", 0, 0, FAILURE_RETRY },
	{ "down_write_trylock", 0, 0, FAILURE_RETRY },
	{ "_raw_spin_trylock", 0, 0, FAILURE_RETRY },
	/* A device that is just being released is left out. */
	{ "kobject_get_unless_zero", 0, 0, FAILURE_RETRY },

	/* the rest */
	{ "kstrtobool", -EINVAL, EINVAL, 0 },
};

/* What cannot fail, by the beginning of its name. */
static const char *const safe[] = {
	/* put in by the compiler, or by the kernel's macros */
	"BUG_func", "__SCT__", "__asan_", "__kasan_", "__kcsan_", "__tsan_", "__check_object_size", "__fentry__",
	"__fortify_panic", "__get_user_nocheck_", "__sanitizer_cov_", "__stack_chk_fail",
	"__trace_trigger_soft_disabled", "__ubsan_", "__x86_", "__warn_printk", "kasan_",
	"lockdep_", "lock_", "debug_lockdep_", "rcu_", "__rcu_", "__srcu_check_", "__might_", "__cant_", "trace_",
	"perf_trace_", "bpf_trace_", "preempt_", "memcpy", "memset", "memmove", "memcmp",
	"strlen", "strnlen", "strcmp", "strncmp", "snprintf", "sized_strscpy", "dump_stack",
	/* locks, waiting and waking */
	"__init_rwsem", "__init_waitqueue_head", "__init_swait", "__mutex_init", "mutex_init",
	"mutex_lock", "mutex_unlock", "mutex_destroy", "down_read", "down_write", "up_read",
	"up_write", "ww_mutex_lock", "ww_mutex_unlock", "_raw_", "__raw_", "__wake_up", "wake_up_",
	"finish_wait", "init_wait_entry", "schedule", "queue_work_on", "flush_work",
	"cancel_work_sync", "destroy_workqueue", "__flush_workqueue", "drain_workqueue",
	"synchronize_", "call_rcu", "kfree_rcu", "kvfree_call_rcu", "complete", "wait_for_completion",
	"delayed_work_timer_fn", "init_timer_key", "__init_work", "usleep_range", "msleep",
	"jiffies_", "dma_resv_reset_max_fences", "prepare_to_wait", "add_wait_queue",
	"remove_wait_queue", "default_wake_function", "autoremove_wake_function",
	/* functions that release */
	"kfree", "kvfree", "fput", "dma_buf_put", "dma_buf_free_sgt", "put_device", "put_unused_fd",
	"sg_free_table", "debugfs_remove", "pci_unregister_driver", "xa_destroy", "__xa_erase",
	"xa_erase", "ida_free", "vfio_pci_core_close_device", "vfio_pci_core_release_dev",
	"vfio_pci_core_unregister_device", "module_put", "__module_put",
	/* what only looks, sets or prints */
	"__list_", "__vfio_pci_memory_enabled", "__vma_start_write", "_dev_", "_printk", "cc_mkdec",
	"cachemode2protval", "dma_buf_invalidate_mappings", "fd_install", "get_file_active", "get_device",
	"pci_match_id", "pgprot_writecombine", "rb_erase", "rb_insert_color", "refcount_", "seq_", "sg_next", "sysfs_emit",
	"unmap_mapping_range", "vfio_pci_core_finish_enable", "vm_get_page_prot", "vma_set_file",
	"xa_find", "xa_store", "xa_load", "xas_", "xa_get_mark", "__xa_set_mark", "__xa_clear_mark", "xa_set_mark",
	"xa_clear_mark", "zap_special_vma_range", "zap_vma_ptes", "__module_get", "pgd_", "pmd_", "pud_", "p4d_",
	"native_", "kvm_", "ptep_", "contpte_ptep_get", "__page_table_check_", "mt_find",
};

static bool is_safe(const char *callee)
{
	/* A beginning must not hide these. */
	if (strstr(callee, "interruptible") || strstr(callee, "killable") || strstr(callee, "trylock"))
		return false;
	for (size_t i = 0; i < sizeof(safe) / sizeof(*safe); i++)
		if (!strncmp(callee, safe[i], strlen(safe[i])))
			return true;
	return false;
}

/* Code that is put in elsewhere, and what the kernel's macros make for trace events. */
static bool runs(const struct callsite *site)
{
	return strncmp(site->function, "trace_", 6) && strncmp(site->function, "perf_trace_", 11) &&
	       strncmp(site->function, "__bpf_trace_", 12) && strncmp(site->function, "__traceiter_", 12) &&
	       strncmp(site->section, ".altinstr", 9) && strncmp(site->section, ".static_call", 12);
}

const struct failure *failure_known(const struct callsite *site)
{
	if (!runs(site))
		return NULL;
	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++)
		if (!strcmp(site->callee, failures[i].callee))
			return &failures[i];
	return NULL;
}

const struct failure *failure_of(const struct callsite *site)
{
	const struct failure *failure = failure_known(site);

	ck_assert_msg(failure || !runs(site) || is_safe(site->callee),
		      "%s() calls %s(): say in tests/vm/support/inject.c how that fails, or that it cannot",
		      site->function, site->callee);
	return failure;
}

int inject_open(void)
{
	int fd = open(INJECT_PATH, O_RDWR | O_CLOEXEC);

	ck_assert_msg(fd >= 0, INJECT_PATH ": %s", strerror(errno));
	return fd;
}

int inject_arm(int fd, const char *module, const struct callsite *site)
{
	struct inject_site request = {
		.address = section_address(module, site->section) + site->offset,
	};
	int number = ioctl(fd, INJECT_ARM, &request);

	ck_assert_msg(number >= 0, "%s() calls %s() at %s+%#jx: %s", site->function, site->callee,
		      site->section, (uintmax_t)site->offset, strerror(errno));
	return number;
}

int inject_arm_at_load(int fd, const char *module, const struct callsite *site)
{
	struct inject_site request = {
		.address = site->offset,
		.flags = !strcmp(site->section, ".init.text") ? INJECT_INIT_TEXT : INJECT_TEXT,
	};
	int number;

	snprintf(request.module, sizeof(request.module), "%s", module);
	number = ioctl(fd, INJECT_ARM, &request);
	ck_assert_works(number);
	return number;
}

void inject_fail(int fd, int number, const struct failure *failure,
		 unsigned int after, unsigned int times)
{
	struct inject_failure request = {
		.site = number,
		.flags = failure->flags & FAILURE_ARG3 ? INJECT_ARG3 : 0,
		.value = failure->value,
		.after = after,
		.times = times,
	};

	ck_assert_works(ioctl(fd, INJECT_FAIL, &request));
}

void inject_count(int fd, int number)
{
	struct inject_failure request = { .site = number };

	ck_assert_works(ioctl(fd, INJECT_FAIL, &request));
}

unsigned int inject_hits(int fd, int number)
{
	struct inject_count request = { .site = number };

	ck_assert_works(ioctl(fd, INJECT_COUNT, &request));
	return request.hits;
}
