/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../basic/array-util.h"
#include "../basic/string-util.h"
#include "policy-build.h"
#include "policy-error.h"
#include "policy-files.h"
#include "policy-load.h"
#include "policy-model.h"

/* In order of precedence; drop-ins are looked for in all of them. */
typedef struct Places {
        char **directories;   /* each laid out like /etc/slicemesh */
        char **services;      /* their services/ */
        PolicyFiles drop_ins; /* NAME.d in any of those */
} Places;

/* What one thread reads. */
typedef struct Loader {
        const Places *places;
        Policy *policy;        /* all of it, or what becomes a part of it */
        Arena arena;           /* the file that is being read, with its drop-ins */
        const char *mesh_file; /* that was read, if any */
} Loader;

static void places_done(Places *p) {
        strv_free(p->directories);
        strv_free(p->services);
        policy_files_done(&p->drop_ins);
}

static void loader_done(Loader *l) {
        policy_free(l->policy);
        arena_done(&l->arena);
}

static int loader_start(Loader *l, const Places *places) {
        l->places = places;
        l->policy = calloc(1, sizeof(*l->policy));
        return l->policy ? 0 : -ENOMEM;
}

static int push_path(char ***strv, const char *directory, const char *name) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s", directory, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        return strv_push(strv, path);
}

/* Reads and parses; whatever is wrong is an error of the policy, and of `service` if that is known. */
static int loader_read(Loader *l, const char *path, const char *service, const char **ret_file,
                       PolicyDocuments *ret) {
        size_t size, errors = l->policy->n_errors;
        _cleanup_free_ char *data = NULL;
        PolicyOrigin origin = {};
        int r;

        *ret = (PolicyDocuments) {};
        origin.file = policy_intern(l->policy, path);
        if (!origin.file)
                return -ENOMEM;
        *ret_file = origin.file;
        r = policy_file_read(path, &data, &size);
        if (r == -ENOMEM || r > 0)
                return r < 0 ? r : 0;
        if (r < 0)
                return policy_error_add(l->policy, &origin, service, NULL, "Cannot be read: %s.",
                                        r == -EINVAL ? "not a regular file" : strerror(-r));
        r = policy_yaml_parse(l->policy, &l->arena, origin.file, data, size, ret);
        for (; service && errors < l->policy->n_errors; errors++)
                if (r >= 0)
                        r = strdup_to(&l->policy->errors[errors].service, service);
        return r;
}

/* Where a route goes is one thing, however it is written: what is below gives way to what is above, rather
 * than that shares of two files are added up. */
static void drop_adjusted_routes(const PolicyNode *root, const PolicyNode *over) {
        const PolicyNode *below = policy_node_get(root, "adjust-routes");
        const PolicyNode *above = policy_node_get(over, "adjust-routes");

        for (size_t i = 0; below && above && above->kind == NODE_MAPPING && i < above->n_children; i++) {
                const PolicyNode *route = above->children[i];
                PolicyNode *same = policy_node_get(below, route->key);

                if (!same || (!policy_node_get(route, "to") && !policy_node_get(route, "split")))
                        continue;
                (void) policy_node_take(same, "to");
                (void) policy_node_take(same, "split");
        }
}

/* `name` is part of the tree below *root, but of none that a drop-in can change. */
static int loader_merge(Loader *l, const char *name, PolicyNode **root, PolicyNode *over) {
        PolicyNode *renamed;
        int r;

        if (over->kind != NODE_MAPPING)
                return policy_error_add(l->policy, &over->origin, name, NULL, "Expected a mapping, not %s.",
                                        node_kind_to_string(over->kind));
        renamed = policy_node_take(over, "service");
        if (renamed && !streq_null(renamed->text, name)) {
                r = policy_error_add(l->policy, &renamed->origin, name, "service",
                                     "Expected \"%s\": a drop-in does not change the name.", name);
                if (r < 0)
                        return r;
        }
        r = policy_desugar(&l->arena, over);
        if (r < 0)
                return r;
        if (*root)
                drop_adjusted_routes(*root, over);
        return policy_node_merge(&l->arena, root, over);
}

/* One drop-in file, onto the service as it is so far. */
static int loader_merge_file(Loader *l, const char *name, const char *path, PolicyDocument *d) {
        PolicyDocuments documents;
        const char *file;
        int r;

        r = loader_read(l, path, name, &file, &documents);
        for (size_t i = 0; r >= 0 && i < documents.n_items; i++) {
                d->partial |= documents.items[i].partial;
                r = loader_merge(l, name, &d->root, documents.items[i].root);
        }
        return r;
}

static int loader_merge_drop_ins(Loader *l, PolicyDocument *d) {
        const char *name = policy_document_name(d->root);
        _cleanup_(policy_files_done) PolicyFiles files = {};
        _cleanup_strv_free_ char **directories = NULL;
        _cleanup_free_ char *directory = NULL;
        PolicyOrigin origin = {};
        int r = 0;

        if (!name)
                return 0;
        if (asprintf(&directory, "%s.d", name) < 0) {
                directory = NULL;
                return -ENOMEM;
        }
        if (!policy_files_find(&l->places->drop_ins, directory))
                return 0;
        for (char **s = l->places->services; r >= 0 && *s; s++)
                r = push_path(&directories, *s, directory);
        if (r < 0)
                return r;
        r = policy_files_list(directories, ".yaml", &files);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                origin.file = policy_intern(l->policy, directory);
                return origin.file ? policy_error_add(l->policy, &origin, name, NULL, "Cannot be read: %s.",
                                                      strerror(-r)) : -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < files.n_items; i++)
                r = loader_merge_file(l, name, files.items[i].path, d);
        return r;
}

/* Errors of a document are errors of its service, those of the text by line. */
static int claim_errors(Policy *p, const PolicyDocument *d, size_t first_text_error, size_t n_text_errors) {
        const char *name = policy_document_name(d->root);
        int r = 0;

        for (size_t i = first_text_error; name && r >= 0 && i < first_text_error + n_text_errors; i++)
                if (p->errors[i].origin.line >= d->first_line && p->errors[i].origin.line <= d->last_line)
                        r = strdup_to(&p->errors[i].service, name);
        for (size_t i = d->first_error; name && r >= 0 && i < d->first_error + d->n_errors; i++)
                r = strdup_to(&p->errors[i].service, name);
        return r;
}

static int loader_document(Loader *l, PolicyDocument *d) {
        Policy *p = l->policy;
        PolicyService *s;
        int r;

        if (d->root->kind == NODE_MAPPING) {
                r = policy_desugar(&l->arena, d->root);
                if (r >= 0)
                        r = loader_merge_drop_ins(l, d);
                if (r < 0)
                        return r;
        }
        r = policy_build_service(p, d->root, d->partial, &s);
        if (r < 0 || !s)
                return r;
        r = array_reserve(&p->services, p->n_services, sizeof(*p->services));
        if (r < 0) {
                policy_service_free(s);
                return r;
        }
        p->services[p->n_services++] = s;
        return 0;
}

/* `first_error` is the first that parsing the file gave. */
static int loader_documents(Loader *l, PolicyDocuments *documents, size_t first_error) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < documents->n_items; i++) {
                r = claim_errors(l->policy, &documents->items[i], first_error, documents->n_text_errors);
                if (r >= 0)
                        r = loader_document(l, &documents->items[i]);
        }
        return r;
}

static int loader_service_file(Loader *l, const char *path) {
        PolicyDocuments documents;
        size_t first_error = l->policy->n_errors;
        const char *file;
        int r;

        arena_reset(&l->arena);
        r = loader_read(l, path, NULL, &file, &documents);
        return r < 0 ? r : loader_documents(l, &documents, first_error);
}

/* Files that several threads take one after the other. */
typedef struct Queue {
        const PolicyFiles *files;
        size_t next;
        int error; /* of the first that failed: the others stop as well */
} Queue;

enum {
        THREADS_MAX = 8,
        FILES_PER_THREAD = 64, /* below that, making one takes longer than it saves */
};

typedef struct Worker {
        pthread_t thread;
        Queue *queue;
        Loader loader;
} Worker;

static void loader_take_files(Loader *l, Queue *queue) {
        int r = 0, none = 0;
        size_t i;

        while (r >= 0 && __atomic_load_n(&queue->error, __ATOMIC_RELAXED) == 0) {
                i = __atomic_fetch_add(&queue->next, 1, __ATOMIC_RELAXED);
                if (i >= queue->files->n_items)
                        return;
                r = loader_service_file(l, queue->files->items[i].path);
        }
        if (r < 0)
                (void) __atomic_compare_exchange_n(&queue->error, &none, r, false, __ATOMIC_RELAXED,
                                                   __ATOMIC_RELAXED);
}

static void *worker_run(void *userdata) {
        Worker *w = userdata;

        loader_take_files(&w->loader, w->queue);
        return NULL;
}

/* Beside the thread that asks; what cannot be started is not missed. */
static size_t workers_start(Worker *workers, size_t n, const Loader *l, Queue *queue) {
        size_t i;

        for (i = 0; i < n; i++) {
                workers[i].queue = queue;
                if (loader_start(&workers[i].loader, l->places) < 0 ||
                    pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0) {
                        loader_done(&workers[i].loader);
                        break;
                }
        }
        return i;
}

static size_t count_threads(const PolicyFiles *files) {
        const size_t wanted = MIN((size_t) THREADS_MAX, files->n_items / FILES_PER_THREAD + 1);
        cpu_set_t cpus;

        if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
                return 1;
        return MIN((size_t) CPU_COUNT(&cpus), wanted);
}

/* A service depends on its own files only. Which thread read one makes no difference: services and errors
 * are sorted in the end. */
static int loader_services(Loader *l, char *const *directories) {
        _cleanup_(policy_files_done) PolicyFiles files = {};
        Queue queue = { .files = &files };
        Worker workers[THREADS_MAX] = {};
        size_t n;
        int r;

        r = policy_files_list(directories, ".yaml", &files);
        if (r < 0)
                return r;
        n = workers_start(workers, count_threads(&files) - 1, l, &queue);
        loader_take_files(l, &queue);
        for (size_t i = 0; i < n; i++) {
                (void) pthread_join(workers[i].thread, NULL);
                if (queue.error == 0)
                        queue.error = policy_take_part(l->policy, workers[i].loader.policy);
                loader_done(&workers[i].loader);
        }
        return queue.error;
}

static int loader_mesh_documents(Loader *l, const PolicyDocuments *documents) {
        const PolicyNode *root = documents->n_items > 0 ? documents->items[0].root : NULL;
        Policy *p = l->policy;
        size_t errors = p->n_errors;
        int r;

        r = policy_build_mesh(p, root);
        if (r >= 0 && documents->n_items > 1)
                r = policy_error_add(p, &documents->items[1].root->origin, NULL, NULL,
                                     "Expected a single document.");
        p->mesh_broken |= p->n_errors > errors;
        return r;
}

static int loader_mesh(Loader *l) {
        PolicyDocuments documents = {};
        _cleanup_(policy_files_done) PolicyFiles files = {};
        const PolicyFile *file;
        Policy *p = l->policy;
        int r;

        r = policy_files_list(l->places->directories, "mesh.yaml", &files);
        if (r < 0)
                return r;
        file = policy_files_find(&files, "mesh.yaml");
        if (file) {
                r = loader_read(l, file->path, NULL, &l->mesh_file, &documents);
                if (r < 0)
                        return r;
                p->mesh_broken = p->n_errors > 0;
        }
        r = loader_mesh_documents(l, &documents);
        if (r < 0 || !p->mesh_broken)
                return r;
        /* Half of what it says would be neither the old nor the new. */
        strv_free(p->mesh.slices);
        p->mesh = (PolicyMesh) {};
        return policy_build_mesh(p, NULL);
}

static int loader_finish(Loader *l, Policy **ret) {
        Policy *p = l->policy;
        const char *last = NULL;
        int r;

        r = policy_check(p);
        if (r < 0)
                return r;
        policy_errors_sort(p);
        for (size_t i = 0; i < p->n_errors; i++) {
                const char *file = p->errors[i].origin.file;

                if (file == l->mesh_file || streq_null(file, last))
                        continue;
                last = file;
                r = strv_push(&p->broken_files, file);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(l->policy);
        return 0;
}

static int places_load(Places *places, Policy **ret) {
        _cleanup_(loader_done) Loader l = {};
        int r;

        r = loader_start(&l, places);
        for (char **d = places->directories; r >= 0 && *d; d++)
                r = push_path(&places->services, *d, "services");
        if (r >= 0)
                r = loader_mesh(&l);
        if (r >= 0)
                r = policy_files_list(places->services, ".d", &places->drop_ins);
        if (r >= 0)
                r = loader_services(&l, places->services);
        return r < 0 ? r : loader_finish(&l, ret);
}

int policy_load(const char *root, Policy **ret) {
        static const char *const places[] = { "etc/slicemesh", "run/slicemesh", "usr/lib/slicemesh" };
        _cleanup_(places_done) Places p = {};
        int r;

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                r = push_path(&p.directories, root && !streq(root, "/") ? root : "", places[i]);
                if (r < 0)
                        return r;
        }
        return places_load(&p, ret);
}

int policy_load_directory(const char *directory, Policy **ret) {
        _cleanup_(places_done) Places p = {};
        struct stat st;
        int r;

        if (stat(directory, &st) < 0)
                return -errno;
        if (!S_ISDIR(st.st_mode))
                return -ENOTDIR;
        r = strv_push(&p.directories, directory);
        return r < 0 ? r : places_load(&p, ret);
}

/* A policy whose mesh is all defaults, so that services can be read into it. */
static int loader_plain(Loader *l) {
        static const Places none = {};
        int r;

        r = loader_start(l, &none);
        return r < 0 ? r : policy_build_mesh(l->policy, NULL);
}

int policy_load_good(const char *directory, Policy **ret) {
        char *directories[] = { (char *) directory, NULL };
        _cleanup_(loader_done) Loader l = {};
        int r;

        r = loader_plain(&l);
        if (r >= 0)
                r = loader_services(&l, directories);
        return r < 0 ? r : loader_finish(&l, ret);
}

int policy_load_memory(const char *name, const char *data, size_t size, Policy **ret) {
        PolicyDocuments documents;
        _cleanup_(loader_done) Loader l = {};
        const char *file;
        int r;

        r = loader_plain(&l);
        if (r < 0)
                return r;
        file = policy_intern(l.policy, name);
        if (!file)
                return -ENOMEM;
        r = policy_yaml_parse(l.policy, &l.arena, file, data, size, &documents);
        if (r >= 0)
                r = loader_documents(&l, &documents, 0);
        return r < 0 ? r : loader_finish(&l, ret);
}
