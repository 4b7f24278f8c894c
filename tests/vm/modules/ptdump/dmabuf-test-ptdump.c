// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows a process its own page table entries, as they are: what memory type a
 * mapping really has is in no file of /proc.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pgtable.h>
#include <linux/uaccess.h>
#include "ptdump.h"

/* Walks without the tables' locks: the mmap lock is enough for a look. */
static void look_up(struct mm_struct *mm, struct ptdump_entry *result)
{
	unsigned long address = result->address;
	pgd_t *pgd = pgd_offset(mm, address);
	p4d_t *p4d;
	pud_t *pud, pud_value;
	pmd_t *pmd, pmd_value;

	if (pgd_none(*pgd))
		return;
	p4d = p4d_offset(pgd, address);
	if (p4d_none(*p4d))
		return;

	pud = pud_offset(p4d, address);
	pud_value = READ_ONCE(*pud);
	result->shift = PUD_SHIFT;
	result->entry = pud_val(pud_value);
	if (pud_none(pud_value) || pud_leaf(pud_value))
		return;

	pmd = pmd_offset(pud, address);
	pmd_value = READ_ONCE(*pmd);
	result->shift = PMD_SHIFT;
	result->entry = pmd_val(pmd_value);
	if (pmd_none(pmd_value) || pmd_leaf(pmd_value))
		return;

	result->shift = PAGE_SHIFT;
	result->entry = pte_val(ptep_get(pte_offset_kernel(pmd, address)));
}

static long ptdump_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ptdump_entry __user *user = (void __user *)arg;
	struct ptdump_entry result;

	if (cmd != PTDUMP_LOOK_UP)
		return -ENOTTY;
	if (copy_from_user(&result, user, sizeof(result)))
		return -EFAULT;
	if (result.address >= TASK_SIZE)
		return -EINVAL;

	result.entry = 0;
	result.shift = 0;
	mmap_read_lock(current->mm);
	look_up(current->mm, &result);
	mmap_read_unlock(current->mm);

	return copy_to_user(user, &result, sizeof(result)) ? -EFAULT : 0;
}

static const struct file_operations ptdump_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= ptdump_ioctl,
};

static struct miscdevice ptdump_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "dmabuf-test-ptdump",
	.fops	= &ptdump_fops,
	.mode	= 0600,
};
module_misc_device(ptdump_device);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-dmabuf developers");
MODULE_DESCRIPTION("Shows a test its page table entries");
