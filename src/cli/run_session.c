/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run_session.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "cli/local.h"
#include "cli/plain.h"
#include "cli/policy_options.h"
#include "cli/print.h"

enum {
    REQUEST_BYTES_MAX = 512 * 1024,
    END_MS = 3000,
    DEFAULT_TTL_MS = 3600 * 1000,
};

int run_session_ttl_ms(const struct invocation *invocation, int64_t *ret_ms, struct err *err)
{
    const char *text = option_value(invocation, "ttl");
    uint64_t ms = DEFAULT_TTL_MS;

    if (text != NULL && (!clock_parse_duration(str_from(text), &ms) || ms == 0)) {
        return err_set(err, "--ttl '%s' is not a time such as 30s, 12m, 2h", text);
    }
    *ret_ms = (int64_t)ms;
    return 0;
}

/* ---- opening ---- */

static void write_name(const struct invocation *invocation, struct json_out *out)
{
    const char *command = argument_nth(invocation, 0);
    const char *slash = command == NULL ? NULL : strrchr(command, '/');
    struct str name = str_from(slash == NULL ? command : slash + 1);

    json_name(out, "label");
    if (option_given(invocation, "label")) {
        json_text(out, str_from(option_value(invocation, "label")));
    } else {
        json_text(out, name.len == 0 ? STR("sandbox") : str_slice(name, 0, 64));
    }
    write_text_option(invocation, out, "run-id", "run_id");
    write_text_option(invocation, out, "tenant", "tenant");
}

/* A fifth longer than the command may run: the session's end is what ends the key. */
static int write_key(const struct invocation *invocation, struct json_out *out, size_t nth,
                     int64_t ttl_ms, struct err *err)
{
    static const char *const not_of_the_key[] = {"ttl", "label", "run-id", "tenant", NULL};
    struct invocation *group = option_group(invocation, "vendor", nth, not_of_the_key);
    char seconds[32];
    int rc = 0;

    if (option_count(group, "cap") != 1 || option_count(group, "allow") == 0) {
        rc = err_set(err, "--vendor %s needs --cap USD|none and at least one --allow ENTRY",
                     option_value(group, "vendor"));
    }
    (void)snprintf(seconds, sizeof(seconds), "%llds", (long long)(ttl_ms + ttl_ms / 5) / 1000 + 1);
    json_open(out, '{');
    write_text_option(group, out, "vendor", "vendor");
    write_text_option(group, out, "credential", "credential");
    write_name(invocation, out);
    json_name(out, "expires_in");
    json_text(out, str_from(seconds));
    policy_options_write(group, out);
    json_close(out, '}');
    free(group);
    return rc;
}

static int write_body(const struct invocation *invocation, struct buf *body, struct err *err)
{
    struct json_out out = json_begin(body);
    int64_t ttl_ms = 0;

    if (run_session_ttl_ms(invocation, &ttl_ms, err) < 0) {
        return -1;
    }
    json_open(&out, '{');
    json_name(&out, "keys");
    json_open(&out, '[');
    for (size_t i = 0; i < option_count(invocation, "vendor"); i++) {
        if (write_key(invocation, &out, i, ttl_ms, err) < 0) {
            return -1;
        }
    }
    json_close(&out, ']');
    json_close(&out, '}');
    return body->overflow ? err_set(err, "the policies are too large") : 0;
}

int run_session_open(struct run_session *session, const struct invocation *invocation,
                     const int *sockets, size_t socket_count, struct err *err)
{
    struct buf body;
    size_t i;
    const json_t *key;
    int rc = -1;

    buf_init_wiped(&body, REQUEST_BYTES_MAX);
    session->fd = local_connect(invocation, err);
    if (session->fd >= 0 && write_body(invocation, &body, err) == 0) {
        struct local_call call = {.method = "POST",
                                  .path = "/v1/sessions",
                                  .body = buf_str(&body),
                                  .fds = sockets,
                                  .fd_count = socket_count};
        rc = local_ask(session->fd, &call, &session->opened, err);
    }
    json_array_foreach(json_object_get(session->opened, "keys"), i, key)
    {
        print_warnings(key);
    }
    buf_clear(&body);
    return rc;
}

struct str run_session_ca(const struct run_session *session)
{
    return str_from(json_string_value(json_object_get(session->opened, "ca_pem")));
}

/* ---- the end ---- */

void run_session_end(struct run_session *session, const char *reason, bool wait)
{
    struct pollfd answered = {.fd = session->fd, .events = POLLIN};
    char line[200], answer[16];

    if (session->fd < 0) {
        return;
    }
    int len = snprintf(line, sizeof(line), "%s\n", reason);
    if (len > 0 && send(session->fd, line, (size_t)len, MSG_NOSIGNAL) == len && wait &&
        poll(&answered, 1, END_MS) == 1) {
        (void)recv(session->fd, answer, sizeof(answer), 0);
    }
    (void)close(session->fd);
    session->fd = -1;
}

void run_session_clear(struct run_session *session)
{
    if (session->fd >= 0) {
        (void)close(session->fd);
    }
    json_decref(session->opened);
}

/* ---- the report ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text == NULL ? "" : text;
}

enum { REFUSALS_MAX = 32, FLAG_BYTES = 256 };

struct refusals {
    struct {
        char what[FLAG_BYTES], why[64], flag[FLAG_BYTES];
        size_t count;
    } all[REFUSALS_MAX];
    size_t count, more;
};

/* Whoever is told a flag will paste it into a shell, and the path is the sandbox's own text. */
static bool may_be_pasted(const char *path)
{
    for (; *path != '\0'; path++) {
        if (!ascii_is_alpha(*path) && !ascii_is_digit(*path) &&
            strchr("/-._~:@%+,=", *path) == NULL) {
            return false;
        }
    }
    return true;
}

/* Which flag would have let it pass; empty: none would. */
static void flag_for(const json_t *row, char *out, size_t size)
{
    const char *reason = text_of(row, "reason"), *operation = text_of(row, "operation");

    out[0] = '\0';
    if (strcmp(reason, "endpoint_not_allowed") == 0) {
        if (operation[0] != '\0') {
            (void)snprintf(out, size, "--allow %s", operation);
        } else if (text_of(row, "vendor")[0] != '\0' && may_be_pasted(text_of(row, "path"))) {
            (void)snprintf(out, size, "--allow '%s %s'", text_of(row, "method"),
                           text_of(row, "path"));
        }
    } else if (strcmp(reason, "cap_exceeded") == 0) {
        (void)snprintf(out, size, "a higher --cap");
    } else if (strcmp(reason, "rate_limited") == 0) {
        (void)snprintf(out, size, "a higher --requests-per-minute or --concurrency");
    }
}

static void note_refusal(struct refusals *refusals, const json_t *row)
{
    char what[FLAG_BYTES], flag[FLAG_BYTES];

    (void)snprintf(what, sizeof(what), "%s %s", text_of(row, "method"), text_of(row, "path"));
    flag_for(row, flag, sizeof(flag));
    for (size_t i = 0; i < refusals->count; i++) {
        if (strcmp(refusals->all[i].what, what) == 0 &&
            strcmp(refusals->all[i].why, text_of(row, "reason")) == 0) {
            refusals->all[i].count++;
            return;
        }
    }
    if (refusals->count == REFUSALS_MAX) {
        refusals->more++;
        return;
    }
    size_t at = refusals->count++;
    memcpy(refusals->all[at].what, what, sizeof(what));
    memcpy(refusals->all[at].flag, flag, sizeof(flag));
    (void)snprintf(refusals->all[at].why, sizeof(refusals->all[at].why), "%s",
                   text_of(row, "reason"));
    /* Names of requests come from inside: nothing in them may speak to the terminal. */
    plain_text(refusals->all[at].what);
    plain_text(refusals->all[at].flag);
    plain_text(refusals->all[at].why);
    refusals->all[at].count = 1;
}

static void print_refusals(const struct refusals *refusals)
{
    for (size_t i = 0; i < refusals->count; i++) {
        (void)fputs("keybrake:   refused ", stderr);
        if (refusals->all[i].count > 1) {
            (void)fprintf(stderr, "%zu times ", refusals->all[i].count);
        }
        (void)fprintf(stderr, "%s: %s", refusals->all[i].what, refusals->all[i].why);
        if (refusals->all[i].flag[0] != '\0') {
            (void)fprintf(stderr, "; it takes %s", refusals->all[i].flag);
        }
        (void)fputc('\n', stderr);
    }
    if (refusals->more > 0) {
        (void)fprintf(stderr, "keybrake:   and %zu more refusals; see keybrake audit\n",
                      refusals->more);
    }
}

static void count_rows(const json_t *rows, size_t *ret_passed, struct refusals *refusals)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        if (strcmp(text_of(row, "event"), "request") != 0) {
            continue;
        }
        if (strcmp(text_of(row, "verdict"), "denied") == 0) {
            note_refusal(refusals, row);
        } else {
            ++*ret_passed;
        }
    }
}

static size_t refused_in_all(const struct refusals *refusals)
{
    size_t all = refusals->more;

    for (size_t i = 0; i < refusals->count; i++) {
        all += refusals->all[i].count;
    }
    return all;
}

static int get(int fd, const char *path, json_t **ret, struct err *err)
{
    struct local_call call = {.method = "GET", .path = path};

    return local_ask(fd, &call, ret, err);
}

static void report_key(int fd, const json_t *key)
{
    struct refusals *refusals = calloc(1, sizeof(*refusals));
    char path[160];
    struct err err = {""};
    json_t *shown = NULL, *page = NULL;
    size_t passed = 0;

    (void)snprintf(path, sizeof(path), "/v1/keys/%s", text_of(key, "id"));
    if (refusals == NULL || get(fd, path, &shown, &err) < 0) {
        (void)fprintf(stderr, "keybrake: %s\n", err.text);
        goto out;
    }
    (void)snprintf(path, sizeof(path), "/v1/audit?key=%s&limit=%d", text_of(key, "id"),
                   LIMIT_API_PAGE_MAX);
    (void)fprintf(stderr, "keybrake: %s: ", text_of(key, "vendor"));
    /* An issuer's token may not read the audit. */
    if (get(fd, path, &page, &err) == 0) {
        count_rows(json_object_get(page, "data"), &passed, refusals);
        (void)fprintf(stderr, "%zu requests passed, %zu refused; ", passed,
                      refused_in_all(refusals));
    }
    (void)fprintf(stderr, "$%s spent", text_of(shown, "spent_usd"));
    if (strcmp(text_of(shown, "held_usd"), "0.00") != 0) {
        (void)fprintf(stderr, ", $%s held", text_of(shown, "held_usd"));
    }
    if (text_of(shown, "daily_usd_cap")[0] != '\0') {
        (void)fprintf(stderr, ", of $%s a day", text_of(shown, "daily_usd_cap"));
    }
    (void)fputc('\n', stderr);
    print_refusals(refusals);
out:
    free(refusals);
    json_decref(shown);
    json_decref(page);
}

void run_session_report(const struct run_session *session, const struct invocation *invocation)
{
    struct err err = {""};
    int fd = local_connect(invocation, &err);
    size_t i;
    json_t *key;

    if (fd < 0) {
        (void)fprintf(stderr, "keybrake: %s\n", err.text);
        return;
    }
    json_array_foreach(json_object_get(session->opened, "keys"), i, key)
    {
        report_key(fd, key);
    }
    (void)close(fd);
}
