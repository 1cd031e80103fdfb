/* SPDX-License-Identifier: Apache-2.0 */
/* audit, spend: what happened, and what it cost */
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/talk.h"

#include <stdio.h>

const struct option audit_options[] = {
    {"key", "ID", "only of this key", false, false},
    {"label", "PREFIX", "only of keys whose label begins so", false, false},
    {"run", "ID", "only of this run", false, false},
    {"tenant", "NAME", "only of this tenant", false, false},
    {"vendor", "VENDOR", "only of this vendor", false, false},
    {"verdict", "VERDICT", "allowed, denied, observed", false, false},
    {"since", "TIME", "from then on: 2026-11-23T00:00:00Z, or 2h for two hours ago", false, false},
    {"until", "TIME", "up to then", false, false},
    {"limit", "N", "at most so many rows, newest first (default 100)", false, false},
    {"follow", NULL, "then each row as it comes, oldest first", false, false},
    {"json", NULL, "print JSON, one row a line", false, false},
    {"csv", NULL, "print CSV", false, false},
};
const size_t audit_options_count = sizeof(audit_options) / sizeof(audit_options[0]);

const struct option spend_options[] = {
    {"by", "WHAT", "key, label, run, tenant, vendor, day or class", false, false},
    {"since", "TIME", "from that day on", false, false},
    {"until", "TIME", "up to that day", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t spend_options_count = sizeof(spend_options) / sizeof(spend_options[0]);

static void add_options(const struct invocation *invocation, struct buf *path,
                        const char *const *options)
{
    for (; *options != NULL; options++) {
        client_add_query(path, *options, option_value(invocation, *options));
    }
}

static int export_rows(const struct invocation *invocation, const char *path)
{
    struct err err = {""};
    struct client *client = client_open(invocation, &err);
    int rc = EXIT_DONE;

    if (client == NULL || client_fetch(client, path, stdout, &err) < 0) {
        rc = say_refused("%s", err.text);
    }
    client_close(client);
    return rc;
}

/* What a row without a request is about stands in its rule, and who did it is its actor. */
static const struct column audit_columns[] = {{"TIME", "at"},
                                              {"EVENT", "event"},
                                              {"LABEL", "label"},
                                              {"METHOD", "method"},
                                              {"PATH", "path|rule"},
                                              {"VERDICT", "verdict"},
                                              {"REASON", "reason"},
                                              {"STATUS", "status"},
                                              {"RESERVED", "reserved_usd"},
                                              {"SETTLED", "settled_usd"},
                                              {"BY", "actor"}};
static const size_t audit_column_count = sizeof(audit_columns) / sizeof(audit_columns[0]);

int run_audit(const struct invocation *invocation)
{
    static const char *const options[] = {"key",     "label", "run",   "tenant", "vendor",
                                          "verdict", "since", "until", NULL};
    struct buf path;
    uint64_t limit = 100;
    int rc;

    bool follows = option_given(invocation, "follow");
    if (!option_limit(invocation, &limit)) {
        return say_usage(invocation, LIMIT_REFUSAL);
    }
    if (follows && (option_given(invocation, "csv") || option_given(invocation, "until"))) {
        return say_usage(invocation, "--follow goes with neither --csv nor --until");
    }
    buf_init(&path, 16 * 1024);
    (void)buf_add_str(&path, STR("/v1/audit"));
    add_options(invocation, &path, options);
    bool csv = option_given(invocation, "csv");
    bool lines = option_given(invocation, "json");
    if (follows) {
        (void)buf_add_char(&path, '\0');
        rc = follow_rows(invocation, buf_str(&path).data, (size_t)limit, audit_columns,
                         audit_column_count);
    } else if (csv || lines) {
        client_add_query(&path, "format", csv ? "csv" : "jsonl");
        client_add_query(&path, "limit", option_value(invocation, "limit"));
        (void)buf_add_char(&path, '\0');
        rc = export_rows(invocation, buf_str(&path).data);
    } else {
        (void)buf_add_char(&path, '\0');
        rc = talk_and_list(invocation, buf_str(&path).data, (size_t)limit, audit_columns,
                           audit_column_count);
    }
    buf_clear(&path);
    return rc;
}

int run_spend(const struct invocation *invocation)
{
    static const char *const options[] = {"since", "until", NULL};
    const char *by = option_given(invocation, "by") ? option_value(invocation, "by") : "vendor";
    struct buf title;
    struct buf path;

    buf_init(&title, 64);
    for (size_t i = 0; i < 32 && by[i] != '\0'; i++) {
        (void)buf_add_char(&title, (char)(by[i] - (by[i] >= 'a' && by[i] <= 'z' ? 'a' - 'A' : 0)));
    }
    (void)buf_add_char(&title, '\0');
    const struct column columns[] = {{buf_str(&title).data, by},
                                     {"REQUESTS", "count"},
                                     {"DENIED", "denied"},
                                     {"SPENT", "spent_usd"}};

    buf_init(&path, 16 * 1024);
    (void)buf_add_str(&path, STR("/v1/spend"));
    client_add_query(&path, "group_by", by);
    add_options(invocation, &path, options);
    (void)buf_add_char(&path, '\0');
    int rc = talk_and_list(invocation, buf_str(&path).data, 0, columns,
                           sizeof(columns) / sizeof(columns[0]));
    buf_clear(&title);
    buf_clear(&path);
    return rc;
}
