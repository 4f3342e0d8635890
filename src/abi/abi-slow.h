/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Why a request did not take the fast path, or not to its end: one list for counters, the bus, `explain`
 * and the manual. None of them is an error: the relay serves the request, by the same rules. As with
 * abi-reason.h the texts are stable, the numbers are not.
 *
 * X(identifier, text, sentence for people)
 */
#define SM_SLOW_LIST(X)                                                                                  \
        X(NONE, "none", "Nothing was in the way.")                                                       \
        /* the connection */                                                                             \
        X(OFF, "off", "The fast path is switched off.")                                                  \
        X(UNAVAILABLE, "unavailable", "This kernel lacks what the fast path needs, or failed a probe.")  \
        X(NEVER, "never", "The service's policy says so: accelerate: never.")                            \
        X(BLOCKING, "blocking", "The caller's socket is blocking, and the policy does not say accelerate: always.") \
        X(BUSY, "busy", "The caller's socket already has a program of somebody else's.")                 \
        X(FULL, "full", "There are more connections than the fast path has room for.")                   \
        /* the request */                                                                                \
        X(NOT_IN_STEP, "not-in-step", "An earlier request was not answered yet, or its answer not read.") \
        X(SPLIT, "split", "The caller did not send one request, all of it, at once.")                    \
        X(TOO_LARGE, "too-large", "The request or its head is larger than the kernel moves.")            \
        X(CODED, "coded", "The request's body has a transfer coding.")                                   \
        X(REWRITTEN, "rewritten", "The request's head has to be rewritten before it is sent on.")        \
        X(REFUSED, "refused", "The request is malformed, or the policy has no endpoint for it.")         \
        X(REGEX, "regex", "A rule looks at the request with a regular expression.")                      \
        X(BODY, "body", "A rule looks at more of the request's body than the kernel has in hand.")       \
        X(ACTION, "action", "The route does something with the request that only the relay can.")        \
        X(TRACED, "traced", "The kernel would have taken the request, had it not been traced.")          \
        X(NO_UPSTREAM, "no-upstream", "No idle connection to the chosen endpoint was there.")            \
        /* the response */                                                                               \
        X(INTERIM, "interim", "The endpoint's first response was not the final one.")                    \
        X(RESPONSE_FRAMING, "response-framing", "The response's end cannot be told when it begins.")     \
        X(RESPONSE_REWRITTEN, "response-rewritten", "The response's head has to be rewritten before it is sent on.") \
        X(RESPONSE_TOO_LARGE, "response-too-large", "The response or its head is larger than the kernel moves.") \
        X(RESPONSE_MALFORMED, "response-malformed", "The response's head is malformed, or came in parts.") \
        X(RESPONSE_BROKEN, "response-broken", "The response did not go through as its head had announced.") \
        X(UPSTREAM_DIED, "upstream-died", "The endpoint closed the connection instead of answering.")    \
        X(PATIENCE, "patience", "The endpoint did not answer in time.")                                  \
        X(CALLER_GONE, "caller-gone", "The caller closed its connection before the answer.")

enum sm_slow {
#define SM_SLOW_ENUM(id, text, sentence) SM_SLOW_##id,
        SM_SLOW_LIST(SM_SLOW_ENUM)
#undef SM_SLOW_ENUM
        _SM_SLOW_MAX,
};

#define SM_SLOW_SLOTS 46 /* room in struct sm_path_counters */
_Static_assert(_SM_SLOW_MAX <= SM_SLOW_SLOTS, "raise SM_SLOW_SLOTS");
