/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/roles.h"

#include <stddef.h>

#include "base/str.h"
#include "control/control.h"
#include "dialer/dialer.h"
#include "gate/gate.h"
#include "judge/judge.h"
#include "parent/check.h"
#include "parent/unlock.h"
#include "reader/reader.h"
#include "scribe/scribe.h"
#include "vault/vault.h"

static const struct {
    const char *name;
    role_main *main;
} roles[] = {
    {"check", check_main},   {"scribe", scribe_main}, {"unlock", unlock_main},
    {"reader", reader_main}, {"gate", gate_main},     {"control", control_main},
    {"judge", judge_main},   {"vault", vault_main},   {"dialer", dialer_main},
};

role_main *role_find(const char *argv0)
{
    struct str name = str_from(argv0);

    if (!str_starts(name, STR("keybrake-"))) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (str_equal(str_from(roles[i].name), str_slice(name, 9, name.len))) {
            return roles[i].main;
        }
    }
    return NULL;
}
