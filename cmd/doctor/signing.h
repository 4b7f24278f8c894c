/* SPDX-License-Identifier: MIT */
/* Signatures of modules: whether the kernel requires one, and whether it has the key of ours. */
#ifndef CMD_DOCTOR_SIGNING_H
#define CMD_DOCTOR_SIGNING_H

#include "findings.h"
#include "module_file.h"

struct signing_facts {
	bool enforced;			/* module.sig_enforce */
	const char *lockdown;		/* level of lockdown, or "" for none */
	bool firmware_keys;		/* a machine with UEFI, whose owner can enroll keys (MOK) */
	bool dkms_key;			/* DKMS has a key, with which it signs what it builds */
	bool loaded;			/* perhaps before the kernel required a signature */
	enum key {
		KEY_UNKNOWN,		/* the kernel does not show its keys to this user */
		KEY_ABSENT,
		KEY_PRESENT,
	} key;				/* the key that has signed the module */
	const struct module_file *file;	/* the file that modprobe loads, or NULL */
};

/* The level in brackets in the text of /sys/kernel/security/lockdown; "" for none. */
void parse_lockdown(const char *text, char *level, size_t size);
/* Whether a key of this name is in the text of /proc/keys. */
enum key find_key(const char *keys, const char *signer);
void judge_signing(const struct signing_facts *facts, struct findings *findings);
void check_signing(const struct modules *modules, struct findings *findings);

#endif
