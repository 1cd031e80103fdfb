/* SPDX-License-Identifier: Apache-2.0 */
/* env: the variables that a sandbox needs, in the form that its platform takes */
#include "cli/env.h"

#include "cli/commands.h"
#include "cli/talk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_out.h"
#include "http/url.h"

enum { VALUE_MAX = 16 * 1024, TOKEN_MAX = 256 };

const struct option env_options[] = {
    {"token-stdin", NULL, "read the vault key from standard input", false, true},
    {"for", "PLATFORM", "sh, docker, e2b, modal, fly or k8s (default: sh)", false, false},
};
const size_t env_options_count = sizeof(env_options) / sizeof(env_options[0]);

/* How a platform wants its variables: what stands around them all, and around each.  %N is the
 * name, %V the value, quoted as `quote` says; behind them %V is the host where keybrake is. */
struct platform {
    const char *name;
    const char *before, *each, *between, *after;
    enum { QUOTE_SHELL, QUOTE_JSON } quote;
};

static const struct platform platforms[] = {
    {"sh", "", "export %N=%V\n", "", "", QUOTE_SHELL},
    {"docker", "", "--env %N=%V", " \\\n", "\n", QUOTE_SHELL},
    {"e2b", "Sandbox.create({ envs: {\n", "  %N: %V", ",\n",
     "\n}, network: { allowOut: [%V], denyOut: [\"0.0.0.0/0\"] } })\n", QUOTE_JSON},
    {"modal", "modal.Secret.from_dict({\n", "    \"%N\": %V", ",\n", "\n})\n", QUOTE_JSON},
    {"fly", "{\"config\": {\"env\": {\n", "  \"%N\": %V", ",\n", "\n}}}\n", QUOTE_JSON},
    {"k8s", "env:\n", "  - name: %N\n    value: %V\n", "", "", QUOTE_JSON},
};

static const struct platform *find_platform(const char *name)
{
    for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
        if (strcmp(platforms[i].name, name) == 0) {
            return &platforms[i];
        }
    }
    return NULL;
}

static int read_token(struct buf *out, struct err *err)
{
    unsigned char *room = buf_room(out, TOKEN_MAX);
    ssize_t got = room == NULL ? -1 : read(STDIN_FILENO, room, TOKEN_MAX);

    if (got <= 0) {
        return err_set(err, "no vault key on standard input");
    }
    while (got > 0 && (room[got - 1] == '\n' || room[got - 1] == '\r')) {
        got--;
    }
    buf_added(out, (size_t)got);
    return 0;
}

/* The value with the token in its place. */
static void fill_in(struct buf *out, struct str value, struct str token)
{
    static const struct str mark = {"${token}", 8};

    while (value.len > 0) {
        if (str_starts(value, mark)) {
            (void)buf_add_str(out, token);
            value = str_slice(value, mark.len, value.len);
        } else {
            (void)buf_add_char(out, value.data[0]);
            value = str_slice(value, 1, value.len);
        }
    }
}

static void add_quoted(struct buf *out, struct str value, const struct platform *platform)
{
    if (platform->quote == QUOTE_JSON) {
        struct json_out json = json_begin(out);
        json_text(&json, value);
        return;
    }
    (void)buf_add_char(out, '\'');
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] == '\'') {
            (void)buf_add_str(out, STR("'\\''"));
        } else {
            (void)buf_add_char(out, value.data[i]);
        }
    }
    (void)buf_add_char(out, '\'');
}

static void add_filled(struct buf *out, const struct platform *platform, const char *text,
                       const char *name, struct str value)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (c[0] == '%' && c[1] == 'N') {
            (void)buf_add_str(out, str_from(name));
            c++;
        } else if (c[0] == '%' && c[1] == 'V') {
            add_quoted(out, value, platform);
            c++;
        } else {
            (void)buf_add_char(out, *c);
        }
    }
}

/* Of the public URL; empty when there is none. */
static struct str broker_host(const json_t *answer)
{
    const char *text = json_string_value(json_object_get(answer, "public_url"));
    struct url url;
    struct err ignored;

    return text != NULL && url_parse_base(str_from(text), &url, &ignored) == 0 ? url.host
                                                                               : STR_NONE;
}

bool env_has_platform(const char *name)
{
    return find_platform(name) != NULL;
}

void env_print(const json_t *answer, const char *where, struct str token)
{
    const struct platform *platform = find_platform(where);
    struct buf out;
    struct buf filled;
    const char *name;
    json_t *value;
    bool first = true;

    assert(platform != NULL); /* whoever calls has asked env_has_platform() */
    buf_init_wiped(&out, (size_t)16 * VALUE_MAX);
    buf_init_wiped(&filled, VALUE_MAX);
    (void)buf_add_str(&out, str_from(platform->before));
    json_object_foreach(json_object_get(answer, "env"), name, value)
    {
        if (!first) {
            (void)buf_add_str(&out, str_from(platform->between));
        }
        first = false;
        buf_cut(&filled, 0);
        fill_in(&filled, str_from(json_string_value(value)), token);
        add_filled(&out, platform, platform->each, name, buf_str(&filled));
    }
    add_filled(&out, platform, platform->after, "", broker_host(answer));
    if (buf_len(&out) > 0) {
        (void)fwrite(out.data + out.start, 1, buf_len(&out), stdout);
    }
    buf_clear(&out);
    buf_clear(&filled);
}

int run_env(const struct invocation *invocation)
{
    const char *where = option_given(invocation, "for") ? option_value(invocation, "for") : "sh";
    struct err err = {""};
    struct buf token;
    struct buf path;
    json_t *answer = NULL;
    int rc;

    if (!env_has_platform(where)) {
        return say_usage(invocation, "--for is one of: sh, docker, e2b, modal, fly, k8s");
    }
    buf_init_wiped(&token, TOKEN_MAX);
    buf_init(&path, VALUE_MAX);
    if (read_token(&token, &err) < 0) {
        rc = say_refused("%s", err.text);
        goto out;
    }
    (void)buf_add_str(&path, STR("/v1/keys"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_str(&path, STR("/env"));
    client_add_query(&path, "for", where);
    (void)buf_add_char(&path, '\0');
    rc = talk(invocation, "GET", buf_str(&path).data, STR_NONE, &answer);
    if (rc == EXIT_DONE) {
        env_print(answer, where, buf_str(&token));
    }
out:
    json_decref(answer);
    buf_clear(&token);
    buf_clear(&path);
    return rc;
}
