/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>

/* Why systemd ends this process. 1 = its unit is being stopped for good, 0 = it is restarted, or nobody
 * knows. */
int job_is_stop(sd_bus *bus);
