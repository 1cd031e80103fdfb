/* SPDX-License-Identifier: Apache-2.0 */
/* explain: what would happen to a request, and which rule says so; nothing is forwarded */
#include "cli/commands.h"
#include "cli/talk.h"

#include <stdio.h>

#include "base/json_out.h"
#include "base/limits.h"

const struct option explain_options[] = {
    {"key", "ID", "as this key", false, true},
    {"body", "FILE", "with this body ('-': standard input)", false, false},
    {"header", "'N: V'", "with this header", true, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t explain_options_count = sizeof(explain_options) / sizeof(explain_options[0]);

static int read_stream(FILE *file, const char *path, struct buf *out, struct err *err)
{
    for (;;) {
        unsigned char *room = buf_room(out, 4096);
        size_t got = room == NULL ? 0 : fread(room, 1, 4096, file);
        if (room == NULL) {
            return err_set(err, "%s is longer than a judged body may be", path);
        }
        if (got == 0) {
            return ferror(file) ? err_errno(err, "cannot read %s", path) : 0;
        }
        buf_added(out, got);
    }
}

static int read_body(const char *path, struct buf *out, struct err *err)
{
    if (str_equal(str_from(path), STR("-"))) {
        return read_stream(stdin, path, out, err);
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return err_errno(err, "cannot open %s", path);
    }
    int rc = read_stream(file, path, out, err);
    (void)fclose(file);
    return rc;
}

static int write_headers(const struct invocation *invocation, struct json_out *out)
{
    json_name(out, "headers");
    json_open(out, '{');
    for (size_t i = 0; i < option_count(invocation, "header"); i++) {
        struct str value = str_from(option_nth(invocation, "header", i));
        size_t colon = str_index(value, ':', 0);
        if (colon == 0 || colon == value.len) {
            return say_usage(invocation, "--header is 'Name: value'");
        }
        json_name_str(out, str_slice(value, 0, colon));
        json_text(out, str_trim(str_slice(value, colon + 1, value.len)));
    }
    json_close(out, '}');
    return EXIT_DONE;
}

int run_explain(const struct invocation *invocation)
{
    struct err err = {""};
    struct buf content;
    struct buf body;
    int rc;

    buf_init(&content, LIMIT_JUDGED_BODY_BYTES + 8192);
    buf_init(&body, (size_t)2 * LIMIT_JUDGED_BODY_BYTES);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    json_name(&out, "key");
    json_text(&out, str_from(option_value(invocation, "key")));
    json_name(&out, "method");
    json_text(&out, str_from(argument_nth(invocation, 0)));
    json_name(&out, "path");
    json_text(&out, str_from(argument_nth(invocation, 1)));
    rc = write_headers(invocation, &out);
    if (rc != EXIT_DONE) {
        goto out;
    }
    if (option_given(invocation, "body")) {
        if (read_body(option_value(invocation, "body"), &content, &err) < 0) {
            rc = say_refused("%s", err.text);
            goto out;
        }
        json_name(&out, "body");
        json_text(&out, buf_str(&content));
    }
    json_close(&out, '}');
    rc = talk_and_show(invocation, "POST", "/v1/explain", buf_str(&body));
out:
    buf_clear(&content);
    buf_clear(&body);
    return rc;
}
