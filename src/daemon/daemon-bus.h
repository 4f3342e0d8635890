/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../abi/abi-bus.h"
#include "daemon-endpoint.h"
#include "daemon-manager.h"
#include "daemon-service.h"
#include "daemon-slice.h"

/*
 * What the bus twins (daemon-*-bus.c) offer to the objects. All are no-ops while there is no bus
 * connection. Changes are told after the fact; property getters read the objects.
 */

/* Adds the object tree to m->bus (vtables, enumerators, ObjectManager) and requests the name.
 * -EEXIST if somebody else owns it. */
int manager_bus_setup(Manager *m);

/* Forgets calls that wait for polkit, sends what is queued, closes m->bus. */
void manager_bus_done(Manager *m);

void manager_bus_changed(Manager *m, const char *property);
void manager_bus_fast_changed(Manager *m); /* FastPath and what belongs to it */
void manager_bus_reloaded(Manager *m); /* Revision and PolicyErrors changed, and the signal */

/* InterfacesAdded, once the manager or service lists the object, and InterfacesRemoved, while it still does:
 * which interfaces there are is found out by looking the object up. */
void service_bus_added(Service *s);
void service_bus_removed(Service *s);
void service_bus_changed(Service *s, const char *property);
void endpoint_bus_added(Endpoint *e);
void endpoint_bus_removed(Endpoint *e);
void endpoint_bus_changed(Endpoint *e, const char *property);
void slice_bus_added(Slice *s);
void slice_bus_removed(Slice *s);
void slice_bus_changed(Slice *s, const char *property);

/* Interface XML of the object at `path`, as --bus-introspect prints it; no bus is needed, and any name or id
 * in the path will do. -ENOENT if there can be no such path. */
int bus_introspect(const char *path, FILE *out);
