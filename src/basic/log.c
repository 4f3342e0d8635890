/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"

static int max_level = LOG_INFO;

void log_set_max_level(int level) {
        max_level = level;
}

int log_get_max_level(void) {
        return max_level;
}

int log_internal(int level, int error, const char *format, ...) {
        static int with_prefix = -1; /* threads may race here, to the same value */
        int saved_errno = errno, n = 0, r;
        char line[2048];
        va_list ap;

        if (with_prefix < 0)
                with_prefix = !isatty(STDERR_FILENO);
        if (with_prefix)
                n = snprintf(line, sizeof(line), "<%i>", level);

        errno = -error;
        va_start(ap, format);
        r = vsnprintf(line + n, sizeof(line) - (size_t) n - 1, format, ap);
        va_end(ap);
        if (r >= 0) {
                n = MIN(n + r, (int) sizeof(line) - 2);
                line[n++] = '\n';
                (void) !write(STDERR_FILENO, line, (size_t) n); /* nowhere to report that to */
        }

        errno = saved_errno;
        return error;
}
