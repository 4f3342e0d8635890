/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "../abi/abi-reason.h"
#include "ctl-i18n.h"
#include "ctl-output.h"

typedef struct Reason {
        const char *text;
        unsigned status;
        const char *sentence;
} Reason;

static const Reason reasons[_SM_REASON_MAX] = {
#define REASON_ROW(id, text, status, sentence) [SM_REASON_##id] = { text, status, sentence },
        SM_REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *reason_sentence(const char *text) {
        for (size_t i = 0; i < _SM_REASON_MAX; i++)
                if (streq(reasons[i].text, text))
                        return _(reasons[i].sentence);
        return NULL;
}

ExitStatus verb_reasons(const Options *o, int n, char **arguments) {
        const TableColumn columns[] = {
                { .key = "reason", .title = _("REASON") },
                { .key = "status", .title = _("STATUS"), .right = true },
                { .key = "sentence", .title = _("MEANING"), .shrinks = true },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));

        if (!t)
                return output_status(-ENOMEM);
        for (size_t i = SM_REASON_NONE + 1; i < _SM_REASON_MAX; i++) {
                table_add_string(t, STYLE_NORMAL, reasons[i].text);
                if (reasons[i].status > 0)
                        table_add_count(t, STYLE_NORMAL, reasons[i].status);
                else
                        table_add_string(t, STYLE_DIM, NULL);
                table_add_string(t, STYLE_NORMAL, _(reasons[i].sentence));
        }
        return output_table(o, t);
}
