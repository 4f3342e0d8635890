/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Gives up for good everything that carrying traffic does not need: capabilities, new privileges, and all
 * system calls but a list. Threads started afterwards are bound by it as well.
 * `machine_code`: but not memory that is writable and executable, as PCRE2 maps it. */
int sandbox_enter(bool machine_code);

/* Tries what must fail now. -ENOTRECOVERABLE: something did not. */
int sandbox_verify(void);
