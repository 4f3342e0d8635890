/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-service.h"

struct sm_link_trace;

/*
 * Tracing a service's requests for one client of the bus. It ends when as many were told of as were asked
 * for, when the client leaves the bus, after TRACE_LONGEST_USEC, or with the service.
 */
#define TRACE_LONGEST_USEC (10 * USEC_PER_MINUTE)

/* -EBUSY: the service is being traced for somebody. */
int trace_start(Service *s, sd_bus_message *call, uint32_t count);

/* Nothing is told any more; the client is told so, and why. */
void trace_stop(Service *s, const char *why);

/* What the relay tells of a request to the service. */
void trace_take(Service *s, const struct sm_link_trace *told);

/* The method Trace. */
int trace_bus_method(sd_bus_message *call, void *userdata, sd_bus_error *error);
