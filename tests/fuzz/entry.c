// SPDX-License-Identifier: MIT
/* libFuzzer's way in, to the target that FUZZ names. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return FUZZ(data, size);
}
