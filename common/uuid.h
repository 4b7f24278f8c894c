/* SPDX-License-Identifier: MIT */
/* UUIDs: "3b241101-e2bb-4255-8caf-4136c566a962". */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include <stdbool.h>
#include <stdint.h>

#define UUID_SIZE	37	/* of the text, with its NUL */

/* The bytes, in the order of the text.  False: it is not a UUID. */
bool uuid_bytes(const char *text, uint8_t bytes[16]);

#endif
