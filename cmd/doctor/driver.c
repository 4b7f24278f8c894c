/* SPDX-License-Identifier: MIT */
/* The driver and the VFIO modules it needs: installed, ours, and the build that is loaded next. */
#include <string.h>
#include <unistd.h>

#include "driver.h"
#include "modprobe.h"
#include "sysfs.h"

/* A build without a description cannot be compared.  This alone is not suspicious. */
static bool is_foreign(const struct module_file *file)
{
	return *file->description && strcmp(file->description, DRIVER_DESCRIPTION);
}

static void judge_foreign(const struct modules *modules, struct findings *findings)
{
	for (size_t i = 0; i < modules->nr; i++) {
		const struct module_file *file = &modules->files[i];
		bool chosen = !strcmp(file->path, modules->chosen);

		if (!is_foreign(file))
			continue;
		found(findings, "driver", chosen ? MISSING : WARNING,
		      "%s has the driver's name, but is another module (\"%s\")%s", file->path,
		      file->description, chosen ? ", and is what modprobe loads" : "");
		advise(findings, "move it away, and run depmod");
	}
}

static void judge_chosen(const struct modules *modules, struct findings *findings)
{
	const struct module_file *file = modules_chosen(modules);

	if (!*modules->chosen)
		return;
	if (!file && modules->nr) {
		found(findings, "driver", MISSING, "modprobe " DRIVER " does something else: %s", modules->chosen);
		advise(findings, "look for \"alias\" and \"install\" lines with this name in /etc/modprobe.d and /lib/modprobe.d");
	}
	if (modules->nr > 1 && file) {
		const struct module_file *other = file == modules->files ? file + 1 : modules->files;

		found(findings, "driver", WARNING, "%zu modules have the driver's name; modprobe loads %s%s%s, not %s",
		      modules->nr, file->path, *file->version ? ", version " : "", file->version, other->path);
		advise(findings, "remove those that you do not want (dkms status lists those of DKMS), and run depmod");
	}
	if (file && modules->registered && *file->source && *modules->loaded_source &&
	    strcmp(file->source, modules->loaded_source)) {
		found(findings, "driver", WARNING, "%s (version %s) is not the build that is loaded (version %s)",
		      file->path, file->version, modules->loaded_version);
		advise(findings, "to load it, unbind all functions, and run rmmod " DRIVER " and modprobe " DRIVER ", or reboot");
	}
}

void judge_driver(const struct modules *modules, struct findings *findings)
{
	if (modules->registered) {
		found(findings, "driver", GOOD, DRIVER " is loaded");
	} else if (modules->loaded) {
		found(findings, "driver", MISSING, "a module is loaded that is called dmabuf_vfio_pci, but has no driver " DRIVER);
		advise(findings, "run rmmod dmabuf_vfio_pci, and load the right one: modprobe " DRIVER);
	} else if (*modules->chosen) {
		found(findings, "driver", GOOD, DRIVER " is installed, and is loaded when needed");
	} else if (modules->nr) {
		found(findings, "driver", MISSING, "modprobe does not find %s", modules->files[0].path);
		advise(findings, "run depmod");
	} else {
		found(findings, "driver", MISSING, DRIVER " is not installed for this kernel");
		advise(findings, "install dmabuf-vfio-pci-dkms and the kernel's headers; if they are installed, dkms status says why it is not built");
	}
	judge_foreign(modules, findings);
	judge_chosen(modules, findings);
}

void check_vfio(struct findings *findings)
{
	if (!access("/sys/module/vfio_pci_core", F_OK)) {
		found(findings, "vfio", GOOD, "vfio-pci-core is loaded");
	} else if (module_known("vfio-pci-core")) {
		found(findings, "vfio", GOOD, "vfio-pci-core is installed, and is loaded when needed");
	} else {
		found(findings, "vfio", MISSING, "vfio-pci-core is not installed for this kernel");
		advise(findings, "boot a kernel with CONFIG_VFIO_PCI");
	}
	if (access("/dev/iommu", F_OK) && access("/dev/vfio/vfio", F_OK) && !module_known("vfio_iommu_type1")) {
		found(findings, "vfio", MISSING, "neither /dev/iommu nor /dev/vfio/vfio exists");
		advise(findings, "boot a kernel with CONFIG_IOMMUFD or CONFIG_VFIO_IOMMU_TYPE1");
	}
}
