/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-mesh.h"

/* Shows the slice, if there is one of that name. */
ExitStatus show_slice(const Options *o, sd_bus *bus, const char *name, bool *ret_found);
