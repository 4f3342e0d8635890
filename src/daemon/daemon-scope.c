/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#include "../basic/array-util.h"
#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "../basic/string-util.h"
#include "daemon-bpf.h"
#include "daemon-reload.h"
#include "daemon-service.h"
#include "daemon-slice.h"
#include "daemon-tables.h"
#include "daemon-ungoverned.h"

/*
 * Who is governed, and under which addresses: the managed slices are those of mesh.yaml and the callers of
 * every service; the programs find a service by address and slice.
 */

static bool strv_names_above(char *const *slices, const char *name) {
        for (size_t i = 0; slices && slices[i]; i++)
                if (slice_is_within(name, slices[i]))
                        return true;
        return false;
}

static bool slice_is_wanted(const Manager *m, const char *name) {
        size_t position = 0;
        Service *s;

        if (strv_contains(m->mesh->slices, name))
                return true;
        while ((s = hashmap_next(m->services, &position)))
                if (!s->leaving && s->model && strv_contains(s->model->callers, name))
                        return true;
        return false;
}

static int add_slices(Manager *m, char *const *names) {
        int r;

        for (size_t i = 0; names && names[i]; i++) {
                Slice *s;

                if (hashmap_get(m->slices, names[i]))
                        continue;
                r = slice_new(m, names[i], &s);
                if (r < 0)
                        return r;
                r = slice_follow(s);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_slices(const void *a, const void *b) {
        return strcmp(((const BoundSlice *) a)->name, ((const BoundSlice *) b)->name);
}

int manager_bind_slices(Manager *m, BoundSlice **ret, size_t *ret_n) {
        BoundSlice *slices = calloc(hashmap_size(m->slices) + 1, sizeof(*slices));
        size_t position = 0, n = 0;
        const Slice *s;

        if (!slices)
                return -ENOMEM;
        while ((s = hashmap_next(m->slices, &position)))
                slices[n++] = (BoundSlice) { .name = s->name, .id = s->id };
        qsort(slices, n, sizeof(*slices), compare_slices);
        *ret = slices;
        *ret_n = n;
        return 0;
}

/* Which slices a name in a route's match stands for depends on what is managed. Where nothing changes, no
 * commit is made. */
static int commit_for_slices(Manager *m) {
        size_t position = 0;
        Service *s;
        int r = 0;

        while (r >= 0 && (s = hashmap_next(m->services, &position)))
                if (!s->leaving && s->model && s->model->looks_at_slices)
                        r = service_commit(s);
        return r;
}

int manager_add_slices(Manager *m) {
        size_t position = 0;
        Service *s;
        int r;

        r = add_slices(m, m->mesh->slices);
        while (r >= 0 && (s = hashmap_next(m->services, &position)))
                if (!s->leaving && s->model)
                        r = add_slices(m, s->model->callers);
        return r < 0 ? r : commit_for_slices(m);
}

void manager_remove_slices(Manager *m) {
        size_t position = 0, n = hashmap_size(m->slices);
        Slice *s;
        int r = 0;

        while ((s = hashmap_next(m->slices, &position))) {
                if (slice_is_wanted(m, s->name))
                        continue;
                log_info("%s is not managed any more.", s->name);
                slice_release(s);
                slice_free(s);
        }
        if (hashmap_size(m->slices) < n)
                r = commit_for_slices(m);
        if (r < 0)
                log_warning_errno(r, "Failed to forget slices in the routes of services, ignoring: %m");
}

typedef struct VipList {
        BpfVip *vips;
        size_t n;
} VipList;

static int add_vip(VipList *l, const Service *s, uint32_t slice, enum sm_vip_flags flags) {
        BpfVip *v;
        int r;

        r = array_reserve(&l->vips, l->n, sizeof(*l->vips));
        if (r < 0)
                return r;
        v = &l->vips[l->n++];
        *v = (BpfVip) {
                .key = { .port = htons(s->port), .slice = slice },
                .value = {
                        .service = s->id,
                        .protocol = (__u8) s->model->protocol,
                        .flags = (__u8) flags,
                        .generation = sm_service_at(tables_view(s->manager->tables), s->id)->generation,
                },
        };
        memcpy(v->key.address, &s->address, sizeof(v->key.address));
        return 0;
}

static int add_vips(Manager *m, const Service *s, VipList *l) {
        size_t position = 0;
        Slice *slice;
        int r;

        if (!s->model->callers)
                return add_vip(l, s, 0, 0);
        r = add_vip(l, s, 0, SM_VIP_REFUSE);
        while (r >= 0 && (slice = hashmap_next(m->slices, &position)))
                if (strv_names_above(s->model->callers, slice->name))
                        r = add_vip(l, s, slice->id, 0);
        return r;
}

int manager_set_vips(Manager *m) {
        VipList l = {};
        size_t position = 0;
        Service *s;
        int r = 0;

        while (r >= 0 && (s = hashmap_next(m->services, &position)))
                if (!s->leaving && s->model)
                        r = add_vips(m, s, &l);
        if (r >= 0)
                r = bpf_vips_set(m->bpf, l.vips, l.n);
        free(l.vips);
        ungoverned_recount(m->ungoverned);
        return r;
}
