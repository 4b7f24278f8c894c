/* SPDX-License-Identifier: MIT */
/*
 * The log.  Entries in the journal have fields, so that it can be asked who had a slice.
 * vfio-dmabufd(8) lists them.
 */
#ifndef SHELL_JOURNAL_H
#define SHELL_JOURNAL_H

#include <syslog.h>

#include "core/effect.h"

struct shell;

/* MESSAGE_ID= of each type; see journalctl(1). */
#define JOURNAL_GRANTED	"3420fc502ae04116aaf4c4c1d9caffbc"
#define JOURNAL_ENDED	"4d871d4ccb8844a997980d9ed2de4548"
#define JOURNAL_DENIED	"9817a99343be478784adc0525c99a1f0"
#define JOURNAL_OPEN	"b28ad95726e842029f243933e6e50813"
#define JOURNAL_LOST	"30d4f514da2a4bd99ec1c546138d8467"
#define JOURNAL_ABSENT	"e482a36045f34fe5b5f6bbf4dd1352a3"

/* The default is LOG_INFO. */
void journal_set_level(int priority);
/* @priority: as for syslog(). */
__attribute__((format(printf, 2, 3)))
void journal_line(int priority, const char *format, ...);
/* EFFECT_LOG.  Entries that clients cause are limited for each user. */
void journal_effect(struct shell *shell, const struct effect *effect);

#endif
