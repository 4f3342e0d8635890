/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon-bus.h"

/* What a bus twin is to daemon-bus.c, and what the twins share. */
typedef struct BusObject {
        const char *pattern; /* of its path, as sd_bus_path_decode_many() takes it */
        const char *parent;  /* path below which `find` is asked; NULL: it is at `pattern` itself */
        const char *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;           /* of the Manager, to the object */
        sd_bus_node_enumerator_t enumerate;  /* of the Manager, to the paths of all */
        sd_bus_message_handler_t guard; /* sees every call before the vtable does; of what is at `pattern` */
} BusObject;

extern const BusObject manager_bus_object;
extern const BusObject service_bus_object;
extern const BusObject endpoint_bus_object;
extern const BusObject slice_bus_object;

#define BUS_ERROR(name) SM_BUS_NAME ".Error." name
#define BUS_ERROR_NO_SUCH_SERVICE BUS_ERROR("NoSuchService")
#define BUS_ERROR_NO_SUCH_SUBSET BUS_ERROR("NoSuchSubset")
#define BUS_ERROR_NO_SUCH_ROUTE BUS_ERROR("NoSuchRoute")
#define BUS_ERROR_AMBIGUOUS_ROUTE BUS_ERROR("AmbiguousRoute")
#define BUS_ERROR_INVALID_BALANCE BUS_ERROR("InvalidBalance")
#define BUS_ERROR_INVALID_REQUEST BUS_ERROR("InvalidRequest")
#define BUS_ERROR_OUT_OF_RANGE BUS_ERROR("OutOfRange")
#define BUS_ERROR_TRACE_IN_USE BUS_ERROR("TraceInUse")
#define BUS_ERROR_FOREIGN_FILE BUS_ERROR("ForeignFile")

/* Adds the tree to m->bus, which needs no bus behind it. */
int bus_add_objects(Manager *m);

/* PropertiesChanged, InterfacesAdded, InterfacesRemoved. Nothing while there is no bus; failures are only
 * logged. */
void bus_object_changed(Manager *m, const char *path, const BusObject *o, const char *property);
void bus_object_added(Manager *m, const char *path);
void bus_object_removed(Manager *m, const char *path);

/* As polkit_authorize(), for what manages the mesh. */
int bus_authorize(Manager *m, sd_bus_message *call, sd_bus_error *error);

/* A guard for objects with properties that can be written: as bus_authorize(), which a setter cannot do,
 * for it has to answer at once. */
int bus_guard_writes(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* Why a change that was asked for did not come about, as an error for the caller: `r` is what
 * manager_refresh_service() or an override_set_*() of `service` returned. */
int bus_change_failed(sd_bus_error *error, int r, const char *service);

/* A property that is a word of a shared table. */
typedef struct BusCounter {
        const char *property;
        char type; /* SD_BUS_TYPE_UINT32 or SD_BUS_TYPE_UINT64 */
        size_t offset;
} BusCounter;

/* Appends the counter named `property`, 0 if there is no `state`. The table ends with a NULL property. */
int bus_append_counter(sd_bus_message *reply, const BusCounter *table, const char *property,
                       const void *state);

/* a{st}, without zeros. `counts` are SM_REASON_SLOTS, or NULL for none. */
int bus_append_reasons(sd_bus_message *reply, const __u64 *counts);

/* Likewise: "fast", "remote", and the texts of enum sm_slow. NULL for none. */
int bus_append_paths(sd_bus_message *reply, const struct sm_path_counters *paths);

char *service_bus_path(const Service *s);   /* allocated; NULL: no memory */
char *endpoint_bus_path(const Endpoint *e); /* likewise */
char *slice_bus_path(const Slice *s);       /* likewise */

/* The method Explain, daemon-explain-bus.c. */
int explain_bus_method(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* SetSplit and Swap, daemon-shift-bus.c. */
int shift_bus_set_split(sd_bus_message *call, void *userdata, sd_bus_error *error);
int shift_bus_swap(sd_bus_message *call, void *userdata, sd_bus_error *error);
