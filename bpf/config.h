/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once

#include <linux/types.h>

/* Settings, written by slicemeshd before loading and constant from then on. */

const volatile __u64 mesh_netns = 0;  /* cookie of the network namespace that the relay listens in */
/* Of its listeners on 127.0.0.1 and ::1; 0 if they are not ours, and nothing may be sent there. */
const volatile __be16 relay_port = 0;
