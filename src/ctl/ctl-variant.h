/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

#include "../basic/json-writer.h"

/* Writes the next value of the message: structs and arrays become arrays, dictionaries with texts as keys
 * objects, a variant what is in it, and basic types that our interfaces do not use null. Negative errno if
 * the message is malformed or nested too deeply. */
int variant_to_json(sd_bus_message *m, JsonWriter *w, const char *key);
