/* SPDX-License-Identifier: MIT */
/* Counting the system calls of a program, all its threads together. */
#ifndef BENCH_SYSCALLS_H
#define BENCH_SYSCALLS_H

/* Counts those of processes that are called @comm from now on. */
void syscalls_start(const char *comm);
/* How many there were; shows which, for each of @times. */
unsigned long syscalls_stop(unsigned int times);

#endif
