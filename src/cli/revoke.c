/* SPDX-License-Identifier: Apache-2.0 */
/* key revoke: by id, or all the live ones of a label, run, tenant, vendor, or of everybody */
#include "cli/commands.h"
#include "cli/key_filters.h"
#include "cli/talk.h"

#include <stdio.h>

const struct option key_revoke_options[] = {
    KEY_FILTERS,
    {"all", NULL, "every key that is not over", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t key_revoke_options_count = sizeof(key_revoke_options) / sizeof(key_revoke_options[0]);

void key_filters_add(const struct invocation *invocation, struct buf *path)
{
    client_add_query(path, "label", option_value(invocation, "label"));
    client_add_query(path, "vendor", option_value(invocation, "vendor"));
    client_add_query(path, "tenant", option_value(invocation, "tenant"));
    client_add_query(path, "run_id", option_value(invocation, "run"));
}

static bool filtered(const struct invocation *invocation)
{
    return option_given(invocation, "label") || option_given(invocation, "vendor") ||
           option_given(invocation, "tenant") || option_given(invocation, "run");
}

/* Appends the ids of the keys that the filters choose and that are in this state. */
static int find(const struct invocation *invocation, struct client *client, const char *status,
                json_t *ids, struct err *err)
{
    struct buf path;
    json_t *rows = json_array();
    json_t *page = NULL;
    const char *cursor = NULL;
    size_t at;
    json_t *row;
    int rc;

    buf_init(&path, 16 * 1024);
    (void)buf_add_str(&path, STR("/v1/keys"));
    key_filters_add(invocation, &path);
    client_add_query(&path, "status", status);
    client_add_query(&path, "limit", "1000");
    (void)buf_add_char(&path, '\0');
    do {
        rc = talk_page(client, buf_str(&path).data, rows, &page, &cursor, err);
    } while (rc == 0 && cursor != NULL);
    json_array_foreach(rows, at, row)
    {
        (void)json_array_append(ids, json_object_get(row, "id"));
    }
    json_decref(page);
    json_decref(rows);
    buf_clear(&path);
    return rc;
}

static int revoke_one(struct client *client, const char *id, json_t *revoked, struct err *err)
{
    struct buf path;
    json_t *key = NULL;

    buf_init(&path, 4096);
    (void)buf_add_str(&path, STR("/v1/keys"));
    client_add_segment(&path, id);
    (void)buf_add_char(&path, '\0');
    int rc = client_call(client, "DELETE", buf_str(&path).data, STR_NONE, &key, err);
    if (rc == 0) {
        (void)json_array_append(revoked, key);
    }
    json_decref(key);
    buf_clear(&path);
    return rc;
}

static void print_revoked(const struct invocation *invocation, const json_t *revoked)
{
    static const struct column columns[] = {{"ID", "id"},
                                            {"LABEL", "label"},
                                            {"STATUS", "status"},
                                            {"SPENT", "spent_usd"},
                                            {"HELD", "held_usd"}};
    bool one = argument_count(invocation) == 1;

    if (option_given(invocation, "json")) {
        print_json(one ? json_array_get(revoked, 0) : revoked);
    } else if (one) {
        print_object(json_array_get(revoked, 0));
    } else {
        print_table(revoked, columns, sizeof(columns) / sizeof(columns[0]));
    }
}

int run_key_revoke(const struct invocation *invocation)
{
    struct err err = {""};
    bool by_id = argument_count(invocation) > 0;
    bool all = option_given(invocation, "all");

    if (by_id + filtered(invocation) + all != 1) {
        return say_usage(invocation, "key revoke needs ids; or --label, --run, --tenant, --vendor; "
                                     "or --all");
    }
    struct client *client = client_open(invocation, &err);
    json_t *ids = json_array();
    json_t *revoked = json_array();
    int rc = client == NULL ? -1 : 0;

    for (size_t i = 0; i < argument_count(invocation); i++) {
        (void)json_array_append_new(ids, json_string(argument_nth(invocation, i)));
    }
    if (rc == 0 && !by_id) {
        rc = find(invocation, client, "active", ids, &err);
    }
    if (rc == 0 && !by_id) {
        rc = find(invocation, client, "paused", ids, &err);
    }
    size_t done = 0;
    for (; rc == 0 && done < json_array_size(ids); done++) {
        rc = revoke_one(client, json_string_value(json_array_get(ids, done)), revoked, &err);
    }
    if (rc == 0 || json_array_size(revoked) > 0) {
        print_revoked(invocation, revoked);
    }
    if (rc < 0) {
        (void)say_refused("%s%s%s", by_id && done > 0 ? argument_nth(invocation, done - 1) : "",
                          by_id && done > 0 ? ": " : "", err.text);
    }
    json_decref(ids);
    json_decref(revoked);
    client_close(client);
    return rc == 0 ? EXIT_DONE : EXIT_REFUSED;
}
