/* SPDX-License-Identifier: MIT */
/* Signatures of modules: whether the kernel requires one, and whether it has the key of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "signing.h"
#include "sysfs.h"
#include "whole_file.h"

#define DKMS_KEY	"/var/lib/dkms/mok.pub"
#define ENROLL		"mokutil --import " DKMS_KEY ", reboot, confirm the key on the screen"

void parse_lockdown(const char *text, char *level, size_t size)
{
	const char *begin = strchr(text, '[');

	*level = '\0';
	if (begin)
		snprintf(level, size, "%.*s", (int)strcspn(begin + 1, "]"), begin + 1);
	if (!strcmp(level, "none"))
		*level = '\0';
}

/* "<id> ... asymmetri <organisation>: <name>: X509.rsa <number> []" */
static bool has_name(const char *line, int length, const char *signer)
{
	const char *kind = memmem(line, length, " asymmetri ", 11), *end, *name;
	size_t size = strlen(signer);

	if (!kind)
		return false;
	end = memmem(kind, line + length - kind, ": X509", 6);
	name = end ? end - size : NULL;
	if (!name || name < kind + 11 || strncmp(name, signer, size))
		return false;
	return name == kind + 11 || (name >= kind + 13 && !strncmp(name - 2, ": ", 2));
}

enum key find_key(const char *keys, const char *signer)
{
	enum key found = KEY_UNKNOWN;

	if (!*signer)
		return KEY_UNKNOWN;
	for (const char *line = keys; *line; line += *line == '\n') {
		int length = strcspn(line, "\n");

		if (has_name(line, length, signer))
			return KEY_PRESENT;
		/* The kernel shows such keys to this user. */
		if (memmem(line, length, " asymmetri ", 11))
			found = KEY_ABSENT;
		line += length;
	}
	return found;
}

static void advise_signing(const struct signing_facts *facts, const char *cause, struct findings *findings)
{
	if (!facts->firmware_keys)
		advise(findings, "boot without %s; without UEFI, only keys that the kernel is built with can sign modules", cause);
	else if (facts->file->is_signed)
		advise(findings, "enroll the key, if it is DKMS': " ENROLL);
	else if (facts->dkms_key)
		advise(findings, "build it again with DKMS, which signs it (dkms build --force and dkms install --force vfio-dmabuf); if its key is not enrolled: "
		       ENROLL);
	else
		advise(findings, "make a key (dkms generate_mok), enroll it (" ENROLL "), and build again (dkms build --force and dkms install --force vfio-dmabuf)");
}

void judge_signing(const struct signing_facts *facts, struct findings *findings)
{
	char cause[64];

	if (!facts->file)
		return;
	if (!*facts->lockdown && !facts->enforced) {
		found(findings, "signing", GOOD, "this kernel loads modules without a signature");
		return;
	}
	if (*facts->lockdown)
		snprintf(cause, sizeof(cause), "lockdown=%s", facts->lockdown);
	else
		snprintf(cause, sizeof(cause), "module.sig_enforce=1");
	if (facts->file->is_signed && facts->key == KEY_PRESENT) {
		found(findings, "signing", GOOD, "the module is signed by \"%s\", whose key the kernel has", facts->file->signer);
		return;
	}
	if (facts->file->is_signed && facts->key == KEY_UNKNOWN) {
		found(findings, "signing", WARNING, "this kernel loads signed modules only (%s); the module is signed%s%s, perhaps with a key that the kernel does not have",
		      cause, *facts->file->signer ? " by " : "", facts->file->signer);
		advise(findings, "run vfio-dmabuf doctor as root to see whether the kernel has the key");
		return;
	}
	if (facts->file->is_signed)
		found(findings, "signing", facts->loaded ? WARNING : MISSING,
		      "this kernel loads modules with a signature only (%s), and does not have the key \"%s\" that signed %s",
		      cause, facts->file->signer, facts->file->path);
	else
		found(findings, "signing", facts->loaded ? WARNING : MISSING,
		      "this kernel loads modules with a signature only (%s), and %s has none", cause, facts->file->path);
	advise_signing(facts, cause, findings);
}

void check_signing(const struct modules *modules, struct findings *findings)
{
	char *lockdown = whole_file("/sys/kernel/security/lockdown", NULL), *keys = whole_file("/proc/keys", NULL);
	char enforced[8] = "", level[32];
	struct signing_facts facts = {
		.firmware_keys = !access("/sys/firmware/efi", F_OK),
		.dkms_key = !access(DKMS_KEY, F_OK),
		.loaded = modules->registered,
		.file = modules_chosen(modules),
	};

	parse_lockdown(lockdown ?: "", level, sizeof(level));
	facts.lockdown = level;
	file_get("/sys/module/module/parameters/sig_enforce", enforced, sizeof(enforced));
	facts.enforced = enforced[0] == 'Y';
	if (facts.file)
		facts.key = find_key(keys ?: "", facts.file->signer);
	judge_signing(&facts, findings);
	free(lockdown);
	free(keys);
}
