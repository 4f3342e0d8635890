/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Every limit that more than one program, or a program and the kernel side, must agree on.
 * A limit that only one program knows lives with that program.
 */

/* Layout of everything in src/abi. Bump it with any change of a struct: pinned maps and the relay
 * connection of an older build are then refused instead of misread. */
#define SM_ABI_VERSION 3

#define SM_CELL_SIZE 64 /* bytes; one cache line */

#define SM_NAME_MAX 63 /* bytes in the name of a service, subset, route or limit */

#define SM_HEAD_FIELDS_MAX 128  /* header fields in one head */
#define SM_HEAD_MAX 32768       /* bytes in one head, relay */
#define SM_HEAD_KERNEL_MAX 8192 /* bytes in one head, kernel side */

/* Bytes in one request or response, body included, that the kernel moves: they are not subject to the
 * receiver's buffer limit, so this is what it can be made to hold for one connection. */
#define SM_FAST_MAX 65536
#define SM_REQUEST_KEPT_MAX 12288 /* of which so many are kept, to be sent again if the endpoint dies */

/* Bytes that the relay buffers of one direction of one exchange. */
#define SM_BUFFER_MIN 4096
#define SM_BUFFER_MAX (1 << 20)

#define SM_WORKERS_MAX 32
#define SM_SLICES_MAX 256

#define SM_CHANGES_MAX 4096     /* bytes that all that a route changes in a head may add to it */
#define SM_MIRROR_MAX (1 << 20) /* bytes of a body that a route may have mirrored */

#define SM_WEIGHT_MAX 1000
#define SM_SLOTS_MAX 65536 /* entries of one schedule, see struct sm_schedule */

/* Endpoints a pick looks at before it gives up on finding one that is not avoided. */
#define SM_PICK_TRIES 16
