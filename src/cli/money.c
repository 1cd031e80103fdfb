/* SPDX-License-Identifier: Apache-2.0 */
/* holds resolve, fx put, clock vouch */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/commands.h"
#include "cli/policy_options.h"
#include "cli/talk.h"

const struct option holds_resolve_options[] = {
    {"note", "TEXT", "how you know, for the audit", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t holds_resolve_options_count =
    sizeof(holds_resolve_options) / sizeof(holds_resolve_options[0]);

int run_holds_resolve(const struct invocation *invocation)
{
    const char *state = argument_nth(invocation, 1), *amount = argument_nth(invocation, 2);
    bool posted = strcmp(state, "posted") == 0;
    struct buf body;
    struct buf path;

    if (!posted && strcmp(state, "voided") != 0) {
        return say_usage(invocation, "a hold is resolved as `posted AMOUNT` or as `voided`");
    }
    if (posted != (amount != NULL)) {
        return say_usage(invocation, "%s",
                         posted ? "say how much moved in all: `posted AMOUNT`, in dollars"
                                : "what is voided has no amount");
    }
    buf_init(&body, 4096);
    buf_init(&path, 4096);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    json_name(&out, "state");
    json_text(&out, str_from(state));
    if (posted) {
        json_name(&out, "amount_usd");
        json_text(&out, str_from(amount));
    }
    write_text_option(invocation, &out, "note", "note");
    json_close(&out, '}');
    (void)buf_add_str(&path, STR("/v1/holds"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_str(&path, STR("/resolve"));
    (void)buf_add_char(&path, '\0');
    int rc = talk_and_show(invocation, "POST", buf_str(&path).data, buf_str(&body));
    buf_clear(&body);
    buf_clear(&path);
    return rc;
}

int run_fx_put(const struct invocation *invocation)
{
    const char *path = argument_nth(invocation, 0);
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    struct buf body;
    char piece[4096];
    size_t got;

    if (file == NULL) {
        return say_refused("%s cannot be opened: %s", path, strerror(errno));
    }
    buf_init(&body, LIMIT_API_BODY_BYTES);
    while ((got = fread(piece, 1, sizeof(piece), file)) > 0) {
        (void)buf_add(&body, piece, got);
    }
    bool bad = ferror(file) != 0 || body.overflow;
    if (!standard) {
        (void)fclose(file);
    }
    int rc = bad ? say_refused("%s cannot be read, or is too long", path)
                 : talk_and_show(invocation, "PUT", "/v1/fx", buf_str(&body));
    buf_clear(&body);
    return rc;
}

int run_clock_vouch(const struct invocation *invocation)
{
    return talk_and_show(invocation, "POST", "/v1/clock/vouch", STR_NONE);
}
