/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine-path-normal.h"

/* Any bytes as a path: its normal form is one, never longer, and the same of itself. */

#define CHECK(condition)         \
        do {                     \
                if (!(condition)) \
                        abort(); \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum sm_path_kind judge(const uint8_t *path, size_t n, __u32 flags) {
        struct sm_work work;

        memset(&work, 0xa5, sizeof(work));
        return sm_path_judge(path, (struct sm_span) { 0, (__u16) n }, flags, &work);
}

static void check(const uint8_t *data, size_t size, __u32 flags) {
        enum sm_path_kind kind = judge(data, size, flags);
        uint8_t *path = malloc(size + 1);
        size_t n;

        CHECK(path);
        memcpy(path, data, size);
        if (kind != SM_PATH_AMBIGUOUS) {
                n = sm_path_normalise(path, (__u32) size);
                CHECK(n <= size);
                CHECK((kind == SM_PATH_NORMAL) == (n == size && memcmp(path, data, n) == 0));
                CHECK(judge(path, n, flags) == SM_PATH_NORMAL);
                CHECK(sm_path_normalise(path, (__u32) n) == n);
        }
        free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size > SM_HEAD_MAX)
                return 0;
        check(data, size, 0);
        check(data, size, SM_POLICY_KEEP_SLASHES | SM_POLICY_KEEP_NULS);
        return 0;
}
