/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "relay-list.h"
#include "relay-socket.h"
#include "relay-timer.h"

typedef struct Worker Worker;

/* A listening socket of slicemeshd's that a worker accepts on. */
typedef struct Listener {
        Socket socket;
        Worker *worker;
        List link;
        Timer retry;
        bool starved; /* descriptors have run out, as was logged */
        uint64_t inode;
} Listener;

/* Takes over the descriptor on success. */
int listener_new(Worker *w, int fd);
void listener_free(Listener *l);

/* What tells sockets apart, whichever descriptor they come by. */
int socket_inode(int fd, uint64_t *ret);
