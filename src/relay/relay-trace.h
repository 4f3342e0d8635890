/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "relay-exchange.h"
#include "relay-link.h"

/*
 * Requests that slicemeshd wants to be told of (abi-trace.h). Telling never waits, and what there is no room
 * for is counted as lost. All of these do nothing for an exchange that is not traced.
 */

/* What becomes of the request is decided: from here on it is traced, if one is still to be. */
void trace_choice(Exchange *x, enum sm_reason reason);

/* The answer is the mesh's own. That of a request which never came to a choice begins its trace. */
void trace_reply(Exchange *x, enum sm_reason reason, unsigned status);

/* The response's head is there. */
void trace_response(Exchange *x);

/* It is over: tells the main thread. */
void trace_end(Exchange *x);

/* In the main thread: tells slicemeshd, and frees. */
void trace_tell(Link *l, const SharedTables *t, struct sm_link_trace *trace);
