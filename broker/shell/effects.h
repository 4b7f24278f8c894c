/* SPDX-License-Identifier: MIT */
/* Hands effects of the core to the layers. */
#ifndef SHELL_EFFECTS_H
#define SHELL_EFFECTS_H

#include "core/effect.h"

/* For core_new(); @shell: a struct shell. */
void effects_carry_out(void *shell, const struct effect *effect);

#endif
