/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../basic/cleanup.h"
#include "relay-mailbox.h"

int mailbox_init(Mailbox *b) {
        *b = (Mailbox){ .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        if (b->wake < 0)
                return -errno;
        return -pthread_mutex_init(&b->lock, NULL);
}

static void mail_done(Mail *m) {
        if (m->type == MAIL_TABLES)
                shared_tables_unref(m->tables);
        else if (m->type == MAIL_LISTENER)
                closep(&m->fd);
        else if (m->type == MAIL_TRACE)
                free(m->trace);
}

void mailbox_done(Mailbox *b) {
        Mail m;

        while (mailbox_take(b, &m) >= 0)
                mail_done(&m);
        closep(&b->wake);
        b->wake = -EBADF;
        pthread_mutex_destroy(&b->lock);
}

static int put_below(Mailbox *b, const Mail *mail, unsigned limit) {
        int r = -ENOBUFS;

        pthread_mutex_lock(&b->lock);
        if (b->n < limit) {
                b->mails[(b->first + b->n++) % MAILBOX_SIZE] = *mail;
                r = 0;
        }
        pthread_mutex_unlock(&b->lock);
        if (r >= 0)
                (void) !write(b->wake, &(uint64_t){ 1 }, sizeof(uint64_t)); /* cannot fail before 2^64 */
        return r;
}

int mailbox_put(Mailbox *b, const Mail *mail) {
        return put_below(b, mail, MAILBOX_SIZE);
}

int mailbox_offer(Mailbox *b, const Mail *mail) {
        return put_below(b, mail, MAILBOX_SIZE / 2);
}

int mailbox_take(Mailbox *b, Mail *ret) {
        int r = -EAGAIN;

        pthread_mutex_lock(&b->lock);
        if (b->n > 0) {
                *ret = b->mails[b->first];
                b->first = (b->first + 1) % MAILBOX_SIZE;
                b->n--;
                r = 0;
        } else
                (void) !read(b->wake, &(uint64_t){ 0 }, sizeof(uint64_t)); /* EAGAIN: nobody has woken us */
        pthread_mutex_unlock(&b->lock);
        return r;
}
