/* SPDX-License-Identifier: MIT */
/* The IOMMU, without which no function can be bound. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu.h"
#include "whole_file.h"

#define GROUPS	"/sys/kernel/iommu_groups"

/* A parameter of the kernel's command line; the last one of the name counts. */
static bool has_word(const char *line, const char *word)
{
	size_t length = strlen(word);
	const char *at = line;

	while ((at = strstr(at, word))) {
		if ((at == line || at[-1] == ' ') && strchr(" \n", at[length]))
			return true;
		at += length;
	}
	return false;
}

static const char *word_that_disables(const char *line)
{
	static const char *const words[] = { "iommu=off", "intel_iommu=off", "amd_iommu=off" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (has_word(line, words[i]))
			return words[i];
	return NULL;
}

static void advise_iommu(const struct iommu_facts *facts, struct findings *findings)
{
	const char *word = word_that_disables(facts->command_line);
	bool intel_on = has_word(facts->command_line, "intel_iommu=on");

	if (word)
		advise(findings, "boot without %s", word);
	else if (facts->described && facts->cpu == CPU_INTEL && !intel_on)
		advise(findings, "boot with intel_iommu=on");
	else if (facts->described || facts->registered)
		advise(findings, "the machine has one that the kernel does not use: see dmesg | grep -i -e iommu -e DMAR -e AMD-Vi");
	else if (facts->virtual_machine)
		advise(findings, "give the virtual machine one (QEMU: -device intel-iommu or virtio-iommu-pci); in a cloud, take an instance that has one");
	else if (facts->cpu == CPU_INTEL)
		advise(findings, "enable VT-d in the firmware%s", intel_on ? "" : ", and boot with intel_iommu=on");
	else if (facts->cpu == CPU_AMD)
		advise(findings, "enable the IOMMU (AMD-Vi) in the firmware");
	else
		advise(findings, "enable the IOMMU (SMMU) in the firmware");
}

/* What this mode lacks, in the same words in each finding. */
#define GIVES_UP \
	"devices reach all memory, VFIO maps no DMA, and only programs with CAP_SYS_RAWIO open devices"

static void judge_noiommu(const struct iommu_facts *facts, struct findings *findings)
{
	if (facts->noiommu == NOIOMMU_ON) {
		found(findings, "noiommu", WARNING, "VFIO's no-IOMMU mode is on: " GIVES_UP);
		if (facts->groups)
			advise(findings, "load vfio without enable_unsafe_noiommu_mode: this machine has an IOMMU");
		else
			advise(findings, "vfio-dmabuf does not bind or open functions in this mode; a program that does can still export slices (vdb_device_from_fd)");
	} else if (!facts->groups && facts->noiommu == NOIOMMU_ABSENT) {
		found(findings, "noiommu", WARNING, "the kernel is built without VFIO's no-IOMMU mode (CONFIG_VFIO_NOIOMMU)");
		advise(findings, "without an IOMMU, no VFIO driver works on this kernel");
	} else if (!facts->groups) {
		found(findings, "noiommu", WARNING, "VFIO's no-IOMMU mode is not on");
		advise(findings, "it does not replace an IOMMU: " GIVES_UP "; vfio-dmabuf does not bind or open functions in it");
	}
}

void judge_iommu(const struct iommu_facts *facts, struct findings *findings)
{
	if (facts->groups) {
		found(findings, "iommu", GOOD, "functions have IOMMU groups");
	} else {
		found(findings, "iommu", MISSING, "no function has an IOMMU group, so none can be bound");
		advise_iommu(facts, findings);
	}
	judge_noiommu(facts, findings);
}

static bool has_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool any = false;

	while (dir && !any && (entry = readdir(dir)))
		any = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return any;
}

/* The groups of the no-IOMMU mode are in the same directory, and have a name. */
static bool is_group(const char *number)
{
	char path[300], *name;
	bool is;

	if (number[0] == '.')
		return false;
	snprintf(path, sizeof(path), GROUPS "/%s/name", number);
	name = whole_file(path, NULL);
	is = !name || strncmp(name, "vfio-noiommu", 12);
	free(name);
	return is;
}

static bool has_groups(void)
{
	DIR *dir = opendir(GROUPS);
	struct dirent *entry;
	bool any = false;

	while (dir && !any && (entry = readdir(dir)))
		any = is_group(entry->d_name);
	if (dir)
		closedir(dir);
	return any;
}

static bool is_described(void)
{
	static const char *const tables[] = { "DMAR", "IVRS", "IORT", "VIOT" };
	char path[64];

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		snprintf(path, sizeof(path), "/sys/firmware/acpi/tables/%s", tables[i]);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

static enum noiommu read_noiommu(void)
{
	char *value = whole_file("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", NULL);
	enum noiommu mode = NOIOMMU_ABSENT;

	if (value)
		mode = value[0] == 'Y' ? NOIOMMU_ON : NOIOMMU_OFF;
	else if (access("/sys/module/vfio", F_OK))
		mode = NOIOMMU_UNKNOWN;
	free(value);
	return mode;
}

void check_iommu(struct findings *findings)
{
	char *line = whole_file("/proc/cmdline", NULL), *cpu = whole_file("/proc/cpuinfo", NULL);
	struct iommu_facts facts = {
		.groups = has_groups(),
		.registered = has_entries("/sys/class/iommu"),
		.described = is_described(),
		.virtual_machine = cpu && strstr(cpu, " hypervisor"),
		.command_line = line ?: "",
		.noiommu = read_noiommu(),
	};

	if (cpu && strstr(cpu, "GenuineIntel"))
		facts.cpu = CPU_INTEL;
	else if (cpu && (strstr(cpu, "AuthenticAMD") || strstr(cpu, "HygonGenuine")))
		facts.cpu = CPU_AMD;
	judge_iommu(&facts, findings);
	free(line);
	free(cpu);
}
