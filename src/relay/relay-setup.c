/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/resource.h>

#include "../basic/cleanup.h"
#include "../basic/log.h"
#include "relay-listener.h"
#include "relay-manager.h"
#include "relay-slot.h"

/*
 * From HELLO to START. Nothing takes effect before START: if slicemeshd goes away in between, all stays as
 * it was. Listeners that are named again, as they are after a restart of slicemeshd, go on without a gap.
 */

static void forget_unnamed(Manager *m) {
        size_t n = 0;

        for (size_t i = 0; i < m->n_listeners; i++) {
                ListenerRecord *l = &m->listeners[i];
                Mail unlisten = { .type = MAIL_UNLISTEN, .inode = l->inode };

                if (l->named)
                        m->listeners[n++] = *l;
                else
                        (void) mailbox_put(&m->workers[l->worker]->inbox, &unlisten);
        }
        m->n_listeners = n;
}

void manager_forget_setup(Manager *m) {
        size_t n = 0;

        m->next_tables = shared_tables_unref(m->next_tables);
        for (size_t i = 0; i < m->n_listeners; i++) {
                ListenerRecord *l = &m->listeners[i];

                l->named = false;
                if (l->fd >= 0)
                        closep(&l->fd);
                else
                        m->listeners[n++] = *l;
        }
        m->n_listeners = n;
}

int manager_on_tables(void *userdata, const struct sm_link_tables *message, int *fds) {
        Manager *m = userdata;

        manager_forget_setup(m);
        return shared_tables_new(message, fds, &m->next_tables);
}

static int hand_over(Manager *m, ListenerRecord *l) {
        Mail mail = { .type = MAIL_LISTENER, .fd = l->fd };
        int r;

        r = mailbox_put(&m->workers[l->worker]->inbox, &mail);
        if (r >= 0)
                l->fd = -EBADF;
        return r;
}

static int ensure_worker(Manager *m, unsigned index) {
        Mail tables = { .type = MAIL_TABLES };
        int r;

        if (m->workers[index])
                return 0;
        r = worker_new(index, &m->shared, &m->workers[index]);
        if (r < 0)
                return r;
        m->n_workers++;
        tables.tables = shared_tables_ref(m->tables);
        return mailbox_put(&m->workers[index]->inbox, &tables); /* a new box is empty */
}

int manager_on_listener(void *userdata, const struct sm_link_listener *message, int *fds) {
        Manager *m = userdata;
        uint64_t inode;
        int r;

        if (message->worker >= SM_WORKERS_MAX)
                return -ERANGE;
        r = socket_inode(fds[0], &inode);
        if (r < 0)
                return r;
        for (size_t i = 0; i < m->n_listeners; i++)
                if (m->listeners[i].inode == inode && m->listeners[i].worker == message->worker) {
                        m->listeners[i].named = true;
                        return 0;
                }
        if (m->n_listeners == LISTENERS_MAX)
                return -E2BIG;

        m->listeners[m->n_listeners++] = (ListenerRecord){
                .worker = message->worker,
                .inode = inode,
                .fd = TAKE_FD(fds[0]),
                .named = true,
        };
        if (m->next_tables)
                return 0; /* until START */
        r = ensure_worker(m, message->worker);
        return r < 0 ? r : hand_over(m, &m->listeners[m->n_listeners - 1]);
}

static void check_descriptors(uint32_t max_connections) {
        uint64_t needed = (uint64_t) max_connections * 2 + 256; /* one to an endpoint for each */
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) >= 0 && files.rlim_cur < needed)
                log_warning("The limit of %ju open files is too low for %u connections, which need %ju.",
                            (uintmax_t) files.rlim_cur, max_connections, (uintmax_t) needed);
}

static bool is_kernels(const SharedTables *t, uint32_t service) {
        const struct sm_policy *policy = shared_tables_policy(t, service, &(__u32){ 0 });

        return policy && policy->protocol == SM_PROTOCOL_TCP;
}

/* A relay that was killed could not end, nor count down, what it had under way. Connections of tcp services
 * go on. */
static void forget_predecessor(SharedTables *t) {
        slots_reset(t);
        for (uint32_t i = 1; i < t->tables.n_services; i++)
                if (!is_kernels(t, i))
                        __atomic_store_n(&t->tables.service_counters[i].active, 0, __ATOMIC_RELAXED);
        for (uint32_t i = 1; i < t->tables.n_endpoints; i++) {
                struct sm_endpoint_state *s = &t->tables.endpoint_states[i];

                if (is_kernels(t, t->tables.endpoints[i].service))
                        continue;
                __atomic_store_n(&s->in_flight, 0, __ATOMIC_RELAXED);
                __atomic_store_n(&s->connections, 0, __ATOMIC_RELAXED);
        }
}

static int replace_tables(Manager *m) {
        int r;

        if (!shared_tables_continue(m->next_tables, m->tables))
                forget_predecessor(m->next_tables);
        shared_tables_unref(m->tables);
        m->tables = TAKE_PTR(m->next_tables);
        for (unsigned i = 0; i < SM_WORKERS_MAX; i++) {
                Mail mail = { .type = MAIL_TABLES };

                if (!m->workers[i])
                        continue;
                mail.tables = shared_tables_ref(m->tables);
                r = mailbox_put(&m->workers[i]->inbox, &mail);
                if (r < 0) {
                        shared_tables_unref(mail.tables);
                        return r;
                }
        }
        return 0;
}

int manager_on_start(void *userdata) {
        Manager *m = userdata;
        int r;

        check_descriptors(m->next_tables->settings.max_connections);
        r = replace_tables(m);
        if (r < 0)
                return r;
        for (size_t i = 0; i < m->n_listeners; i++) {
                if (m->listeners[i].fd < 0)
                        continue;
                r = ensure_worker(m, m->listeners[i].worker);
                if (r >= 0)
                        r = hand_over(m, &m->listeners[i]);
                if (r < 0)
                        return r;
        }
        forget_unnamed(m);
        log_info("Serving with %u workers.", m->n_workers);
        return link_send(m->link, SM_LINK_STARTED, NULL);
}
