/* SPDX-License-Identifier: Apache-2.0 */
/* credential put | list | show | rm.  The real key comes by stdin and is in wiped memory only. */
#include "cli/commands.h"
#include "cli/talk.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#include "base/json_out.h"
#include "base/limits.h"

enum { CA_MAX = 256 * 1024, BODY_MAX = LIMIT_API_BODY_BYTES };

const struct option credential_put_options[] = {
    {"vendor", "VENDOR", "stripe, twilio, resend, openai, anthropic, github, generic, ...", false,
     true},
    {"upstream", "URL", "instead of the vendor's own base URL", false, false},
    {"ca", "FILE", "trust these certificates (PEM) instead of the system's", false, false},
    {"allow-private", NULL, "the upstream may be a private or loopback address", false, false},
    {"new-account", NULL, "yes, this is another account or mode under the same name", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t credential_put_options_count =
    sizeof(credential_put_options) / sizeof(credential_put_options[0]);

const struct option credential_rm_options[] = {
    {"force", NULL, "although live keys or open holds need it", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t credential_rm_options_count =
    sizeof(credential_rm_options) / sizeof(credential_rm_options[0]);

/* All of a descriptor, up to the buffer's maximum, with nothing left behind in stdio. */
static int read_all(int fd, struct buf *out, const char *what, struct err *err)
{
    for (;;) {
        unsigned char *room = buf_room(out, 4096);
        if (room == NULL) {
            return err_set(err, "%s is longer than %zu bytes", what, out->max - 4096);
        }
        ssize_t got = read(fd, room, 4096);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_errno(err, "cannot read %s", what);
        }
        if (got == 0) {
            return 0;
        }
        buf_added(out, (size_t)got);
    }
}

/* A line from the terminal, unseen. */
static int prompt(struct buf *out, struct err *err)
{
    struct termios old;
    struct termios quiet;

    if (tcgetattr(STDIN_FILENO, &old) < 0) {
        return err_errno(err, "cannot hide what is typed");
    }
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)fputs("The real key (not shown): ", stderr);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0) {
        return err_errno(err, "cannot hide what is typed");
    }
    unsigned char *room = buf_room(out, 4096);
    ssize_t got = room == NULL ? -1 : read(STDIN_FILENO, room, 4096);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
    (void)fputc('\n', stderr);
    if (got < 0) {
        return err_errno(err, "cannot read the key");
    }
    buf_added(out, (size_t)got);
    return 0;
}

/* The secret without the line end that an editor or echo puts behind it. */
static struct str without_line_end(struct str text)
{
    while (text.len > 0 && (text.data[text.len - 1] == '\n' || text.data[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

static int read_secret(struct buf *out, struct err *err)
{
    int rc = isatty(STDIN_FILENO) ? prompt(out, err)
                                  : read_all(STDIN_FILENO, out, "standard input", err);

    if (rc == 0 && without_line_end(buf_str(out)).len == 0) {
        return err_set(err, "no key on standard input: pipe it in, or type it at the prompt");
    }
    return rc;
}

static int read_ca(const char *path, struct buf *out, struct err *err)
{
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return err_errno(err, "cannot open %s", path);
    }
    int rc = read_all(fileno(file), out, path, err);
    (void)fclose(file);
    return rc;
}

static void write_body(const struct invocation *invocation, struct str secret, struct str ca,
                       struct buf *body)
{
    struct json_out out = json_begin(body);

    json_open(&out, '{');
    json_name(&out, "vendor");
    json_text(&out, str_from(option_value(invocation, "vendor")));
    if (str_starts(secret, STR("{"))) {
        json_name(&out, "fields");
        json_raw(&out, secret); /* the server parses and checks it */
    } else {
        json_name(&out, "secret");
        json_text(&out, secret);
    }
    if (option_given(invocation, "upstream")) {
        json_name(&out, "upstream");
        json_text(&out, str_from(option_value(invocation, "upstream")));
    }
    if (ca.len > 0) {
        json_name(&out, "ca_pem");
        json_text(&out, ca);
    }
    if (option_given(invocation, "allow-private")) {
        json_name(&out, "allow_private");
        json_bool(&out, true);
    }
    if (option_given(invocation, "new-account")) {
        json_name(&out, "new_account");
        json_bool(&out, true);
    }
    json_close(&out, '}');
}

static int call_credential(const struct invocation *invocation, const char *method,
                           const char *query, struct str body)
{
    struct buf path;

    buf_init(&path, 4096);
    (void)buf_add_str(&path, STR("/v1/credentials"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_str(&path, str_from(query));
    (void)buf_add_char(&path, '\0');
    int rc = talk_and_show(invocation, method, buf_str(&path).data, body);
    buf_clear(&path);
    return rc;
}

int run_credential_put(const struct invocation *invocation)
{
    static const struct rlimit no_core = {0, 0};
    struct err err = {""};
    struct buf secret;
    struct buf ca;
    struct buf body;
    int rc = EXIT_REFUSED;

    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_DUMPABLE, 0);
    buf_init_wiped(&secret, LIMIT_SECRET_BYTES_MAX + 8192);
    buf_init(&ca, CA_MAX);
    buf_init_wiped(&body, BODY_MAX);
    if (option_given(invocation, "ca") && read_ca(option_value(invocation, "ca"), &ca, &err) < 0) {
        rc = say_refused("%s", err.text);
        goto out;
    }
    if (read_secret(&secret, &err) < 0) {
        rc = say_refused("%s", err.text);
        goto out;
    }
    write_body(invocation, without_line_end(buf_str(&secret)), buf_str(&ca), &body);
    rc = call_credential(invocation, "PUT", "", buf_str(&body));
out:
    buf_clear(&secret);
    buf_clear(&ca);
    buf_clear(&body);
    return rc;
}

int run_credential_list(const struct invocation *invocation)
{
    static const struct column columns[] = {{"NAME", "name"},          {"VENDOR", "vendor"},
                                            {"VERSION", "version"},    {"LIVE", "livemode"},
                                            {"SECRET", "secret_hint"}, {"UPSTREAM", "upstream"},
                                            {"STORED", "created_at"},  {"ROTATED", "rotated_at"}};

    return talk_and_list(invocation, "/v1/credentials", 0, columns,
                         sizeof(columns) / sizeof(columns[0]));
}

int run_credential_show(const struct invocation *invocation)
{
    return call_credential(invocation, "GET", "", STR_NONE);
}

int run_credential_test(const struct invocation *invocation)
{
    struct buf path;
    json_t *answer = NULL;

    buf_init(&path, 4096);
    (void)buf_add_str(&path, STR("/v1/credentials"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_str(&path, STR("/test"));
    (void)buf_add_char(&path, '\0');
    int rc = talk(invocation, "POST", buf_str(&path).data, STR_NONE, &answer);
    if (rc == EXIT_DONE) {
        static const struct column columns[] = {{"RESULT", "result"},
                                                {"STATUS", "status"},
                                                {"ASKED", "path"},
                                                {"NEEDED FOR", "needed_for"},
                                                {"WHY", "detail"}};
        if (option_given(invocation, "json")) {
            print_json(answer);
        } else {
            print_table(json_object_get(answer, "checks"), columns,
                        sizeof(columns) / sizeof(columns[0]));
        }
        const char *detail = json_string_value(json_object_get(answer, "detail"));
        if (!json_is_true(json_object_get(answer, "ok"))) {
            rc = say_refused("%s", detail == NULL ? "the credential is not good" : detail);
        } else if (!option_given(invocation, "json")) {
            (void)puts(detail == NULL ? "the credential is good" : detail);
        }
    }
    json_decref(answer);
    buf_clear(&path);
    return rc;
}

int run_credential_rm(const struct invocation *invocation)
{
    return call_credential(invocation, "DELETE",
                           option_given(invocation, "force") ? "?force=true" : "", STR_NONE);
}
