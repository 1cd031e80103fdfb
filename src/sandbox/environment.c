/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/environment.h"

#include <string.h>

#include "sandbox/files.h"

void environment_init(struct environment *environment)
{
    buf_init_wiped(&environment->text, ENVIRONMENT_BYTES_MAX);
    environment->count = 0;
}

void environment_clear(struct environment *environment)
{
    buf_clear(&environment->text);
    environment->count = 0;
}

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!ascii_is_alpha(c) && c != '_' && (i == 0 || !ascii_is_digit(c))) {
            return false;
        }
    }
    return name.len > 0;
}

/* The variable's place in the text, with its NUL. */
static bool find(const struct environment *environment, struct str name, size_t *ret_at,
                 size_t *ret_len)
{
    struct str rest = buf_str(&environment->text);
    size_t at = 0;

    while (rest.len > 0) {
        struct str one = str_take_until(&rest, '\0');
        if (str_starts(one, name) && one.len > name.len && one.data[name.len] == '=') {
            *ret_at = at;
            *ret_len = one.len + 1;
            return true;
        }
        at += one.len + 1;
    }
    return false;
}

static void remove_one(struct environment *environment, struct str name)
{
    size_t at, len;

    if (find(environment, name, &at, &len)) {
        unsigned char *data = environment->text.data + environment->text.start;
        memmove(data + at, data + at + len, buf_len(&environment->text) - at - len);
        buf_cut(&environment->text, buf_len(&environment->text) - len);
        environment->count--;
    }
}

int environment_set(struct environment *environment, struct str name, struct str value,
                    struct err *err)
{
    if (!is_name(name)) {
        return err_set(err, "'%.*s' is not the name of a variable",
                       STR_FMT(str_slice(name, 0, 64)));
    }
    if (str_index(value, '\0', 0) < value.len) {
        return err_set(err, "the value of %.*s has a NUL in it", STR_FMT(name));
    }
    remove_one(environment, name);
    (void)buf_add_str(&environment->text, name);
    (void)buf_add_char(&environment->text, '=');
    (void)buf_add_str(&environment->text, value);
    if (!buf_add_char(&environment->text, '\0') || environment->text.overflow ||
        ++environment->count > ENVIRONMENT_VARIABLES_MAX) {
        return err_set(err, "the environment is larger than %d bytes or %d variables",
                       ENVIRONMENT_BYTES_MAX, ENVIRONMENT_VARIABLES_MAX);
    }
    return 0;
}

struct str environment_get(const struct environment *environment, struct str name)
{
    size_t at, len;

    if (!find(environment, name, &at, &len)) {
        return STR_NONE;
    }
    return str_slice(buf_str(&environment->text), at + name.len + 1, at + len - 1);
}

static struct str value_in(char *const *from, struct str name)
{
    for (; from != NULL && *from != NULL; from++) {
        struct str one = str_from(*from);
        if (str_starts(one, name) && one.len > name.len && one.data[name.len] == '=') {
            return str_slice(one, name.len + 1, one.len);
        }
    }
    return STR_NONE;
}

int environment_basic(struct environment *environment, char *const *from, struct err *err)
{
    static const char *const names[] = {
        "PATH", "LANG",      "LANGUAGE", "LC_ALL",      "LC_CTYPE",   "LC_COLLATE", "LC_TIME",
        "TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR", "TZ",         "COLUMNS",    "LINES",
        "CI",   "EDITOR",    "PAGER",    "LC_MESSAGES", "LC_NUMERIC", "LC_MONETARY"};
    static const char *const own[][2] = {{"HOME", FILES_HOME},
                                         {"USER", "agent"},
                                         {"LOGNAME", "agent"},
                                         {"SHELL", "/bin/sh"},
                                         {"TMPDIR", "/tmp"},
                                         {"KEYBRAKE_SANDBOX", "1"},
                                         {"PYTHONDONTWRITEBYTECODE", "1"}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str value = value_in(from, str_from(names[i]));
        if (value.len > 0 && environment_set(environment, str_from(names[i]), value, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (environment_set(environment, str_from(own[i][0]), str_from(own[i][1]), err) < 0) {
            return -1;
        }
    }
    if (environment_get(environment, STR("PATH")).len == 0) {
        return environment_set(environment, STR("PATH"), STR("/usr/local/bin:/usr/bin:/bin"), err);
    }
    return 0;
}

int environment_trust(struct environment *environment, const char *bundle, const char *session_ca,
                      struct err *err)
{
    /* These replace what the client trusts, so it is the whole list. */
    static const char *const whole[] = {"SSL_CERT_FILE",
                                        "CURL_CA_BUNDLE",
                                        "REQUESTS_CA_BUNDLE",
                                        "PIP_CERT",
                                        "AWS_CA_BUNDLE",
                                        "GIT_SSL_CAINFO",
                                        "CARGO_HTTP_CAINFO",
                                        "DENO_CERT",
                                        "NIX_SSL_CERT_FILE",
                                        "HTTPLIB2_CA_CERTS",
                                        "npm_config_cafile",
                                        "BUNDLE_SSL_CA_CERT",
                                        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
                                        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
                                        "PERL_LWP_SSL_CA_FILE"};

    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        if (environment_set(environment, str_from(whole[i]), str_from(bundle), err) < 0) {
            return -1;
        }
    }
    /* These add. */
    return environment_set(environment, STR("NODE_EXTRA_CA_CERTS"), str_from(session_ca), err) < 0
               ? -1
               : environment_set(environment, STR("NODE_USE_SYSTEM_CA"), STR("1"), err);
}

bool environment_is_key(struct str value)
{
    static const char *const prefixes[] = {
        "sk_live_", "sk_test_",    "rk_live_", "rk_test_", "sk-ant-", "sk-proj-", "whsec_",
        "ghp_",     "github_pat_", "gho_",     "ghs_",     "re_",     "SG.",      "xoxb-",
        "xoxp-",    "AKIA",        "glpat-",   "hf_",      "kbo_"};

    /* The vault keys that stand in a vendor's shape are ours. */
    if (value.len < 20 || str_has(value, STR("_vk_"))) {
        return false;
    }
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (str_starts(value, str_from(prefixes[i]))) {
            return true;
        }
    }
    return str_starts(value, STR("sk-")) && value.len >= 40;
}

int environment_ask(struct environment *environment, const char *wish, char *const *from,
                    struct err *err)
{
    struct str value = str_from(wish);
    struct str name = str_take_until(&value, '=');

    if (strchr(wish, '=') == NULL) {
        value = value_in(from, name);
    }
    if (environment_is_key(value)) {
        return err_set(err,
                       "%.*s looks like a vendor's real key, which is not to be inside: store it "
                       "with `keybrake credential put` and name the vendor",
                       STR_FMT(str_slice(name, 0, 64)));
    }
    return environment_set(environment, name, value, err);
}
