/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../basic/array-util.h"
#include "../basic/macro.h"
#include "ctl-properties.h"

void *list_append(void *list, size_t *n, size_t size) {
        if (array_reserve(list, *n, size) < 0)
                return NULL;
        return memset(*(char **) list + (*n)++ * size, 0, size);
}

int read_list(sd_bus_message *m, const char *contents, PropertyReader read, void *list, size_t *n,
              size_t size) {
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, contents);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                void *element = list_append(list, n, size);

                if (!element)
                        return -ENOMEM;
                r = read(m, element);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int read_text(sd_bus_message *m, void *field) {
        return sd_bus_message_read(m, "s", field);
}

static int read_path(sd_bus_message *m, void *field) {
        return sd_bus_message_read(m, "o", field);
}

int read_boolean(sd_bus_message *m, void *field) {
        int b, r;

        r = sd_bus_message_read(m, "b", &b);
        if (r >= 0)
                *(bool *) field = b;
        return r;
}

int read_u32(sd_bus_message *m, void *field) {
        return sd_bus_message_read(m, "u", field);
}

int read_u64(sd_bus_message *m, void *field) {
        return sd_bus_message_read(m, "t", field);
}

int read_texts(sd_bus_message *m, void *field) {
        Texts *t = field;

        return read_list(m, "s", read_text, &t->list, &t->n, sizeof(*t->list));
}

int read_paths(sd_bus_message *m, void *field) {
        Texts *t = field;

        return read_list(m, "o", read_path, &t->list, &t->n, sizeof(*t->list));
}

static int read_count(sd_bus_message *m, void *field) {
        Count *c = field;

        return sd_bus_message_read(m, "{st}", &c->name, &c->n);
}

int read_counts(sd_bus_message *m, void *field) {
        Counts *c = field;

        return read_list(m, "{st}", read_count, &c->list, &c->n, sizeof(*c->list));
}

static int read_share(sd_bus_message *m, void *field) {
        Count *c = field;
        uint32_t weight;
        int r;

        r = sd_bus_message_read(m, "(su)", &c->name, &weight);
        if (r >= 0)
                c->n = weight;
        return r;
}

int read_shares(sd_bus_message *m, void *field) {
        Counts *c = field;

        return read_list(m, "(su)", read_share, &c->list, &c->n, sizeof(*c->list));
}

uint64_t counts_get(const Counts *c, const char *name) {
        for (size_t i = 0; i < c->n; i++)
                if (streq(c->list[i].name, name))
                        return c->list[i].n;
        return 0;
}

static const Property *find_property(const Property *properties, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (streq(properties[i].name, name))
                        return &properties[i];
        return NULL;
}

static int read_variant(sd_bus_message *m, PropertyReader read, void *field) {
        const char *contents;
        int r;

        r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_VARIANT, contents);
        if (r < 0)
                return r;
        r = read(m, field);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_property(sd_bus_message *m, const Property *properties, size_t n, void *object) {
        const Property *p;
        const char *name;
        int r;

        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
                return r;
        p = find_property(properties, n, name);
        if (p)
                r = read_variant(m, p->read, (char *) object + p->offset);
        else
                r = sd_bus_message_skip(m, "v");
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int properties_read(sd_bus_message *m, const Property *properties, size_t n, void *object) {
        int r;

        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = read_property(m, properties, n, object);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}
