/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../abi/abi-connection.h"
#include "../abi/abi-reason.h"
#include "../abi/abi-slow.h"
#include "ctl-i18n.h"
#include "ctl-output.h"

typedef struct Reason {
        const char *text;
        unsigned status;
        const char *sentence;
} Reason;

/* Why a request is refused or fails; why one does not take the fast path; why responses of a server do
 * not. */
static const Reason reasons[_SM_REASON_MAX] = {
#define REASON_ROW(id, text, status, sentence) [SM_REASON_##id] = { text, status, sentence },
        SM_REASONS(REASON_ROW)
#undef REASON_ROW
}, slow_reasons[_SM_SLOW_MAX] = {
#define SLOW_ROW(id, text, sentence) [SM_SLOW_##id] = { text, 0, sentence },
        SM_SLOW_LIST(SLOW_ROW)
#undef SLOW_ROW
}, answers[_SM_ENROLLED_MAX] = {
#define ANSWER_ROW(id, text, sentence) [SM_##id] = { text, 0, sentence },
        SM_ENROLLED_LIST(ANSWER_ROW)
#undef ANSWER_ROW
};

static const char *find_sentence(const Reason *list, size_t n, const char *text) {
        for (size_t i = 0; i < n; i++)
                if (streq(list[i].text, text))
                        return _(list[i].sentence);
        return NULL;
}

const char *reason_sentence(const char *text) {
        return find_sentence(reasons, ELEMENTSOF(reasons), text);
}

const char *slow_sentence(const char *text) {
        return find_sentence(slow_reasons, ELEMENTSOF(slow_reasons), text);
}

static void add_reason(Table *t, const char *kind, const Reason *reason) {
        table_add_string(t, STYLE_NORMAL, reason->text);
        table_add_string(t, STYLE_DIM, kind);
        if (reason->status > 0)
                table_add_count(t, STYLE_NORMAL, reason->status);
        else
                table_add_string(t, STYLE_DIM, NULL);
        table_add_string(t, STYLE_NORMAL, _(reason->sentence));
}

ExitStatus verb_reasons(const Options *o, int n, char **arguments) {
        const TableColumn columns[] = {
                { .key = "reason", .title = _("REASON") },
                { .key = "kind", .title = _("KIND") },
                { .key = "status", .title = _("STATUS"), .right = true },
                { .key = "sentence", .title = _("MEANING"), .shrinks = true },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));

        if (!t)
                return output_status(-ENOMEM);
        for (size_t i = SM_REASON_NONE + 1; i < ELEMENTSOF(reasons); i++)
                add_reason(t, "failure", &reasons[i]);
        for (size_t i = SM_SLOW_NONE + 1; i < ELEMENTSOF(slow_reasons); i++)
                add_reason(t, "slow", &slow_reasons[i]);
        for (size_t i = 0; i < ELEMENTSOF(answers); i++)
                add_reason(t, "answers", &answers[i]);
        return output_table(o, t);
}
