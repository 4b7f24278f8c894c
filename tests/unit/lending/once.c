// SPDX-License-Identifier: MIT
/* One run: once <seed> <steps> [<effect> <effect>], the latter in the wrong order. */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static struct world world;

int main(int argc, char **argv)
{
	const char *what;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: once <seed> <steps> [<effect> <effect>]\n");
		return 2;
	}
	what = simulate(&world, strtoull(argv[1], NULL, 0), strtoull(argv[2], NULL, 0),
			argc == 5 ? atoi(argv[3]) : NO_EFFECT, argc == 5 ? atoi(argv[4]) : NO_EFFECT);
	printf("seed %s: %s; %llu crashes, %llu grants, %llu ends, %llu times waiting\n", argv[1],
	       what ? what : "nothing violated", (unsigned long long)world.crashes,
	       (unsigned long long)world.grants, (unsigned long long)world.ends,
	       (unsigned long long)world.waits);
	return what ? 1 : 0;
}
