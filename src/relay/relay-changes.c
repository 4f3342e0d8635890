/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "../basic/macro.h"
#include "relay-changes.h"

/* With texts that are still the policy's; the bytes of all of them go into *size. */
static int read_changes(const struct sm_tables *t, __u32 base, const struct sm_actions *a, Changes *c,
                        size_t *size) {
        size_t n = (size_t) a->n_request_edits + a->n_response_edits;

        for (size_t i = 0; i < n; i++) {
                const struct sm_edit *e = sm_cell_of(t, base + a->edits + (__u32) i);
                FieldChange *f = &c->fields[i];

                if (!e || e->kind >= _SM_EDIT_MAX || !text_read(t, base, &e->name, &f->name) ||
                    !text_read(t, base, &e->value, &f->value))
                        return -EBADMSG;
                f->kind = e->kind;
                *size += f->name.length + f->value.length;
        }
        if ((a->flags & SM_ACTION_REWRITE_HOST) && !text_read(t, base, &a->host, &c->host))
                return -EBADMSG;
        if ((a->flags & SM_ACTION_REWRITE_PATH) && !text_read(t, base, &a->prefix, &c->prefix))
                return -EBADMSG;
        *size += c->host.length + c->prefix.length;
        return 0;
}

static void keep(Text *text, uint8_t **end) {
        if (!text->bytes)
                return;
        memcpy(*end, text->bytes, text->length);
        text->bytes = *end;
        *end += text->length;
}

int changes_new(const struct sm_tables *t, __u32 base, const struct sm_actions *a, Changes **ret) {
        size_t n = (size_t) a->n_request_edits + a->n_response_edits, size = 0;
        _cleanup_free_ Changes *c = NULL;
        Changes *whole;
        uint8_t *end;
        int r;

        if (n == 0 && !(a->flags & (SM_ACTION_REWRITE_HOST | SM_ACTION_REWRITE_PATH))) {
                *ret = NULL;
                return 0;
        }
        c = calloc(1, sizeof(Changes) + n * sizeof(FieldChange));
        if (!c)
                return -ENOMEM;
        r = read_changes(t, base, a, c, &size);
        if (r < 0)
                return r;
        whole = realloc(c, sizeof(Changes) + n * sizeof(FieldChange) + size);
        if (!whole)
                return -ENOMEM;
        TAKE_PTR(c);
        end = (uint8_t *) &whole->fields[n];
        for (size_t i = 0; i < n; i++) {
                keep(&whole->fields[i].name, &end);
                keep(&whole->fields[i].value, &end);
        }
        keep(&whole->host, &end);
        keep(&whole->prefix, &end);
        whole->skip = a->skip;
        whole->request = (FieldChanges){ whole->fields, a->n_request_edits };
        whole->response = (FieldChanges){ whole->fields + a->n_request_edits, a->n_response_edits };
        *ret = whole;
        return 0;
}
