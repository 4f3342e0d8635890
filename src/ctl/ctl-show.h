/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-mesh.h"

/* A line, if there are any. */
void add_ungoverned_field(Table *t, const char *label, uint32_t n);

/* Shows the slice, if there is one of that name. */
ExitStatus show_slice(const Options *o, sd_bus *bus, const char *name, bool *ret_found);
