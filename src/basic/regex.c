/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>

#include "regex.h"

/* What a pattern itself can ask for in its first characters, (*UTF) and the like, would change what it
 * matches by, and is refused. */
enum { OPTIONS = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOLLAR_ENDONLY };

int regex_compile(const char *pattern, size_t length, pcre2_code **ret, RegexError *ret_error) {
        PCRE2_SIZE offset;
        pcre2_code *code;
        int error;

        code = pcre2_compile((PCRE2_SPTR) pattern, length, OPTIONS, &error, &offset, NULL);
        if (!code) {
                if (error == PCRE2_ERROR_HEAP_FAILED)
                        return -ENOMEM;
                ret_error->offset = offset;
                if (pcre2_get_error_message(error, (PCRE2_UCHAR *) ret_error->message,
                                            sizeof(ret_error->message)) < 0)
                        snprintf(ret_error->message, sizeof(ret_error->message), "error %d", error);
                return -EINVAL;
        }
        *ret = code;
        return 0;
}
