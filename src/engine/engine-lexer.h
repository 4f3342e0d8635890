/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-reason.h"
#include "engine-text.h"

/*
 * Field lines (RFC 9112, section 5), one byte at a time, without regard to what they mean: shared by
 * heads and trailer sections. Strict: what the RFC lets a recipient tolerate but smuggling builds on
 * (bare LF, obs-fold, space before the colon) is refused with the reason that names it.
 */

enum sm_lexer_state {
        SM_LEX_LINE,        /* at the first byte of a line */
        SM_LEX_NAME,
        SM_LEX_VALUE_START, /* in the white space before it */
        SM_LEX_VALUE,
        SM_LEX_VALUE_LF, /* CR was seen */
        SM_LEX_LAST_LF,  /* CR of the empty line was seen */
};

/* What the byte just read was, apart from SM_TOKEN_NONE: nothing to act on. */
enum sm_lexer_token {
        SM_TOKEN_NONE,
        SM_TOKEN_NAME_START,  /* the first byte of a name */
        SM_TOKEN_NAME_END,    /* the colon; the name is in `word` */
        SM_TOKEN_VALUE_START, /* the first byte of a value that is not empty */
        SM_TOKEN_VALUE,       /* a further byte of it, trailing white space included */
        SM_TOKEN_LINE_END,    /* LF of a field line */
        SM_TOKEN_END,         /* LF of the empty line */
};

struct sm_lexer {
        struct sm_word word; /* the name, folded; free for other use after SM_TOKEN_NAME_END */
        __u8 state;          /* enum sm_lexer_state */
        __u8 _pad[7];
};

static inline int sm_lexer_line(struct sm_lexer *l, __u8 c) {
        if (c == '\r') {
                l->state = SM_LEX_LAST_LF;
                return SM_TOKEN_NONE;
        }
        if (c == '\n')
                return -SM_REASON_BARE_LF;
        if (sm_is_space(c))
                return -SM_REASON_OBS_FOLD;
        if (!sm_is_token(c))
                return -SM_REASON_BAD_FIELD_NAME;

        sm_word_start(&l->word);
        sm_word_add(&l->word, c | 0x20);
        l->state = SM_LEX_NAME;
        return SM_TOKEN_NAME_START;
}

static inline int sm_lexer_name(struct sm_lexer *l, __u8 c) {
        if (sm_is_token(c)) {
                sm_word_add(&l->word, c | 0x20);
                return SM_TOKEN_NONE;
        }
        if (c == ':') {
                l->state = SM_LEX_VALUE_START;
                return SM_TOKEN_NAME_END;
        }
        if (sm_is_space(c))
                return -SM_REASON_SPACE_BEFORE_COLON;
        if (c == '\n')
                return -SM_REASON_BARE_LF;
        return -SM_REASON_BAD_FIELD_NAME;
}

static inline int sm_lexer_value(struct sm_lexer *l, __u8 c) {
        __u8 before = l->state;

        if (sm_is_text(c)) {
                if (before == SM_LEX_VALUE)
                        return SM_TOKEN_VALUE;
                if (sm_is_space(c))
                        return SM_TOKEN_NONE;
                l->state = SM_LEX_VALUE;
                return SM_TOKEN_VALUE_START;
        }
        if (c == '\r') {
                l->state = SM_LEX_VALUE_LF;
                return SM_TOKEN_NONE;
        }
        return c == '\n' ? -SM_REASON_BARE_LF : -SM_REASON_BAD_FIELD_VALUE;
}

/* enum sm_lexer_token, or -(enum sm_reason). */
static inline int sm_lexer_step(struct sm_lexer *l, __u8 c) {
        switch (l->state) {

        case SM_LEX_LINE:
                return sm_lexer_line(l, c);

        case SM_LEX_NAME:
                return sm_lexer_name(l, c);

        case SM_LEX_VALUE_START:
        case SM_LEX_VALUE:
                return sm_lexer_value(l, c);

        default:
                if (c != '\n')
                        return -SM_REASON_BARE_LF;
                if (l->state == SM_LEX_LAST_LF)
                        return SM_TOKEN_END;
                l->state = SM_LEX_LINE;
                return SM_TOKEN_LINE_END;
        }
}
