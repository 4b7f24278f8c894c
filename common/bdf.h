/* SPDX-License-Identifier: MIT */
/* Names of PCI functions: "0000:01:00.0". */
#ifndef COMMON_BDF_H
#define COMMON_BDF_H

#include <stdbool.h>

#define BDF_SIZE	16

/*
 * Accepts hexadecimal digits in any case, and names without a domain, "1:2.3".
 * @bdf receives the name as the kernel writes it.  If this returns false, it is unchanged.
 */
bool bdf_parse(const char *text, char bdf[BDF_SIZE]);

#endif
