// SPDX-License-Identifier: MIT
/* What the doctor concludes from what it has read: each judgement, without a machine. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "driver.h"
#include "findings.h"
#include "iommu.h"
#include "process_limits.h"
#include "module_file.h"
#include "running_kernel.h"
#include "signing.h"
#include "suite.h"
#include "units.h"

static struct findings findings;

static void teardown(void)
{
	findings_free(&findings);
}

static void check(const struct finding *one, const char *id, enum verdict verdict, const char *text, const char *advice)
{
	ck_assert_str_eq(one->check, id);
	ck_assert_msg(one->verdict == verdict, "%d: %s", one->verdict, one->text);
	ck_assert_msg(strstr(one->text, text), "\"%s\" is not in: %s", text, one->text);
	ck_assert_msg(advice ? !!strstr(one->advice, advice) : !*one->advice, "\"%s\" is not in: %s", advice, one->advice);
	/* A text that was truncated would have its maximal length. */
	ck_assert_uint_lt(strlen(one->text), sizeof(one->text) - 1);
	ck_assert_uint_lt(strlen(one->advice), sizeof(one->advice) - 1);
	/* Each is one line. */
	ck_assert(!strchr(one->text, '\n') && !strchr(one->advice, '\n'));
}

/* Returns the only finding. */
#define check_only(...)	do {					\
	ck_assert_uint_eq(findings.nr, 1);			\
	check(&findings.list[0], __VA_ARGS__);			\
} while (0)

/* ---- kernel ---- */

static const struct {
	const char *release;
	enum verdict verdict;
	const char *text, *advice;
} kernels[] = {
	{ "6.12.107+deb13-amd64", GOOD, "Linux 6.12.107", NULL },
	{ "7.2.1", GOOD, "7.2.1", NULL },
	{ "7.3.4+deb13-amd64", GOOD, "7.3.4", NULL },
	{ "7.3", GOOD, "7.3", NULL },
	{ "6.11.9", MISSING, "older than 6.12", "boot" },
	{ "5.10.0", MISSING, "older than 6.12", "boot" },
	{ "nonsense", MISSING, "older than 6.12", "boot" },
	{ "6.18.1", WARNING, "is tested on 6.12, 7.2 and 7.3 only", "no huge pages" },
	{ "7.4.0-rc1", WARNING, "newer than 7.3", "no huge pages" },
	{ "8.0.0", WARNING, "newer than 7.3", "no huge pages" },
	{ "7.30.1", WARNING, "newer than 7.3", "no huge pages" },
};

START_TEST(versions_of_kernels)
{
	judge_kernel(kernels[_i].release, &findings);
	check_only("kernel", kernels[_i].verdict, kernels[_i].text, kernels[_i].advice);
}
END_TEST

START_TEST(names_of_the_series)
{
	/* From stock 7.3, as symbols and as in type information. */
	static const char stock[] =
		"0000000000000000 T vfio_pci_core_mmap\t[vfio_pci_core]\n"
		"0000000000000000 t vfio_pci_dma_buf_unmap\t[vfio_pci_core]\n"
		"0000000000000000 T vfio_pci_core_feature_dma_buf\t[vfio_pci_core]\n"
		"0000000000000000 T vfio_pci_core_get_dmabuf_phys\t[vfio_pci_core]\n"
		"0000000000000000 t dvp_mmap_dmabuf\t[dmabuf_vfio_pci]\n"
		"0000000000000000 t vfio_platform_mmap_dma_buf\t[vfio_platform]\n";
	static const char *const merged[] = {
		"vfio_pci_dma_buf_find_pfn", "vfio_pci_dma_buf_mmap", "vfio_pci_core_mmap_prep_dmabuf",
		"vfio_pci_mmap_dma_buf", "vfio_pci_dmabuf_mmap",
	};
	char text[512], many[400];

	ck_assert_ptr_null(find_series("", 0));
	ck_assert_ptr_null(find_series(stock, sizeof(stock) - 1));
	for (size_t i = 0; i < sizeof(merged) / sizeof(merged[0]); i++) {
		size_t length;

		snprintf(text, sizeof(text), "0000000000000000 t %s\t[vfio_pci_core]\n", merged[i]);
		ck_assert_str_eq(find_series(text, strlen(text)), merged[i]);
		/* Separated by NUL, and at the end. */
		length = snprintf(text, sizeof(text), "first%cvfio_pci_core_mmap%c%s", 0, 0, merged[i]);
		ck_assert_str_eq(find_series(text, length), merged[i]);
		ck_assert_ptr_null(find_series(text, length - strlen(merged[i])));
		/* A part of a longer name. */
		snprintf(text, sizeof(text), "x%s", merged[i]);
		ck_assert_ptr_null(find_series(text, strlen(text)));
	}
	memset(many, 'x', sizeof(many));
	memcpy(many, "vfio_pci_dma_buf_mmap_", 22);
	ck_assert_ptr_null(find_series(many, sizeof(many)));
}
END_TEST

START_TEST(kernel_with_the_series)
{
	judge_series(NULL, &findings);
	ck_assert_uint_eq(findings.nr, 0);
	judge_series("vfio_pci_dma_buf_mmap", &findings);
	check_only("series", MISSING, "itself (it has vfio_pci_dma_buf_mmap)", "boot 7.3");
}
END_TEST

/* ---- IOMMU ---- */

static const struct {
	struct iommu_facts facts;
	const char *advice;
} without[] = {
	{ { .command_line = "quiet intel_iommu=off", .described = true, .cpu = CPU_INTEL }, "boot without intel_iommu=off" },
	{ { .command_line = "iommu=off quiet", .described = true, .cpu = CPU_AMD }, "boot without iommu=off" },
	{ { .command_line = "amd_iommu=off\n", .described = true, .cpu = CPU_AMD }, "boot without amd_iommu=off" },
	{ { .command_line = "quiet", .described = true, .cpu = CPU_INTEL }, "boot with intel_iommu=on" },
	/* Words that only look similar. */
	{ { .command_line = "xiommu=off iommu=offx", .described = true, .cpu = CPU_INTEL }, "boot with intel_iommu=on" },
	{ { .command_line = "intel_iommu=on", .described = true, .cpu = CPU_INTEL }, "see dmesg" },
	{ { .command_line = "", .described = true, .cpu = CPU_AMD }, "see dmesg" },
	{ { .command_line = "", .registered = true, .cpu = CPU_OTHER }, "see dmesg" },
	{ { .command_line = "", .virtual_machine = true, .cpu = CPU_INTEL }, "give the virtual machine one" },
	{ { .command_line = "", .cpu = CPU_INTEL }, "enable VT-d in the firmware, and boot with intel_iommu=on" },
	{ { .command_line = "intel_iommu=on", .cpu = CPU_INTEL }, "enable VT-d in the firmware" },
	{ { .command_line = "", .cpu = CPU_AMD }, "AMD-Vi" },
	{ { .command_line = "", .cpu = CPU_OTHER }, "SMMU" },
};

START_TEST(machines_without_iommu)
{
	judge_iommu(&without[_i].facts, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[0], "iommu", MISSING, "so none can be bound", without[_i].advice);
	check(&findings.list[1], "noiommu", WARNING, "is not on", "devices reach all memory");
}
END_TEST

START_TEST(machines_with_iommu)
{
	struct iommu_facts facts = { .groups = true, .command_line = "" };

	for (facts.noiommu = NOIOMMU_UNKNOWN; facts.noiommu <= NOIOMMU_OFF; facts.noiommu++) {
		judge_iommu(&facts, &findings);
		check_only("iommu", GOOD, "have IOMMU groups", NULL);
		findings_free(&findings);
	}
	facts.noiommu = NOIOMMU_ON;
	judge_iommu(&facts, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[1], "noiommu", WARNING, "is on: devices reach all memory, VFIO maps no DMA", "without enable_unsafe_noiommu_mode");
}
END_TEST

START_TEST(mode_without_iommu)
{
	struct iommu_facts facts = { .command_line = "", .noiommu = NOIOMMU_ON };

	judge_iommu(&facts, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[1], "noiommu", WARNING, "CAP_SYS_RAWIO", "does not bind or open functions in this mode");
	findings_free(&findings);
	facts.noiommu = NOIOMMU_ABSENT;
	judge_iommu(&facts, &findings);
	check(&findings.list[1], "noiommu", WARNING, "CONFIG_VFIO_NOIOMMU", "no VFIO driver works");
}
END_TEST

/* ---- driver ---- */

#define AT	"/lib/modules/7.3/updates/dkms/dmabuf-vfio-pci.ko.xz"
#define OTHER	"/lib/modules/7.3/extra/dmabuf-vfio-pci.ko"
#define OURS	.description = DRIVER_DESCRIPTION, .version = "0.1.0", .source = "AAAA"

START_TEST(driver_that_is_there)
{
	struct modules modules = { .nr = 1, .files = { { .path = AT, OURS } }, .chosen = AT };

	judge_driver(&modules, &findings);
	check_only("driver", GOOD, "is loaded when needed", NULL);
	findings_free(&findings);
	modules.loaded = modules.registered = true;
	strcpy(modules.loaded_source, "AAAA");
	judge_driver(&modules, &findings);
	check_only("driver", GOOD, "is loaded", NULL);
	/* A build without a version is not judged. */
	findings_free(&findings);
	*modules.loaded_source = '\0';
	judge_driver(&modules, &findings);
	check_only("driver", GOOD, "is loaded", NULL);
}
END_TEST

START_TEST(driver_that_is_missing)
{
	struct modules modules = { .nr = 0 };

	judge_driver(&modules, &findings);
	check_only("driver", MISSING, "is not installed for this kernel", "install dmabuf-vfio-pci-dkms");
	findings_free(&findings);
	modules = (struct modules){ .nr = 1, .files = { { .path = AT, OURS } } };
	judge_driver(&modules, &findings);
	check_only("driver", MISSING, "modprobe does not find " AT, "depmod");
}
END_TEST

START_TEST(module_that_is_not_ours)
{
	struct modules modules = {
		.nr = 1, .files = { { .path = AT, .description = "Something" } }, .chosen = AT,
	};

	judge_driver(&modules, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[1], "driver", MISSING, "another module (\"Something\"), and is what modprobe loads", "depmod");
	findings_free(&findings);

	/* It is in another place, and ours is loaded. */
	modules = (struct modules){
		.nr = 2, .chosen = AT,
		.files = { { .path = AT, OURS }, { .path = OTHER, .description = "Something" } },
	};
	judge_driver(&modules, &findings);
	ck_assert_uint_eq(findings.nr, 3);
	check(&findings.list[1], "driver", WARNING, OTHER " has the driver's name, but is another module", "depmod");
	findings_free(&findings);

	modules = (struct modules){ .nr = 1, .files = { { .path = AT, OURS } }, .chosen = AT, .loaded = true };
	judge_driver(&modules, &findings);
	check_only("driver", MISSING, "a module is loaded that is called dmabuf_vfio_pci, but has no driver", "rmmod");
}
END_TEST

START_TEST(modprobe_that_does_something_else)
{
	struct modules modules = {
		.nr = 1, .files = { { .path = AT, OURS } }, .chosen = "install /bin/false",
	};

	judge_driver(&modules, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[1], "driver", MISSING, "does something else: install /bin/false", "/etc/modprobe.d");
}
END_TEST

START_TEST(several_modules)
{
	struct modules modules = {
		.nr = 2, .files = { { .path = AT, OURS }, { .path = OTHER, OURS } }, .chosen = OTHER,
	};

	judge_driver(&modules, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[1], "driver", WARNING, "modprobe loads " OTHER ", version 0.1.0, not " AT, "dkms status");
	findings_free(&findings);
	strcpy(modules.chosen, AT);
	judge_driver(&modules, &findings);
	check(&findings.list[1], "driver", WARNING, "modprobe loads " AT ", version 0.1.0, not " OTHER, "dkms status");
}
END_TEST

START_TEST(module_that_is_not_the_loaded_one)
{
	struct modules modules = {
		.nr = 1, .files = { { .path = AT, OURS } }, .chosen = AT, .loaded = true, .registered = true,
		.loaded_source = "BBBB", .loaded_version = "0.0.9",
	};

	judge_driver(&modules, &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[1], "driver", WARNING, AT " (version 0.1.0) is not the build that is loaded (version 0.0.9)", "reboot");
}
END_TEST

START_TEST(what_modinfo_prints)
{
	struct module_file file;

	parse_modinfo("filename:       " AT "\nversion:        0.1.0\ndescription:    Some: thing\nsrcversion:     ABC\n"
		      "sig_id:         PKCS#7\nsigner:         DKMS module signing key\nsig_key:        28:8D\n", &file);
	ck_assert_str_eq(file.path, AT);
	ck_assert_str_eq(file.version, "0.1.0");
	ck_assert_str_eq(file.description, "Some: thing");
	ck_assert_str_eq(file.source, "ABC");
	ck_assert_str_eq(file.signer, "DKMS module signing key");
	ck_assert(file.is_signed);
	/* As modinfo without OpenSSL shows it. */
	parse_modinfo("srcversion:     ABC\nsig_id:         PKCS#7\nsigner:         \n", &file);
	ck_assert_str_eq(file.version, "");
	ck_assert_str_eq(file.signer, "");
	ck_assert(file.is_signed);
	parse_modinfo("", &file);
	ck_assert(!file.is_signed);
}
END_TEST

START_TEST(names_of_module_files)
{
	static const char *const yes[] = {
		"dmabuf-vfio-pci.ko", "dmabuf_vfio_pci.ko", "dmabuf-vfio_pci.ko.xz", "dmabuf-vfio-pci.ko.zst",
	};
	static const char *const no[] = {
		"", "dmabuf-vfio-pci", "dmabuf-vfio-pci.kox", "dmabuf-vfio-pci2.ko", "vfio-pci.ko", "dmabuf", "dmabufxvfio-pci.ko",
	};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ck_assert_msg(is_module_file(yes[i], "dmabuf-vfio-pci"), "%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ck_assert_msg(!is_module_file(no[i], "dmabuf-vfio-pci"), "%s", no[i]);
}
END_TEST

START_TEST(what_modprobe_prints)
{
	char what[64];

	parse_depends("insmod /lib/a.ko \ninsmod /lib/b.ko x=1 \n", what, sizeof(what));
	ck_assert_str_eq(what, "/lib/b.ko");
	parse_depends("insmod /lib/a.ko \ninstall /bin/false  \n", what, sizeof(what));
	ck_assert_str_eq(what, "install /bin/false");
	parse_depends("builtin vfio_pci\n", what, sizeof(what));
	ck_assert_str_eq(what, "builtin vfio_pci");
	parse_depends("", what, sizeof(what));
	ck_assert_str_eq(what, "");
	parse_depends(NULL, what, sizeof(what));
	ck_assert_str_eq(what, "");
}
END_TEST

/* ---- signatures ---- */

static const struct module_file unsigned_file = { .path = AT };
static const struct module_file signed_file = { .path = AT, .is_signed = true, .signer = "DKMS key" };

static const struct {
	struct signing_facts facts;
	enum verdict verdict;
	const char *text, *advice;
} signings[] = {
	{ { .lockdown = "", .file = &unsigned_file }, GOOD, "without a signature", NULL },
	{ { .lockdown = "", .file = &signed_file }, GOOD, "without a signature", NULL },
	{ { .enforced = true, .lockdown = "", .file = &unsigned_file }, MISSING,
	  "(module.sig_enforce=1), and " AT " has none", "boot without module.sig_enforce=1" },
	{ { .lockdown = "integrity", .file = &unsigned_file }, MISSING,
	  "(lockdown=integrity), and " AT " has none", "boot without lockdown=integrity" },
	{ { .lockdown = "integrity", .firmware_keys = true, .file = &unsigned_file }, MISSING,
	  "has none", "dkms generate_mok" },
	{ { .lockdown = "integrity", .firmware_keys = true, .dkms_key = true, .file = &unsigned_file }, MISSING,
	  "has none", "dkms install --force vfio-dmabuf); if its key is not enrolled: mokutil --import /var/lib/dkms/mok.pub" },
	{ { .enforced = true, .lockdown = "", .file = &unsigned_file, .loaded = true }, WARNING, "has none", "boot without" },
	{ { .enforced = true, .lockdown = "", .firmware_keys = true, .file = &signed_file, .key = KEY_ABSENT }, MISSING,
	  "does not have the key \"DKMS key\"", "mokutil --import" },
	{ { .enforced = true, .lockdown = "", .firmware_keys = true, .file = &signed_file, .key = KEY_ABSENT, .loaded = true },
	  WARNING, "does not have the key \"DKMS key\"", "mokutil --import" },
	{ { .enforced = true, .lockdown = "", .file = &signed_file, .key = KEY_UNKNOWN }, WARNING,
	  "signed by DKMS key, perhaps with a key", "as root" },
	{ { .enforced = true, .lockdown = "", .file = &signed_file, .key = KEY_PRESENT }, GOOD,
	  "signed by \"DKMS key\", whose key the kernel has", NULL },
};

START_TEST(signatures)
{
	judge_signing(&signings[_i].facts, &findings);
	check_only("signing", signings[_i].verdict, signings[_i].text, signings[_i].advice);
}
END_TEST

/* The driver's check has already reported this. */
START_TEST(module_without_a_file)
{
	const struct signing_facts facts = { .enforced = true, .lockdown = "" };

	judge_signing(&facts, &findings);
	ck_assert_uint_eq(findings.nr, 0);
}
END_TEST

START_TEST(levels_of_lockdown)
{
	char level[32];

	parse_lockdown("[none] integrity confidentiality\n", level, sizeof(level));
	ck_assert_str_eq(level, "");
	parse_lockdown("none [integrity] confidentiality\n", level, sizeof(level));
	ck_assert_str_eq(level, "integrity");
	parse_lockdown("none integrity [confidentiality]", level, sizeof(level));
	ck_assert_str_eq(level, "confidentiality");
	parse_lockdown("", level, sizeof(level));
	ck_assert_str_eq(level, "");
}
END_TEST

START_TEST(keys_of_the_kernel)
{
	static const char keys[] =
		"00a1 I------     2 perm 1f0b0000     0     0 keyring   .builtin_trusted_keys: 2\n"
		"00b2 I------     1 perm 1f030000     0     0 asymmetri Debian Secure Boot CA: X509.rsa 5ccece7a []\n"
		"00c3 I------     1 perm 1f030000     0     0 asymmetri Example: DKMS key: X509.rsa 12345678 []\n"
		"00d4 I------     1 perm 1f030000     0     0 user      Other key: X509.rsa: 4\n";
	static const char users[] = "00a1 I--Q---     2 perm 1f3f0000  1000 65534 keyring   _uid.1000: empty\n";

	ck_assert_int_eq(find_key(keys, "Debian Secure Boot CA"), KEY_PRESENT);
	ck_assert_int_eq(find_key(keys, "DKMS key"), KEY_PRESENT);
	ck_assert_int_eq(find_key(keys, "key"), KEY_ABSENT);
	ck_assert_int_eq(find_key(keys, "Secure Boot CA"), KEY_ABSENT);
	ck_assert_int_eq(find_key(keys, "Other key"), KEY_ABSENT);
	ck_assert_int_eq(find_key(keys, "asymmetri Debian Secure Boot CA"), KEY_ABSENT);
	ck_assert_int_eq(find_key(keys, ""), KEY_UNKNOWN);
	ck_assert_int_eq(find_key(users, "DKMS key"), KEY_UNKNOWN);
	ck_assert_int_eq(find_key("", "DKMS key"), KEY_UNKNOWN);
}
END_TEST

/* ---- limits ---- */

START_TEST(locked_memory)
{
	judge_memlock(8 << 20, false, &findings);
	check_only("memlock", WARNING, "8 MiB", "ulimit -l");
	findings_free(&findings);
	judge_memlock(8 << 20, true, &findings);
	check_only("memlock", GOOD, "not limited for this user", NULL);
	findings_free(&findings);
	judge_memlock(64 << 20, false, &findings);
	check_only("memlock", GOOD, "64 MiB", NULL);
	findings_free(&findings);
	judge_memlock(RLIM_INFINITY, false, &findings);
	check_only("memlock", GOOD, "not limited", NULL);
}
END_TEST

START_TEST(open_files)
{
	judge_nofile(&(struct rlimit){ 1024, 4096 }, &findings);
	check_only("nofile", GOOD, "enough", NULL);
	findings_free(&findings);
	judge_nofile(&(struct rlimit){ 256, 4096 }, &findings);
	check_only("nofile", WARNING, "256", "ulimit -n");
	findings_free(&findings);
	judge_nofile(&(struct rlimit){ 256, 256 }, &findings);
	check_only("nofile", WARNING, "256", "limits.conf");
}
END_TEST

/* ---- units ---- */

#define UNIT(id, load, active, result) \
	"Id=" id "\nLoadState=" load "\nActiveState=" active "\nResult=" result "\n"

START_TEST(units_that_are_well)
{
	judge_units(UNIT("vfio-dmabufd.socket", "loaded", "active", "success") "\n"
		    UNIT("vfio-dmabufd.service", "loaded", "inactive", "success"), &findings);
	judge_units(UNIT("vfio-dmabufd.socket", "not-found", "inactive", "success"), &findings);
	judge_units("", &findings);
	judge_units("\n\n", &findings);
	ck_assert_uint_eq(findings.nr, 0);
}
END_TEST

START_TEST(units_that_have_failed)
{
	judge_units(UNIT("vfio-dmabufd.socket", "loaded", "failed", "service-start-limit-hit") "\n"
		    UNIT("vfio-dmabufd.service", "loaded", "failed", "exit-code") "\n", &findings);
	ck_assert_uint_eq(findings.nr, 2);
	check(&findings.list[0], "unit", MISSING, "vfio-dmabufd.socket has failed (service-start-limit-hit)", "reset-failed vfio-dmabufd.service vfio-dmabufd.socket");
	check(&findings.list[1], "unit", MISSING, "vfio-dmabufd.service has failed (exit-code)", "reset-failed vfio-dmabufd.service, and systemctl restart vfio-dmabufd.service");
}
END_TEST

START_TEST(units_that_cannot_start)
{
	judge_units(UNIT("vfio-dmabufd.socket", "masked", "inactive", "success"), &findings);
	check_only("unit", WARNING, "is masked", "systemctl unmask vfio-dmabufd.socket");
	findings_free(&findings);
	judge_units(UNIT("vfio-dmabufd.service", "bad-setting", "inactive", "success"), &findings);
	check_only("unit", MISSING, "cannot be loaded (bad-setting)", "systemd-analyze verify");
}
END_TEST

/* ---- output of findings ---- */

START_TEST(findings_as_json)
{
	json_t *list, *one;

	found(&findings, "a", GOOD, "x %d", 1);
	found(&findings, "b", MISSING, "y");
	advise(&findings, "do %s", "z");
	concerns(&findings, "0000:01:00.0");
	ck_assert(findings_any(&findings, MISSING) && findings_any(&findings, GOOD));
	ck_assert(!findings_any(&findings, WARNING));
	list = findings_json(&findings);
	one = json_array_get(list, 0);
	ck_assert_uint_eq(json_object_size(one), 5);
	ck_assert_str_eq(json_string_value(json_object_get(one, "verdict")), "ok");
	ck_assert_str_eq(json_string_value(json_object_get(one, "text")), "x 1");
	ck_assert(json_is_null(json_object_get(one, "function")));
	ck_assert(json_is_null(json_object_get(one, "advice")));
	one = json_array_get(list, 1);
	ck_assert_str_eq(json_string_value(json_object_get(one, "check")), "b");
	ck_assert_str_eq(json_string_value(json_object_get(one, "verdict")), "missing");
	ck_assert_str_eq(json_string_value(json_object_get(one, "advice")), "do z");
	ck_assert_str_eq(json_string_value(json_object_get(one, "function")), "0000:01:00.0");
	json_decref(list);
}
END_TEST

#define NR(array)	((int)(sizeof(array) / sizeof((array)[0])))

Suite *suite(void)
{
	Suite *s = suite_create("doctor");
	TCase *tc = add_group(s, "judgement");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, versions_of_kernels, 0, NR(kernels));
	tcase_add_test(tc, names_of_the_series);
	tcase_add_test(tc, kernel_with_the_series);
	tcase_add_loop_test(tc, machines_without_iommu, 0, NR(without));
	tcase_add_test(tc, machines_with_iommu);
	tcase_add_test(tc, mode_without_iommu);
	tcase_add_test(tc, driver_that_is_there);
	tcase_add_test(tc, driver_that_is_missing);
	tcase_add_test(tc, module_that_is_not_ours);
	tcase_add_test(tc, modprobe_that_does_something_else);
	tcase_add_test(tc, several_modules);
	tcase_add_test(tc, module_that_is_not_the_loaded_one);
	tcase_add_test(tc, what_modinfo_prints);
	tcase_add_test(tc, names_of_module_files);
	tcase_add_test(tc, what_modprobe_prints);
	tcase_add_loop_test(tc, signatures, 0, NR(signings));
	tcase_add_test(tc, module_without_a_file);
	tcase_add_test(tc, levels_of_lockdown);
	tcase_add_test(tc, keys_of_the_kernel);
	tcase_add_test(tc, locked_memory);
	tcase_add_test(tc, open_files);
	tcase_add_test(tc, units_that_are_well);
	tcase_add_test(tc, units_that_have_failed);
	tcase_add_test(tc, units_that_cannot_start);
	tcase_add_test(tc, findings_as_json);
	return s;
}
