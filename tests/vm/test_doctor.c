// SPDX-License-Identifier: MIT
/* The doctor on a machine with faults that the tests cause, and what fails because of them. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command.h"
#include "device.h"
#include "kernel.h"
#include "suite.h"
#include "sysfs.h"

#define AS_CLIENT	"/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups "
#define NOBODY		"-S /nowhere"

/* The verdict of the finding of a check whose text contains this, and its advice; "none" if there is none. */
static const char *verdict(json_t *list, const char *check, const char *text, const char **advice)
{
	const char *found = "none";
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *id, *how, *said;
		json_t *function, *what;

		ck_assert_int_eq(json_unpack(one, "{s:s,s:s,s:o,s:s,s:o!}", "check", &id, "verdict", &how,
					     "function", &function, "text", &said, "advice", &what), 0);
		/* Each problem has an advice. */
		ck_assert_msg(!strcmp(how, "ok") || json_is_string(what), "%s: %s", id, said);
		if (strcmp(id, check) || !strstr(said, text))
			continue;
		found = how;
		*advice = json_string_value(what) ?: "";
	}
	return found;
}

/* Runs it, with any result. */
static json_t *doctor(const char *before)
{
	json_error_t error;
	json_t *list;

	ck_assert_int_le(shell("%svfio-dmabuf doctor --json " NOBODY, before), 1);
	list = json_loads(command_out, 0, &error);
	ck_assert_msg(list, "line %d: %s: %s", error.line, error.text, command_out);
	return list;
}

static void check_finds_as(const char *before, const char *check, const char *how, const char *text, const char *advice)
{
	const char *said = "";

	ck_assert_str_eq(verdict(doctor(before), check, text, &said), how);
	ck_assert_msg(strstr(said, advice), "\"%s\" is not in: %s", advice, said);
}

static void check_finds(const char *check, const char *how, const char *text, const char *advice)
{
	check_finds_as("", check, how, text, advice);
}

/* ---- modules ---- */

static const char *modules_at(const char *path)
{
	static char full[256];
	struct utsname name;

	uname(&name);
	snprintf(full, sizeof(full), "/lib/modules/%s/%s", name.release, path);
	return full;
}

static void forget_modules(void)
{
	shell("rm -rf %s /etc/modprobe.d/lab.conf", modules_at("extra"));
}

START_TEST(healthy_machine)
{
	char source[64] = "";

	check_finds("driver", "ok", DRIVER " is loaded", "");
	check_finds("signing", "ok", "without a signature", "");
	/* By this, two builds are distinguished. */
	ck_assert_int_gt(file_read("/sys/module/dmabuf_vfio_pci/srcversion", source, sizeof(source)), 1);
	check_finds("driver", "none", "is not the build that is loaded", "");
	check_finds("kernel", "ok", "Linux ", "");
	check_finds("noiommu", "none", "", "");
}
END_TEST

/* The kernel's list of its functions, with one more. */
START_TEST(kernel_with_the_series)
{
	static const char *const sources[] = {
		"/sys/kernel/btf/vfio_pci_core", "/sys/kernel/btf/vmlinux", "/proc/kallsyms",
	};
	const char *source = sources[0];

	for (int i = 0; access(source, R_OK); i++)
		source = sources[i];
	ck_assert_int_eq(shell("grep -qaw vfio_pci_core_mmap %s", source), 0);
	check_finds("series", "none", "", "");
	ck_assert_int_eq(shell("cat %s >/tmp/names && printf '\\0vfio_pci_dma_buf_find_pfn\\0' >>/tmp/names && "
			       "mount -o bind /tmp/names %s", source, source), 0);
	check_finds("series", "missing", "it has vfio_pci_dma_buf_find_pfn", "boot 7.3");
	ck_assert_works(umount(source));
	unlink("/tmp/names");
}
END_TEST

/* Another module with the name, and what modprobe would load instead. */
START_TEST(modules_of_the_same_name)
{
	ck_assert_int_eq(shell("mkdir -p %s", modules_at("extra")), 0);
	ck_assert_int_eq(shell("cd %s && cp updates/" DRIVER ".ko extra/", modules_at("")), 0);
	check_finds("driver", "warning", "2 modules have the driver's name", "depmod");
	ck_assert_int_eq(shell("cd %s && cp updates/dmabuf-test-ptdump.ko extra/dmabuf_vfio_pci.ko && rm extra/" DRIVER ".ko",
			       modules_at("")), 0);
	check_finds("driver", "warning", "/extra/dmabuf_vfio_pci.ko has the driver's name, but is another module", "depmod");
	ck_assert_int_eq(shell("rm -r %s", modules_at("extra")), 0);

	ck_assert_int_eq(shell("mkdir -p /etc/modprobe.d && echo install " DRIVER " /bin/false >/etc/modprobe.d/lab.conf"), 0);
	check_finds("driver", "missing", "modprobe " DRIVER " does something else: install /bin/false", "/etc/modprobe.d");
	ck_assert_int_eq(shell("echo alias " DRIVER " vfio-pci >/etc/modprobe.d/lab.conf"), 0);
	check_finds("driver", "missing", "/vfio-pci.ko", "/etc/modprobe.d");
}
END_TEST

/* ---- limits ---- */

START_TEST(limits_of_processes)
{
	check_finds_as("ulimit -Sn 100; ", "nofile", "warning", "can have 100 files open", "ulimit -n");
	check_finds_as("ulimit -l 8192; " AS_CLIENT, "memlock", "warning", "8 MiB", "LimitMEMLOCK=");
	check_finds_as("ulimit -l 8192; ", "memlock", "ok", "not limited for this user", "");
}
END_TEST

/* ---- units ---- */

#define SYSTEMCTL "/tmp/units"

/* Replaces systemctl.  It answers as the real one does in the Debian guest's tests. */
START_TEST(units_that_have_failed)
{
	ck_assert_int_eq(shell("mkdir -p " SYSTEMCTL " && cat >" SYSTEMCTL "/systemctl <<'END'\n"
			       "#!/bin/sh\n"
			       "[ \"$*\" = 'show --property=Id,LoadState,ActiveState,Result vfio-dmabufd.socket vfio-dmabufd.service' ] || exit 1\n"
			       "printf 'Id=vfio-dmabufd.socket\\nLoadState=loaded\\nActiveState=failed\\nResult=service-start-limit-hit\\n\\n'\n"
			       "printf 'Id=vfio-dmabufd.service\\nLoadState=loaded\\nActiveState=inactive\\nResult=success\\n'\n"
			       "END\nchmod 755 " SYSTEMCTL "/systemctl"), 0);
	check_finds_as("export PATH=" SYSTEMCTL ":$PATH; ", "unit", "missing",
		       "vfio-dmabufd.socket has failed (service-start-limit-hit)", "systemctl reset-failed");
	check_finds("unit", "none", "", "");
}
END_TEST

/* ---- virtual functions ---- */

#define PARAMETER	"/sys/module/dmabuf_vfio_pci/parameters/enable_sriov"
#define TOKEN		"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11"
#define OTHER_TOKEN	"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e12"

static struct device pf = { .fd = -1, .group = -1, .container = -1 };
static char vf[32];

static void open_physical(void)
{
	const char *bdf = lab_bdf("IGB");

	driver_rebind(bdf);
	sysfs_write(bdf, "sriov_numvfs", "0");
	ck_assert_works(file_write(PARAMETER, "1"));
	device_open_bdf(&pf, bdf, " vf_token=" TOKEN);
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "1"));
	ck_assert(function_link(bdf, "virtfn0", vf, sizeof(vf)));
}

static void close_physical(void)
{
	device_close(&pf);
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	file_write(PARAMETER, "0");
}

START_TEST(virtual_function_needs_the_token)
{
	char text[256];

	snprintf(text, sizeof(text), "it is a virtual function of %s, whose driver is " DRIVER ": it opens only with the token", pf.bdf);
	check_finds("token", "warning", text, "--vf-token UUID");

	ck_assert_int_eq(vfio_dmabuf("read --reset %s/0 8", vf), 1);
	snprintf(text, sizeof(text), "it is a virtual function of %s: give the token of the process that has that function open (--vf-token UUID)",
		 pf.bdf);
	check_says(text);
	ck_assert_int_eq(vfio_dmabuf("read --reset --vf-token " OTHER_TOKEN " %s/0 8", vf), 1);
	snprintf(text, sizeof(text), "the token is not that of %s", pf.bdf);
	check_says(text);
	ck_assert_int_eq(vfio_dmabuf("read --reset --vf-token nonsense %s/0 8", vf), 1);
	check_says("the token \"nonsense\" is not a UUID");
	ck_assert_runs("read --reset --vf-token " TOKEN " %s/0 8", vf);
	check_says("0x");
	ck_assert_runs("write --reset --vf-token " TOKEN " %s/0 8 0", vf);
}
END_TEST

START_TEST(token_that_is_not_needed)
{
	check_finds("token", "none", "", "");
	ck_assert_int_eq(vfio_dmabuf("read --reset --vf-token " TOKEN " %s/0 0", lab_bdf("EDU")), 1);
	check_says("a function takes a token only if it has virtual functions");
}
END_TEST

/* ---- a machine on which nothing works ---- */

START_TEST(module_without_a_signature)
{
	check_finds("driver", "ok", "is installed, and is loaded when needed", "");
	check_finds("signing", "missing", "(module.sig_enforce=1), and /lib/modules/", "boot without module.sig_enforce=1");
	ck_assert_int_ne(shell("modprobe " DRIVER), 0);
	ck_assert_int_eq(access("/sys/bus/pci/drivers/" DRIVER, F_OK), -1);
	ck_assert_int_eq(vfio_dmabuf("doctor " NOBODY), 1);
	check_says("missing  signing  this kernel loads modules with a signature only");
}
END_TEST

START_TEST(machine_without_iommu)
{
	check_finds("iommu", "missing", "so none can be bound", "boot without intel_iommu=off");
	ck_assert_int_eq(shell("modprobe vfio"), 0);
	check_finds("noiommu", "warning", "CONFIG_VFIO_NOIOMMU", "no VFIO driver works");
	ck_assert_int_eq(vfio_dmabuf("bind --driver vfio-pci %s", lab_bdf("EDU")), 1);
	check_says("it has no IOMMU group; boot with an IOMMU on, see vfio-dmabuf doctor");
}
END_TEST

/* This must be the last test, because the change cannot be undone. */
START_TEST(kernel_that_is_locked_down)
{
	mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
	ck_assert_works(file_write("/sys/kernel/security/lockdown", "integrity"));
	check_finds("signing", "missing", "(lockdown=integrity), and /lib/modules/", "boot without lockdown=integrity");
	check_finds_as(AS_CLIENT, "signing", "missing", "(lockdown=integrity), and /lib/modules/", "boot without");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("doctor");
	const char *debug = kernel_started_with("lab.kernel=debug") ? "the debug kernel has no such modules" : NULL;
	TCase *tc;

	if (kernel_started_with("lab.unbound")) {
		tc = add_group(s, "poor machine");
		tcase_add_test(tc, module_without_a_signature);
		tcase_add_test(tc, machine_without_iommu);
		tcase_add_test(tc, kernel_that_is_locked_down);
		return s;
	}

	tc = add_group(s, "machine");
	tcase_add_unchecked_fixture(tc, NULL, forget_modules);
	tcase_add_test(tc, healthy_machine);
	tcase_add_test(tc, kernel_with_the_series);
	add_test_or_skip(tc, modules_of_the_same_name, debug);
	tcase_add_test(tc, limits_of_processes);
	tcase_add_test(tc, units_that_have_failed);
	tcase_add_test(tc, token_that_is_not_needed);

	tc = add_group(s, "virtual functions");
	tcase_add_checked_fixture(tc, open_physical, close_physical);
	tcase_add_test(tc, virtual_function_needs_the_token);
	return s;
}
