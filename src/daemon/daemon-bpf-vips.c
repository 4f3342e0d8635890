/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../basic/cleanup.h"
#include "daemon-bpf-programs.h"
#include "slicemesh.skel.h"

static bool is_wanted(const BpfVip *vips, size_t n, const struct sm_vip_key *key) {
        for (size_t i = 0; i < n; i++)
                if (memcmp(&vips[i].key, key, sizeof(*key)) == 0)
                        return true;
        return false;
}

/* The keys of the map; *ret_n of them. */
static int read_keys(int fd, struct sm_vip_key **ret, size_t *ret_n) {
        _cleanup_free_ struct sm_vip_key *keys = NULL;
        struct sm_vip_key key, *previous = NULL;
        size_t n = 0, n_allocated = 0;

        while (bpf_map_get_next_key(fd, previous, &key) == 0) {
                if (n == n_allocated) {
                        struct sm_vip_key *larger;

                        n_allocated = n_allocated * 2 + 64;
                        larger = reallocarray(keys, n_allocated, sizeof(*keys));
                        if (!larger)
                                return -ENOMEM;
                        keys = larger;
                }
                keys[n] = key;
                previous = &keys[n++];
        }
        *ret = TAKE_PTR(keys);
        *ret_n = n;
        return 0;
}

int bpf_vips_set(BpfPrograms *b, const BpfVip *vips, size_t n) {
        _cleanup_free_ struct sm_vip_key *keys = NULL;
        int fd = bpf_map__fd(b->skeleton->maps.vips), r;
        size_t n_keys;

        for (size_t i = 0; i < n; i++) {
                r = bpf_map_update_elem(fd, &vips[i].key, &vips[i].value, BPF_ANY);
                if (r < 0)
                        return r;
        }
        r = read_keys(fd, &keys, &n_keys);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n_keys; i++) {
                if (is_wanted(vips, n, &keys[i]))
                        continue;
                r = bpf_map_delete_elem(fd, &keys[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}
