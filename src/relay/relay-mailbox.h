/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "../abi/abi-link.h"
#include "relay-tables.h"

/* What the main thread and the workers tell each other. */
typedef enum MailType {
        /* to a worker */
        MAIL_TABLES,   /* in force from now on; carries a reference */
        MAIL_LISTENER, /* fd: accept on it */
        MAIL_UNLISTEN, /* inode: no longer on this one */
        MAIL_PING,     /* sequence, epoch */
        MAIL_STOP,     /* deadline: finish what is in flight until then */
        /* to the main thread */
        MAIL_PONG,     /* worker, sequence, epoch: the lowest that it may still be reading under */
        MAIL_EVENT,    /* event */
        MAIL_TRACE,    /* trace, which is allocated */
        MAIL_STOPPED,  /* worker: its thread ends now */
} MailType;

typedef struct Mail {
        MailType type;
        unsigned worker;
        union {
                SharedTables *tables;
                int fd;
                uint64_t inode;
                struct {
                        uint64_t sequence, epoch;
                };
                uint64_t deadline; /* nsec_t */
                struct sm_link_event event;
                struct sm_link_trace *trace;
        };
} Mail;

#define MAILBOX_SIZE 256

typedef struct Mailbox {
        pthread_mutex_t lock;
        int wake; /* eventfd(2), readable when there is mail */
        unsigned first, n;
        Mail mails[MAILBOX_SIZE];
} Mailbox;

int mailbox_init(Mailbox *b);
void mailbox_done(Mailbox *b); /* what was not taken is dropped, its references with it */

/* -ENOBUFS: the box is full; references and descriptors of the mail stay with the caller. */
int mailbox_put(Mailbox *b, const Mail *mail);

/* The same for what can be done without: -ENOBUFS already if the box is half full. */
int mailbox_offer(Mailbox *b, const Mail *mail);

/* The oldest mail, which passes to the caller; -EAGAIN: none. */
int mailbox_take(Mailbox *b, Mail *ret);
