/* SPDX-License-Identifier: MIT */
/* The processes of the stress: it starts them, kills clients, and starts others. */
#ifndef STRESS_NURSERY_H
#define STRESS_NURSERY_H

#include <stdbool.h>
#include <stdint.h>

#include "random.h"

/* One phase: everything runs, and has ended when it returns, unless it hangs. */
void nursery_run(struct random *random, unsigned int seconds, bool sleeps);

#endif
