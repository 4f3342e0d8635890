/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <string.h>

#define ELEMENTSOF(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(p, type, member) ((type *) ((char *) (p) -offsetof(type, member)))

#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define streq(a, b) (strcmp((a), (b)) == 0)

/* libc returns -1 and errno; ours is negative errno. */
#define RET_NERRNO(expr)                    \
        ({                                  \
                typeof(expr) _r = (expr);   \
                _r < 0 ? -errno : (int) _r; \
        })
