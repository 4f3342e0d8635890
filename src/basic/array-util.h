/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Makes room for one more behind the n elements of a growing array, whose capacity is n rounded up to a
 * power of two. `array` points to the pointer to the elements. 0 or -ENOMEM, the array untouched.
 */
static inline int array_reserve(void *array, size_t n, size_t element_size) {
        void *elements, *grown;

        if ((n & (n - 1)) != 0)
                return 0;
        memcpy(&elements, array, sizeof(elements));
        grown = reallocarray(elements, n > 0 ? 2 * n : 1, element_size);
        if (!grown)
                return -ENOMEM;
        memcpy(array, &grown, sizeof(grown));
        return 0;
}
