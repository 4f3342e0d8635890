/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../basic/cleanup.h"
#include "policy-load.h"
#include "test-policy-bind.h"
#include "test-policy-yaml.h"

/*
 * Whatever bytes a policy file holds: no crash, no leak, and every error has a place and a sentence. A
 * service that is accepted compiles, and its dump is accepted as an equal service. Both readers of YAML
 * read the same.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

DEFINE_TRIVIAL_CLEANUP(Policy *, policy_free)

static void require(bool condition) {
        if (!condition)
                abort();
}

static void compile(const PolicyService *s) {
        TestBinding b = test_bind(s);
        PolicyExtent extent = {};

        require(policy_compile(s, &b.binding, &extent) == 0);
        policy_extent_done(&extent);
        test_binding_done(&b);
}

static void round_trip(const PolicyService *s) {
        _cleanup_(policy_freep) Policy *again = NULL;
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        require(policy_service_dump(s, f) == 0 && fclose(f) == 0);
        require(policy_load_memory("dump", text, size, &again) == 0);
        require(again->n_errors == 0 && again->n_services == 1);
        require(policy_service_equal(s, again->services[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(policy_freep) Policy *p = NULL;

        require(test_plain_is_yaml((const char *) data, size) >= 0);
        require(policy_load_memory("input", (const char *) data, size, &p) == 0);
        for (size_t i = 0; i < p->n_errors; i++) {
                _cleanup_free_ char *text = NULL;

                require(policy_error_format(&p->errors[i], &text) == 0);
                require(p->errors[i].origin.line > 0 && p->errors[i].message[0]);
                for (size_t j = 0; p->errors[i].service && j < p->n_services; j++)
                        require(strcmp(p->errors[i].service, p->services[j]->name) != 0);
        }
        for (size_t i = 0; i < p->n_services; i++) {
                compile(p->services[i]);
                round_trip(p->services[i]);
        }
        return 0;
}
