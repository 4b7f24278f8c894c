/* SPDX-License-Identifier: MIT */
/* Signatures of modules: whether the kernel wants one, and has the key of ours. */
#ifndef CMD_DOCTOR_SIGNING_H
#define CMD_DOCTOR_SIGNING_H

#include "findings.h"
#include "module_file.h"

struct signing_facts {
	bool enforced;			/* module.sig_enforce */
	const char *lockdown;		/* its level, or "" for none */
	bool firmware_keys;		/* a machine with UEFI, whose owner can enroll keys (MOK) */
	bool dkms_key;			/* DKMS has one, with which it signs what it builds */
	bool loaded;			/* before the kernel wanted it, perhaps */
	enum key {
		KEY_UNKNOWN,		/* the kernel does not show its keys to this user */
		KEY_ABSENT,
		KEY_PRESENT,
	} key;				/* that has signed the module */
	const struct module_file *file;	/* that modprobe loads; NULL if there is none */
};

/* The level in brackets of what /sys/kernel/security/lockdown says; "" for none. */
void parse_lockdown(const char *text, char *level, size_t size);
/* Whether a key of this name is in what /proc/keys says. */
enum key find_key(const char *keys, const char *signer);
void judge_signing(const struct signing_facts *facts, struct findings *findings);
void check_signing(const struct modules *modules, struct findings *findings);

#endif
