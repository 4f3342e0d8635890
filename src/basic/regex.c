/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "regex.h"
#include "time-util.h"

/* What a pattern itself can ask for in its first characters, (*UTF) and the like, would change what it
 * matches by, and is refused. */
enum {
        OPTIONS = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_USE_OFFSET_LIMIT,
};

/* Of one place where a match may begin: 0.4 ms, or a tenth of that in machine code. */
#define STEPS_MAX 20000
#define HEAP_MAX_KIB 2048
#define JIT_STACK_MIN (32 << 10)
#define JIT_STACK_MAX (1 << 20)

/* Of all places together, which in a value of 32 KiB are as many. The first ones are tried without looking
 * at the clock, which costs as much as a short pattern. */
#define TIME_MAX (10 * NSEC_PER_MSEC) /* of this thread's CPU */
#define PLACES_FIRST 128
#define PLACES_GROW (NSEC_PER_MSEC) /* as long as it took less, twice as many are tried next */

struct RegexRunner {
        pcre2_match_data *data;
        pcre2_match_context *whole, *part;
        pcre2_jit_stack *stack;
};

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

bool regex_accelerate(pcre2_code *code) {
        return pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

static pcre2_match_context *limits_new(pcre2_jit_stack *stack) {
        pcre2_match_context *c = pcre2_match_context_create(NULL);

        if (!c)
                return NULL;
        pcre2_set_match_limit(c, STEPS_MAX);
        pcre2_set_depth_limit(c, STEPS_MAX);
        pcre2_set_heap_limit(c, HEAP_MAX_KIB);
        pcre2_jit_stack_assign(c, NULL, stack);
        return c;
}

RegexRunner *regex_runner_free(RegexRunner *r) {
        if (!r)
                return NULL;
        pcre2_match_context_free(r->part);
        pcre2_match_context_free(r->whole);
        pcre2_jit_stack_free(r->stack);
        pcre2_match_data_free(r->data);
        free(r);
        return NULL;
}

RegexRunner *regex_runner_new(void) {
        RegexRunner *r = calloc(1, sizeof(RegexRunner));

        if (!r)
                return NULL;
        r->data = pcre2_match_data_create(1, NULL);
        r->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
        r->whole = limits_new(r->stack);
        r->part = limits_new(r->stack);
        if (!r->data || !r->stack || !r->whole || !r->part)
                return regex_runner_free(r);
        return r;
}

/* Of no other thread's, and not while others have the CPU: what it comes to must not depend on the load. */
static nsec_t cpu_time(void) {
        struct timespec t = {};

        (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (nsec_t) t.tv_sec * NSEC_PER_SEC + (nsec_t) t.tv_nsec;
}

static int verdict(int result) {
        if (result >= 0) /* 0: there was no room for what its groups match, which nobody asks for */
                return 1;
        if (result == PCRE2_ERROR_NOMATCH)
                return 0;
        return result == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -EDQUOT;
}

/* The limits of PCRE2 begin anew with each place where a match may begin. So a few places at a time are
 * tried, and then it is looked at what that has cost. */
static int run_in_parts(RegexRunner *r, const pcre2_code *code, const uint8_t *text, size_t length) {
        nsec_t begin = cpu_time(), spent;
        size_t n = PLACES_FIRST;
        int result;

        for (size_t at = 0;;) {
                pcre2_set_offset_limit(r->part, at + n - 1);
                result = verdict(pcre2_match(code, text, length, at, 0, r->data, r->part));
                at += n;
                if (result != 0 || at > length)
                        return result;
                spent = cpu_time() - begin;
                if (spent > TIME_MAX)
                        return -EDQUOT;
                if (spent < PLACES_GROW)
                        n *= 2;
        }
}

int regex_run(RegexRunner *r, const pcre2_code *code, const uint8_t *text, size_t length) {
        uint32_t options = 0;

        (void) pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options); /* what PCRE2 found out included */
        if (length < PLACES_FIRST || (options & PCRE2_ANCHORED))
                return verdict(pcre2_match(code, text, length, 0, 0, r->data, r->whole));
        return run_in_parts(r, code, text, length);
}
