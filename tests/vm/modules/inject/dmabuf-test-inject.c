// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes chosen call instructions of a kernel module fail; see inject.h.
 *
 * The kernel's own fault injection reaches allocations and a short list of
 * functions.  A kprobe on the call instruction reaches any call: its handler
 * leaves out the call and sets what it would have returned.
 */
#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "inject.h"
#include "instruction.h"

#define MOST_SITES	1024

struct site {
	struct kprobe probe;
	bool registered;
	bool tail;		/* is_tail_call() */
	u32 flags;
	char module[64];	/* not empty: armed when that is loaded */
	unsigned long offset;
	atomic_t hits;
	/* Changed only while no thread is expected to run the site. */
	unsigned long value;
	unsigned int after, times;
	bool arg3;
};

struct open_file {
	struct mutex lock;	/* protects what follows */
	struct site *sites[MOST_SITES];
	unsigned int nr;
	struct notifier_block notifier;
};

static int pre_handler(struct kprobe *probe, struct pt_regs *regs)
{
	struct site *site = container_of(probe, struct site, probe);
	unsigned int hit = atomic_inc_return(&site->hits) - 1;

	if (hit < site->after || hit - site->after >= site->times)
		return 0;

	regs_set_return_value(regs, site->arg3 ?
			      regs_get_kernel_argument(regs, 2) : site->value);
	if (site->tail)
		return_to_caller(regs);
	else
		instruction_pointer_set(regs, (unsigned long)probe->addr +
					CALL_SIZE);
	return 1;
}
NOKPROBE_SYMBOL(pre_handler);

/* A probe that has one is not turned into a jump, which could not skip the call. */
static void post_handler(struct kprobe *probe, struct pt_regs *regs,
			 unsigned long flags)
{
}
NOKPROBE_SYMBOL(post_handler);

static int register_site(struct site *site, unsigned long address)
{
	instruction_t instruction;
	int ret;

	if (copy_from_kernel_nofault(&instruction, (void *)address,
				     sizeof(instruction)))
		return -EFAULT;
	if (!is_call(instruction) && !is_tail_call(instruction))
		return -EILSEQ;

	site->tail = is_tail_call(instruction);
	site->probe.addr = (kprobe_opcode_t *)address;
	site->probe.pre_handler = pre_handler;
	site->probe.post_handler = post_handler;
	ret = register_kprobe(&site->probe);
	site->registered = !ret;
	return ret;
}

/* Init text exists from here until the module's init function has returned. */
static int module_changes(struct notifier_block *notifier, unsigned long state,
			  void *data)
{
	struct open_file *of = container_of(notifier, struct open_file, notifier);
	struct module *module = data;
	unsigned int i;

	if (state != MODULE_STATE_COMING)
		return NOTIFY_DONE;
	for (i = 0; i < READ_ONCE(of->nr); i++) {
		struct site *site = of->sites[i];
		bool init = site->flags & INJECT_INIT_TEXT;
		void *base = module->mem[init ? MOD_INIT_TEXT : MOD_TEXT].base;
		int ret;

		if (strcmp(site->module, module->name) || site->registered)
			continue;
		ret = register_site(site, (unsigned long)base + site->offset);
		if (ret)
			pr_warn("dmabuf-test-inject: %stext+%#lx: %d\n",
				init ? "init " : "", site->offset, ret);
	}
	return NOTIFY_DONE;
}

static int inject_open(struct inode *inode, struct file *file)
{
	struct open_file *of = kvzalloc(sizeof(*of), GFP_KERNEL);
	int ret;

	if (!of)
		return -ENOMEM;
	mutex_init(&of->lock);
	of->notifier.notifier_call = module_changes;
	ret = register_module_notifier(&of->notifier);
	if (ret) {
		kvfree(of);
		return ret;
	}
	file->private_data = of;
	return 0;
}

static int inject_release(struct inode *inode, struct file *file)
{
	struct open_file *of = file->private_data;
	unsigned int i, nr = 0;
	struct kprobe **probes;

	unregister_module_notifier(&of->notifier);
	/* One by one each would wait for every processor. */
	probes = kvcalloc(MOST_SITES, sizeof(*probes), GFP_KERNEL | __GFP_NOFAIL);
	for (i = 0; i < of->nr; i++)
		if (of->sites[i]->registered)
			probes[nr++] = &of->sites[i]->probe;
	if (nr)
		unregister_kprobes(probes, nr);
	for (i = 0; i < of->nr; i++)
		kfree(of->sites[i]);
	kvfree(probes);
	mutex_destroy(&of->lock);
	kvfree(of);
	return 0;
}

static int add_site(struct open_file *of, const struct inject_site *request)
{
	struct site *site = kzalloc(sizeof(*site), GFP_KERNEL);
	int ret = 0;

	if (!site)
		return -ENOMEM;

	if (request->flags) {
		strscpy(site->module, request->module);
		site->flags = request->flags;
		site->offset = request->address;
	} else {
		ret = register_site(site, request->address);
	}
	if (ret) {
		kfree(site);
		return ret;
	}
	of->sites[of->nr] = site;
	WRITE_ONCE(of->nr, of->nr + 1);
	return of->nr - 1;
}

static int arm(struct open_file *of, const void __user *arg)
{
	struct inject_site request;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (of->nr == MOST_SITES)
		return -ENOSPC;
	return add_site(of, &request);
}

static int fail(struct open_file *of, const void __user *arg)
{
	struct inject_failure request;
	struct site *site;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.site >= of->nr)
		return -EINVAL;
	site = of->sites[request.site];
	site->times = 0;
	atomic_set(&site->hits, 0);
	site->value = request.value;
	site->arg3 = request.flags & INJECT_ARG3;
	site->after = request.after;
	site->times = request.times;
	return 0;
}

static int count(struct open_file *of, void __user *arg)
{
	struct inject_count request;

	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	if (request.site >= of->nr)
		return -EINVAL;
	request.hits = atomic_read(&of->sites[request.site]->hits);
	return copy_to_user(arg, &request, sizeof(request)) ? -EFAULT : 0;
}

static long inject_ioctl(struct file *file, unsigned int cmd, unsigned long number)
{
	struct open_file *of = file->private_data;
	void __user *arg = (void __user *)number;

	guard(mutex)(&of->lock);

	switch (cmd) {
	case INJECT_ARM:
		return arm(of, arg);
	case INJECT_FAIL:
		return fail(of, arg);
	case INJECT_COUNT:
		return count(of, arg);
	}
	return -ENOTTY;
}

static const struct file_operations inject_fops = {
	.owner		= THIS_MODULE,
	.open		= inject_open,
	.release	= inject_release,
	.unlocked_ioctl	= inject_ioctl,
};

static struct miscdevice inject_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "dmabuf-test-inject",
	.fops	= &inject_fops,
	.mode	= 0600,
};
module_misc_device(inject_device);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("Makes chosen calls of a module fail");
