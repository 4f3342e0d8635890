/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-output.h"

/* The objects as tables; NULL if there is no memory. */
Table *list_services(const Mesh *m);
Table *list_endpoints(const Mesh *m);
Table *list_slices(const Mesh *m);

/* For people, at 80 columns: with what they need to know first. */
Table *list_services_compact(const Mesh *m);
Table *list_slices_compact(const Mesh *m);
