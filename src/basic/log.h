/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <syslog.h>

#include "macro.h"

/*
 * One line to the journal. A function either logs an error or returns it, never both. `error` is a
 * negative errno that "%m" in the format stands for and that is returned; 0 where there is none.
 *
 * Lines go to standard error with the "<N>" level prefix that the journal understands; without the
 * prefix when standard error is a terminal. This needs no descriptor but 2, so the relay can use it
 * after it gave everything else up.
 */
void log_set_max_level(int level);
int log_get_max_level(void);
int log_internal(int level, int error, const char *format, ...) _printf_(3, 4);

#define log_full_errno(level, error, ...) \
        ((level) <= log_get_max_level() ? log_internal(level, error, __VA_ARGS__) : (int) (error))

#define log_debug(...) (void) log_full_errno(LOG_DEBUG, 0, __VA_ARGS__)
#define log_info(...) (void) log_full_errno(LOG_INFO, 0, __VA_ARGS__)
#define log_notice(...) (void) log_full_errno(LOG_NOTICE, 0, __VA_ARGS__)
#define log_warning(...) (void) log_full_errno(LOG_WARNING, 0, __VA_ARGS__)
#define log_error(...) (void) log_full_errno(LOG_ERR, 0, __VA_ARGS__)

#define log_debug_errno(error, ...) log_full_errno(LOG_DEBUG, error, __VA_ARGS__)
#define log_warning_errno(error, ...) log_full_errno(LOG_WARNING, error, __VA_ARGS__)
#define log_error_errno(error, ...) log_full_errno(LOG_ERR, error, __VA_ARGS__)
#define log_oom() log_full_errno(LOG_ERR, -ENOMEM, "Out of memory.")
