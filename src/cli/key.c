/* SPDX-License-Identifier: Apache-2.0 */
/* key issue | list | show | set | pause | resume */
#include "cli/commands.h"
#include "cli/env.h"
#include "cli/key_filters.h"
#include "cli/policy_options.h"
#include "cli/talk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

const struct option json_options[] = {
    {"json", NULL, "print JSON", false, false},
};
const size_t json_options_count = 1;

const struct option key_issue_options[] = {
    {"vendor", "VENDOR", "stripe, twilio, resend, openai, anthropic, github, ...", false, true},
    {"cap", "USD|none", "dollars a day", false, true},
    {"allow", "ENTRY", "'/v1/charges', 'POST /v1/refunds', 'charges.create', ...", true, true},
    {"credential", "NAME", "whose real key; default: the one named as the vendor", false, false},
    {"label", "TEXT", "what you call it", false, false},
    {"run-id", "TEXT", "the run that it is for; retries of a run share idempotency", false, false},
    {"tenant", "NAME", "whose budget it counts against too", false, false},
    {"parent", "KEY-ID", "a key that bounds it", false, false},
    {"idempotency-scope", "TEXT", "which keys share idempotency keys", false, false},
    {"token-style", "vk|sk|rk", "for clients that check the vendor's prefix", false, false},
    {"for", "PLATFORM", "print the variables alone: sh, docker, e2b, modal, fly or k8s", false,
     false},
    {"id-file", "FILE", "write the key's id there, into a new file", false, false},
    POLICY_OPTIONS,
    {"json", NULL, "print JSON", false, false},
};
const size_t key_issue_options_count = sizeof(key_issue_options) / sizeof(key_issue_options[0]);

const struct option key_list_options[] = {
    KEY_FILTERS,
    {"status", "STATUS", "active, paused, revoked, expired", false, false},
    {"limit", "N", "at most so many, newest first (default: all)", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t key_list_options_count = sizeof(key_list_options) / sizeof(key_list_options[0]);

const struct option key_set_options[] = {
    {"cap", "USD|none", "dollars a day", false, false},
    {"allow", "ENTRY", "the whole new list", true, false},
    {"if-version", "N", "only if the policy is still at this version", false, false},
    POLICY_OPTIONS,
    {"json", NULL, "print JSON", false, false},
};
const size_t key_set_options_count = sizeof(key_set_options) / sizeof(key_set_options[0]);

/* The key, as lines that a script can take apart and a person can read. */
static void print_issued(const json_t *key)
{
    const char *name;
    json_t *value;

    (void)printf("id          %s\n", json_string_value(json_object_get(key, "id")));
    (void)printf("vault key   %s\n", json_string_value(json_object_get(key, "token")));
    (void)printf("expires at  %s\n", json_string_value(json_object_get(key, "expires_at")));
    (void)printf("\nIn the sandbox:\n");
    json_object_foreach(json_object_get(key, "env"), name, value)
    {
        (void)printf("  export %s=%s\n", name, json_string_value(value));
    }
    (void)printf("\nThe vault key is shown this once.\n");
}

/* A new file, so that what is there is not overwritten; made before the key is, so that a key whose
 * id cannot be noted is not issued.  The descriptor, or -1 when said. */
static int open_id_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0) {
        (void)say_refused("nothing was issued: --id-file %s: %s", path,
                          errno == EEXIST ? "it is there already" : strerror(errno));
    }
    return fd;
}

/* Ends the file that open_id_file() made: with the key's id, or unmade. */
static int close_id_file(const char *path, int fd, const json_t *key)
{
    const char *id = json_string_value(json_object_get(key, "id"));

    if (id == NULL) {
        (void)close(fd);
        (void)unlink(path);
        return EXIT_REFUSED;
    }
    bool whole = dprintf(fd, "%s\n", id) > 0;
    whole = close(fd) == 0 && whole;
    return whole ? EXIT_DONE
                 : say_refused("%s was issued, but %s cannot be written: %s", id, path,
                               strerror(errno));
}

static void print_issue(const struct invocation *invocation, const json_t *key)
{
    if (option_given(invocation, "json")) {
        print_json(key);
    } else if (option_given(invocation, "for")) {
        env_print(key, option_value(invocation, "for"), STR_NONE);
    } else {
        print_issued(key);
    }
}

int run_key_issue(const struct invocation *invocation)
{
    const char *where = option_value(invocation, "for");
    const char *id_file = option_value(invocation, "id-file");
    int id_fd = -1;
    struct buf body;
    struct buf path;
    json_t *key = NULL;

    if (where != NULL && !env_has_platform(where)) {
        return say_usage(invocation, "--for is one of: sh, docker, e2b, modal, fly, k8s");
    }
    if (id_file != NULL && (id_fd = open_id_file(id_file)) < 0) {
        return EXIT_REFUSED;
    }
    buf_init(&path, LIMIT_TARGET_BYTES);
    (void)buf_add_str(&path, STR("/v1/keys"));
    client_add_query(&path, "for", where);
    (void)buf_add_char(&path, '\0');

    buf_init(&body, LIMIT_API_BODY_BYTES);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    write_text_option(invocation, &out, "vendor", "vendor");
    write_text_option(invocation, &out, "credential", "credential");
    write_text_option(invocation, &out, "label", "label");
    write_text_option(invocation, &out, "run-id", "run_id");
    write_text_option(invocation, &out, "tenant", "tenant");
    write_text_option(invocation, &out, "parent", "parent");
    write_text_option(invocation, &out, "idempotency-scope", "idempotency_scope");
    write_text_option(invocation, &out, "token-style", "token_style");
    policy_options_write(invocation, &out);
    json_close(&out, '}');
    int rc = talk(invocation, "POST", buf_str(&path).data, buf_str(&body), &key);
    if (rc == EXIT_DONE) {
        print_issue(invocation, key);
        print_warnings(key);
    }
    if (id_fd >= 0) {
        rc = close_id_file(id_file, id_fd, key);
    }
    json_decref(key);
    buf_clear(&path);
    buf_clear(&body);
    return rc;
}

int run_key_list(const struct invocation *invocation)
{
    static const struct column columns[] = {
        {"ID", "id"},         {"LABEL", "label"},        {"VENDOR", "vendor"},
        {"STATUS", "status"}, {"CAP", "daily_usd_cap"},  {"SPENT", "spent_usd"},
        {"HELD", "held_usd"}, {"LEFT", "remaining_usd"}, {"EXPIRES", "expires_at"}};
    struct buf path;
    uint64_t limit = 0;

    if (!option_limit(invocation, &limit)) {
        return say_usage(invocation, LIMIT_REFUSAL);
    }
    buf_init(&path, 16 * 1024);
    (void)buf_add_str(&path, STR("/v1/keys"));
    key_filters_add(invocation, &path);
    client_add_query(&path, "status", option_value(invocation, "status"));
    (void)buf_add_char(&path, '\0');
    int rc = talk_and_list(invocation, buf_str(&path).data, (size_t)limit, columns,
                           sizeof(columns) / sizeof(columns[0]));
    buf_clear(&path);
    return rc;
}

/* METHOD /v1/keys/{ID}{tail} */
static int call_key(const struct invocation *invocation, const char *method, const char *tail)
{
    struct buf path;

    buf_init(&path, 4096);
    (void)buf_add_str(&path, STR("/v1/keys"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_str(&path, str_from(tail));
    (void)buf_add_char(&path, '\0');
    int rc = talk_and_show(invocation, method, buf_str(&path).data, STR_NONE);
    buf_clear(&path);
    return rc;
}

int run_key_show(const struct invocation *invocation)
{
    return call_key(invocation, "GET", "");
}

int run_key_pause(const struct invocation *invocation)
{
    return call_key(invocation, "POST", "/pause");
}

int run_key_resume(const struct invocation *invocation)
{
    return call_key(invocation, "POST", "/resume");
}

int run_key_set(const struct invocation *invocation)
{
    struct err err = {""};
    struct buf body;
    struct buf path;
    struct buf version;
    json_t *key = NULL;
    int rc = EXIT_DONE;
    struct client *client = client_open(invocation, &err);

    buf_init(&body, LIMIT_API_BODY_BYTES);
    buf_init(&path, 4096);
    buf_init(&version, 64);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    policy_options_write(invocation, &out);
    json_close(&out, '}');
    (void)buf_add_str(&path, STR("/v1/keys"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_char(&path, '\0');
    if (option_given(invocation, "if-version")) {
        (void)buf_addf(&version, "If-Match: \"%s\"", option_value(invocation, "if-version"));
        (void)buf_add_char(&version, '\0');
    }
    const char *const headers[] = {buf_len(&version) > 0 ? buf_str(&version).data : NULL, NULL};
    if (client == NULL || client_call_with(client, "PATCH", buf_str(&path).data, headers,
                                           buf_str(&body), &key, &err) < 0) {
        rc = say_refused("%s", err.text);
    } else if (option_given(invocation, "json")) {
        print_json(key);
    } else {
        print_object(key);
    }
    print_warnings(key);
    json_decref(key);
    buf_clear(&body);
    buf_clear(&path);
    buf_clear(&version);
    client_close(client);
    return rc;
}
