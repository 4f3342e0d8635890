/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Moves a pointer or descriptor out of a variable, so that its cleanup finds nothing left to do. */
#define TAKE_PTR(p)                         \
        ({                                  \
                typeof(p) *_pp = &(p);      \
                typeof(p) _p = *_pp;        \
                *_pp = NULL;                \
                _p;                         \
        })
#define TAKE_FD(fd)                         \
        ({                                  \
                int *_fdp = &(fd);          \
                int _fd = *_fdp;            \
                *_fdp = -EBADF;             \
                _fd;                        \
        })

/* Defines `void FREE##p(TYPE *p)` for _cleanup_ from a `TYPE FREE(TYPE)` that accepts NULL. */
#define DEFINE_TRIVIAL_CLEANUP(type, free)  \
        static inline void free##p(type *p) { \
                if (*p)                     \
                        (void) free(*p);    \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline void closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static inline void fclosep(FILE **f) {
        if (*f)
                fclose(*f);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
