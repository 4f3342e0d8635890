/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine-content.h"

SM_FRAME enum sm_verdict sm_match_json(struct sm_match *m) {
        return SM_VERDICT_NO;
}
