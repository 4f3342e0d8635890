/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../basic/parse-util.h"
#include "../basic/string-util.h"
#include "policy-dump.h"
#include "policy-files.h"
#include "policy-load.h"
#include "policy-model.h"

static void dump_key(FILE *f, const char *key, const char *value) {
        fprintf(f, "%s: ", key);
        policy_text_print(value, f);
        fputc('\n', f);
}

static void dump_duration(FILE *f, const char *key, uint64_t usec, const char *end) {
        char text[DURATION_STRLEN];

        fprintf(f, "%s: %s%s", key, duration_to_string(usec, text), end);
}

static void dump_subset(FILE *f, const PolicySubset *s) {
        fputs("  ", f);
        policy_text_print(s->name, f);
        fprintf(f, ":\n    balance: %s\n", balance_to_string(s->balance));
        if (s->hash_name) {
                fprintf(f, "    hash: {%s: ", s->hash == SM_HASH_HEADER ? "header" : "cookie");
                policy_text_print(s->hash_name, f);
                fputs("}\n", f);
        }
        fputs(s->n_endpoints > 0 ? "    endpoints:\n" : "    endpoints: []\n", f);
        for (size_t i = 0; i < s->n_endpoints; i++) {
                const PolicyEndpoint *e = s->endpoints[i];

                fputs("      - {address: ", f);
                policy_text_print(e->text, f);
                fprintf(f, ", weight: %u, state: %s}\n", e->weight, endpoint_admin_to_string(e->admin));
        }
}

static void dump_http(FILE *f, const PolicyService *s) {
        dump_duration(f, "timeouts: {connect", s->connect_timeout_usec, ", ");
        dump_duration(f, "idle", s->idle_timeout_usec, ", ");
        dump_duration(f, "pool-idle", s->pool_idle_usec, "}\n");
        fprintf(f, "connect-attempts: %u\nvia: %s\nforwarded-for: %s\naccelerate: %s\n", s->attempts,
                s->via ? "true" : "false", s->forwarded_for ? "true" : "false",
                accelerate_names[s->accelerate]);
        fprintf(f, "paths: {normalize: %s, encoded-slash: %s, encoded-nul: %s}\n",
                normalize_names[s->normalize_paths], encoded_names[s->encoded_slash],
                encoded_names[s->encoded_nul]);
}

int policy_service_dump(const PolicyService *s, FILE *f) {
        char address[ADDRESS_PORT_STRLEN];

        dump_key(f, "service", s->name);
        fprintf(f, "protocol: %s\n", protocol_to_string(s->protocol));
        if (s->has_address)
                dump_key(f, "address", address_port_to_string(&s->address, s->port, address));
        else
                fprintf(f, "port: %u\n", s->port);
        for (char **c = s->callers; c && *c; c++) {
                fputs(c == s->callers ? "callers:\n  - " : "  - ", f);
                policy_text_print(*c, f);
                fputc('\n', f);
        }
        if (s->protocol == SM_PROTOCOL_HTTP)
                dump_http(f, s);
        fputs("subsets:\n", f);
        for (size_t i = 0; i < s->n_subsets; i++)
                dump_subset(f, s->subsets[i]);
        fputs("routes:\n", f);
        for (size_t i = 0; i < s->n_routes; i++)
                dump_route(f, s, s->routes[i]);
        return ferror(f) ? -EIO : 0;
}

static int good_path(const char *directory, const char *name, char **ret) {
        char *path = NULL;

        if (asprintf(&path, "%s/%s.yaml", directory, name) < 0)
                return -ENOMEM;
        *ret = path;
        return 0;
}

int policy_save_good(const char *directory, const PolicyService *s) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        _cleanup_fclose_ FILE *f = NULL;
        size_t size;
        int r;

        r = good_path(directory, s->name, &path);
        if (r < 0)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        fprintf(f, "# Last good policy of this service, as slicemeshd took it from %s:%u.\n", s->origin.file,
                s->origin.line);
        r = policy_service_dump(s, f);
        if (r < 0 || fflush(f) < 0)
                return -ENOMEM; /* the only way in which a stream in memory fails */
        return policy_file_write(path, text, size);
}

int policy_remove_good(const char *directory, const char *name) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = good_path(directory, name, &path);
        if (r < 0)
                return r;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
