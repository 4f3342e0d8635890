/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-action.h"
#include "relay-list.h"
#include "relay-slab.h"

typedef struct Exchange Exchange;
typedef struct Mirror Mirror;
typedef struct Worker Worker;

/*
 * Copies of requests, to an endpoint of another subset. Nobody waits for one: it is gathered while the
 * request goes its way, sent when that is through, and its response is read and thrown away. What has no
 * room, or fails, is dropped; a part of a request is never sent. All do nothing for an exchange without one.
 */
typedef struct Mirrors {
        Slab slab;
        List sent;    /* those that have left their exchange */
        unsigned n;   /* all */
        size_t bytes; /* that their requests take up */
} Mirrors;

void mirrors_init(Mirrors *m);
void mirrors_done(Mirrors *m); /* there may be none */

/* Gives up those that have left their exchange. */
void mirrors_clear(Mirrors *m);

/* While the exchange has its choice, of whose route the actions are. */
void mirror_begin(Exchange *x, const struct sm_actions *a);

/* The request's head, which is about to be sent for the first time or once more, and what was received of
 * the body by then. */
void mirror_take_head(Exchange *x);

/* What was received of its body and follows that place of the input. */
void mirror_take_body(Exchange *x, uint32_t from);

/* There is no more to take: sends it if it is complete, else drops it. */
void mirror_end(Exchange *x);

/* Events of its upstream connection. May free it. */
void mirror_run(Mirror *m);
