/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "../basic/macro.h"
#include "ctl-variant.h"

static int basic_to_json(sd_bus_message *m, char type, JsonWriter *w, const char *key) {
        union {
                const char *text;
                int boolean;
                uint32_t u32;
                uint64_t u64;
        } v;
        int r;

        if (!strchr("sobut", type)) {
                json_null(w, key);
                return sd_bus_message_skip(m, (char[]) { type, '\0' });
        }
        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        if (type == SD_BUS_TYPE_BOOLEAN)
                json_boolean(w, key, v.boolean);
        else if (type == SD_BUS_TYPE_UINT32)
                json_unsigned(w, key, v.u32);
        else if (type == SD_BUS_TYPE_UINT64)
                json_unsigned(w, key, v.u64);
        else
                json_string(w, key, v.text);
        return 0;
}

static int dictionary_to_json(sd_bus_message *m, JsonWriter *w, const char *key) {
        const char *contents, *name;
        int r;

        json_open_object(w, key);
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, contents);
                if (r >= 0)
                        r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = variant_to_json(m, w, name);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        json_close(w);
        return r;
}

static int sequence_to_json(sd_bus_message *m, JsonWriter *w, const char *key) {
        int r;

        json_open_array(w, key);
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                r = variant_to_json(m, w, NULL);
                if (r < 0)
                        return r;
        }
        json_close(w);
        return r;
}

int variant_to_json(sd_bus_message *m, JsonWriter *w, const char *key) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r <= 0 || w->depth == JSON_DEPTH_MAX)
                return r < 0 ? r : -EBADMSG;
        if (!contents)
                return basic_to_json(m, type, w, key);

        r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return r;
        if (type == SD_BUS_TYPE_VARIANT)
                r = variant_to_json(m, w, key);
        else if (type == SD_BUS_TYPE_ARRAY && contents[0] == '{' && contents[1] == SD_BUS_TYPE_STRING)
                r = dictionary_to_json(m, w, key);
        else
                r = sequence_to_json(m, w, key);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}
