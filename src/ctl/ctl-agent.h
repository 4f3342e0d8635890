/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl-options.h"

/* Starts polkit's agent for terminals, so that somebody without a desktop can be asked for a password; does
 * nothing for root, without a terminal, or with --no-ask-password. The agent ends with slicemeshctl. */
void agent_open(const Options *o);
void agent_close(void);
