/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-text.h"

/*
 * Chunk extensions (RFC 9112, section 7.1.1), one byte at a time, from behind the first ";":
 *
 *   name [ "=" ( token / quoted-string ) ] *( ";" name ... )
 *
 * without the white space that the RFC calls bad: they are forwarded as they are, and not all recipients
 * see it as such.
 */

enum sm_extension_state {
        SM_EXTENSION_START,
        SM_EXTENSION_NAME,
        SM_EXTENSION_EQUALS, /* "=" was seen */
        SM_EXTENSION_VALUE,
        SM_EXTENSION_QUOTED,
        SM_EXTENSION_ESCAPE, /* "\" was seen */
        SM_EXTENSION_UNQUOTED,
};

/* The state behind `c`; -1 if that cannot stand here. */
static inline int sm_extension_step(int state, __u8 c) {
        switch (state) {

        case SM_EXTENSION_START:
                return sm_is_token(c) ? SM_EXTENSION_NAME : -1;

        case SM_EXTENSION_EQUALS:
                if (c == '"')
                        return SM_EXTENSION_QUOTED;
                return sm_is_token(c) ? SM_EXTENSION_VALUE : -1;

        case SM_EXTENSION_QUOTED:
                if (c == '"' || c == '\\')
                        return c == '"' ? SM_EXTENSION_UNQUOTED : SM_EXTENSION_ESCAPE;
                return sm_is_text(c) ? SM_EXTENSION_QUOTED : -1;

        case SM_EXTENSION_ESCAPE:
                return sm_is_text(c) ? SM_EXTENSION_QUOTED : -1;

        default:
                if (c == ';')
                        return SM_EXTENSION_START;
                if (c == '=' && state == SM_EXTENSION_NAME)
                        return SM_EXTENSION_EQUALS;
                return sm_is_token(c) && state != SM_EXTENSION_UNQUOTED ? state : -1;
        }
}

/* Whether the extensions may end here. */
static inline int sm_extension_complete(int state) {
        return state == SM_EXTENSION_NAME || state == SM_EXTENSION_VALUE || state == SM_EXTENSION_UNQUOTED;
}
