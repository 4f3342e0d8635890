/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "daemon-bpf-programs.h"
#include "slicemesh.skel.h"

static int compare_vips(const void *a, const void *b) {
        return memcmp(&((const BpfVip *) a)->key, &((const BpfVip *) b)->key, sizeof(struct sm_vip_key));
}

/* The keys of the map; *ret_n of them. */
static int read_keys(int fd, struct sm_vip_key **ret, size_t *ret_n) {
        _cleanup_free_ struct sm_vip_key *keys = NULL;
        struct sm_vip_key key, previous;
        size_t n = 0;
        int r;

        while (bpf_map_get_next_key(fd, n > 0 ? &previous : NULL, &key) == 0) {
                r = array_reserve(&keys, n, sizeof(*keys));
                if (r < 0)
                        return r;
                keys[n++] = previous = key;
        }
        *ret = TAKE_PTR(keys);
        *ret_n = n;
        return 0;
}

int bpf_vips_set(BpfPrograms *b, BpfVip *vips, size_t n) {
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
        if (n > 0)
                qsort(vips, n, sizeof(*vips), compare_vips);
        for (size_t i = 0; i < n_keys; i++) {
                const BpfVip wanted = { .key = keys[i] };

                if (n > 0 && bsearch(&wanted, vips, n, sizeof(*vips), compare_vips))
                        continue;
                r = bpf_map_delete_elem(fd, &keys[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}
