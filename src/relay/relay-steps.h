/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "relay-exchange.h"

/* What the parts of an exchange are to each other. Those that return Progress are steps of it: they set its
 * state to what is next. */

/* What the engine is asked with, with a fresh random number. */
void exchange_fill_request(const Exchange *x, struct sm_request *ret);

/* Gives up the places inside of the policy, but not what was chosen. */
void exchange_release_choice(Exchange *x);

/* Ends its count in flight. */
void exchange_release_endpoint(Exchange *x);

/* relay-attempt.c: EXCHANGE_CONNECTING. attempt_begin() is also what follows a connection that failed. */
Progress attempt_begin(Exchange *x);
Progress attempt_run(Exchange *x);
/* Sends the kept request once more, over a new connection to the same endpoint. */
Progress attempt_again(Exchange *x);

/* relay-route.c. In EXCHANGE_READING, when the head is parsed: decides what becomes of the request, once,
 * and begins with it. */
Progress route_begin(Exchange *x);

/* EXCHANGE_DELAYED */
Progress route_wait(Exchange *x);

/* Matches the route and picks the subset, into x->choice, or does what was chosen before if that is still in
 * force; a reader of the policy from then on. */
enum sm_reason route_choose(Exchange *x);

/* Does what was chosen, but for a delay: without a subset the answer is the route's own. */
Progress route_follow(Exchange *x);
void route_read_policy(Exchange *x, const struct sm_policy *policy);

/* relay-look.c: EXCHANGE_LOOKING. The first asks for the route, with all that there is to it; where it is
 * undecided for want of the body, the second goes on, to where route_begin() is to be called again. */
enum sm_reason look_choose_route(Exchange *x, __u32 base, struct sm_request *q);
Progress look_begin(Exchange *x);
Progress look_run(Exchange *x);

/* relay-request.c, relay-response.c: EXCHANGE_FORWARDING. */
Progress request_begin(Exchange *x);
int request_write_head(Exchange *x);

Progress request_run(Exchange *x);
Progress response_run(Exchange *x);

/* relay-tunnel.c: EXCHANGE_TUNNELLING. */
Progress tunnel_run(Exchange *x);

/* relay-reply.c: EXCHANGE_REPLYING. Answers for the endpoint, if nothing of its own answer was sent; else
 * the exchange breaks. Counts the reason. */
Progress reply_begin(Exchange *x, enum sm_reason reason);
/* With the answer at that cell of the policy that was chosen from. ANSWERED becomes REDIRECTED if it is a
 * redirect. */
Progress reply_begin_answer(Exchange *x, enum sm_reason reason, __u32 cell);
Progress reply_run(Exchange *x);

/* relay-takeover.c. That it does not go through as an adopted exchange should, of which the first reason
 * counts; and at the end of an adopted one, which way it went. */
void takeover_note(Exchange *x, enum sm_reason reason);
void takeover_count(const Exchange *x);
