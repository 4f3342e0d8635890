/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Gives up for good everything that carrying traffic does not need: capabilities, new privileges, and all
 * system calls but a list. Threads started afterwards are bound by it as well. */
int sandbox_enter(void);

/* Tries what must fail now. -ENOTRECOVERABLE: something did not. */
int sandbox_verify(void);
