/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "../abi/abi-bus.h"
#include "../basic/cleanup.h"
#include "ctl-verb.h"

/* The interface of that name. */
#define MESH_INTERFACE(name) SM_BUS_NAME "." name

#define _cleanup_bus_ _cleanup_(sd_bus_flush_close_unrefp)
#define _cleanup_message_ _cleanup_(sd_bus_message_unrefp)

/* All of these print what went wrong and return the exit status that stands for it. */
ExitStatus bus_open(sd_bus **ret);

/* Calls a method of slicemeshd, which is not started for it. May take as long as a person needs to type a
 * password. */
ExitStatus bus_call(sd_bus *bus, sd_bus_message *m, sd_bus_message **ret);
ExitStatus bus_method(sd_bus *bus, const char *path, const char *interface, const char *member,
                      sd_bus_message **ret, const char *types, ...);
ExitStatus bus_get_all(sd_bus *bus, const char *path, const char *interface, sd_bus_message **ret);

/* For a reply that has not the form which the interface promises. */
ExitStatus bus_unexpected(int error);

/* Says what a method's error means. `r` is the errno where there was no answer at all. */
ExitStatus bus_failed(const sd_bus_error *e, int r);
