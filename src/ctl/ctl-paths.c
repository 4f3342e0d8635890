/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "../basic/macro.h"
#include "../policy/policy-fast.h"
#include "ctl-i18n.h"
#include "ctl-output.h"
#include "ctl-terminal.h"

int read_request_paths(sd_bus_message *m, void *field) {
        Counts counts = {};
        Paths *p = field;
        size_t n = 0;
        int r;

        r = read_counts(m, &counts);
        p->fast = counts_get(&counts, "fast");
        p->remote = counts_get(&counts, "remote");
        for (size_t i = 0; i < counts.n; i++)
                if (!streq(counts.list[i].name, "fast") && !streq(counts.list[i].name, "remote"))
                        counts.list[n++] = counts.list[i];
        p->slow = (Counts) { counts.list, n };
        return r;
}

void paths_done(Paths *p) {
        free(p->slow.list);
        *p = (Paths) {};
}

uint64_t paths_taken(const Paths *p) {
        return p->fast + p->remote;
}

uint64_t paths_slow(const Paths *p) {
        uint64_t sum = 0;

        for (size_t i = 0; i < p->slow.n; i++)
                sum += p->slow.list[i].n;
        return sum;
}

void table_add_fast_share(Table *t, const Paths *p) {
        table_add_share(t, paths_taken(p), paths_taken(p) + paths_slow(p));
}

void add_paths_field(Table *t, const char *label, const Paths *p) {
        uint64_t total = paths_taken(p) + paths_slow(p);
        char share[SHARE_TEXT_MAX], all[COUNT_TEXT_MAX], remote[COUNT_TEXT_MAX];

        table_add_string(t, STYLE_DIM, label);
        if (total == 0)
                table_add_string(t, STYLE_DIM, NULL);
        else if (p->remote == 0)
                table_add_format(t, STYLE_NORMAL, _("%s of %s requests"),
                                 share_to_text(paths_taken(p), total, share), count_to_text(total, all));
        else
                table_add_format(t, STYLE_NORMAL, _("%s of %s requests, %s of them answered by the relay"),
                                 share_to_text(paths_taken(p), total, share), count_to_text(total, all),
                                 count_to_text(p->remote, remote));
}

TextStyle answers_style(const char *answers) {
        return streq(answers, "direct") ? STYLE_GOOD : STYLE_DIM;
}

void print_slow_reasons(const Paths *p) {
        print_reasons(_("Not by the fast path"), &p->slow, slow_sentence);
}

void paths_to_json(const Paths *p, JsonWriter *w, const char *key) {
        json_open_object(w, key);
        json_unsigned(w, "fast", p->fast);
        json_unsigned(w, "remote", p->remote);
        counts_to_json(&p->slow, w, "slow");
        json_close(w);
}

static const char *limit_sentence(const MeshProblem *limit) {
        for (FastLimit l = 0; l < _FAST_LIMIT_MAX; l++)
                if (streq(fast_limit_text(l), limit->id))
                        return _(fast_limit_sentence(l));
        return limit->sentence;
}

void print_fast_limits(const MeshProblems *limits) {
        size_t width = 0;

        if (limits->n == 0)
                return;
        for (size_t i = 0; i < limits->n; i++)
                width = MAX(width, text_columns(limits->list[i].id));

        putchar('\n');
        print_styled(STYLE_HEADING, "%s", _("Never by the fast path"));
        putchar('\n');
        for (size_t i = 0; i < limits->n; i++) {
                printf("  %-*s  ", (int) width, limits->list[i].id);
                print_wrapped(limit_sentence(&limits->list[i]), terminal_columns(), width + 4, width + 4);
        }
}
