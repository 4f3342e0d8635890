/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Names on the system bus, for slicemeshd, which owns them, and its callers. The interfaces are
 * described in dbus/.
 */
#define SM_BUS_NAME "io.slicemesh.Mesh1"
#define SM_BUS_PATH "/io/slicemesh/Mesh1"
