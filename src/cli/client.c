/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "cli/plain.h"

enum { ANSWER_MAX = 64 * 1024 * 1024, PATH_SIZE = 4096, TIMEOUT_S = 60 };

/* libcurl is loaded when a call is made, and not with the program: it brings thirty libraries
 * along, which would be four milliseconds at the birth of every process of ours. */
struct curl_calls {
    void *library;
    CURLcode (*global_init)(long flags);
    void (*global_cleanup)(void);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *curl);
    void (*easy_reset)(CURL *curl);
    CURLcode (*easy_setopt)(CURL *curl, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *curl);
    CURLcode (*easy_getinfo)(CURL *curl, CURLINFO info, ...);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
};

struct client {
    struct curl_calls calls;
    CURL *curl;
    char base[PATH_SIZE];        /* "http://localhost" or $KEYBRAKE_URL */
    char socket_path[PATH_SIZE]; /* empty: by URL */
    struct buf authorization;    /* a header line; holds the operator's token */
};

/* Over TLS, or not beyond this machine. */
static bool is_safe_for_tokens(struct str base)
{
    static const char *const ours[] = {"127.0.0.1", "[::1]", "localhost"};
    struct str rest = str_starts(base, STR("http://")) ? str_slice(base, 7, base.len) : base;
    struct str host = str_starts(rest, STR("[")) ? str_slice(rest, 0, str_index(rest, ']', 0) + 1)
                                                 : str_take_until(&rest, ':');

    if (str_starts(base, STR("https://"))) {
        return true;
    }
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (str_equal(host, str_from(ours[i]))) {
            return true;
        }
    }
    return false;
}

static int choose_server(struct client *client, const struct invocation *invocation,
                         struct err *err)
{
    const char *url = getenv("KEYBRAKE_URL");

    if (url == NULL || url[0] == '\0') {
        (void)snprintf(client->base, sizeof(client->base), "http://localhost");
        (void)snprintf(client->socket_path, sizeof(client->socket_path), "%s/run/control.sock",
                       data_directory(invocation));
        return 0;
    }
    const char *token = getenv("KEYBRAKE_TOKEN");
    if (token == NULL || token[0] == '\0') {
        return err_set(err, "KEYBRAKE_URL is set; set KEYBRAKE_TOKEN to an operator's token too");
    }
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/') {
        length--;
    }
    if (length >= sizeof(client->base) || !is_safe_for_tokens(str_of(url, length))) {
        return err_set(err,
                       "KEYBRAKE_URL is '%s': the token would travel in the clear; say https://, "
                       "or tunnel to loopback (ssh -L 8788:127.0.0.1:8788)",
                       url);
    }
    (void)snprintf(client->base, sizeof(client->base), "%.*s", (int)length, url);
    (void)buf_addf(&client->authorization, "Authorization: Bearer %s", token);
    (void)buf_add_char(&client->authorization, '\0');
    return 0;
}

static int load_curl(struct curl_calls *calls, struct err *err)
{
    const struct {
        const char *name;
        void *place; /* of a pointer to a function; all have one size */
    } names[] = {{"curl_global_init", &calls->global_init},
                 {"curl_global_cleanup", &calls->global_cleanup},
                 {"curl_easy_init", &calls->easy_init},
                 {"curl_easy_cleanup", &calls->easy_cleanup},
                 {"curl_easy_reset", &calls->easy_reset},
                 {"curl_easy_setopt", &calls->easy_setopt},
                 {"curl_easy_perform", &calls->easy_perform},
                 {"curl_easy_getinfo", &calls->easy_getinfo},
                 {"curl_easy_strerror", &calls->easy_strerror},
                 {"curl_slist_append", &calls->slist_append},
                 {"curl_slist_free_all", &calls->slist_free_all}};

    calls->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (calls->library == NULL) {
        return err_set(err, "this command needs libcurl.so.4 (Debian: libcurl4): %s", dlerror());
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *found = dlsym(calls->library, names[i].name);
        if (found == NULL) {
            return err_set(err, "libcurl.so.4 has no %s", names[i].name);
        }
        memcpy(names[i].place, &found, sizeof(found));
    }
    return 0;
}

struct client *client_open(const struct invocation *invocation, struct err *err)
{
    struct client *client = mem_zeroed(sizeof(*client));

    buf_init_wiped(&client->authorization, 8192);
    if (choose_server(client, invocation, err) < 0) {
        client_close(client);
        return NULL;
    }
    if (load_curl(&client->calls, err) < 0) {
        client_close(client);
        return NULL;
    }
    if (client->calls.global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        (client->curl = client->calls.easy_init()) == NULL) {
        client_close(client);
        (void)err_set(err, "cannot set up the HTTP client");
        return NULL;
    }
    return client;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->curl != NULL) {
        client->calls.easy_cleanup(client->curl);
        client->calls.global_cleanup();
    }
    buf_clear(&client->authorization);
    free(client);
}

static size_t collect(char *data, size_t size, size_t count, void *ctx)
{
    return buf_add(ctx, data, size * count) ? size * count : 0;
}

static struct curl_slist *make_headers(const struct client *client, const char *const *headers,
                                       bool has_body)
{
    struct curl_slist *list = NULL;

    list = client->calls.slist_append(list, "Expect:");
    if (has_body) {
        list = client->calls.slist_append(list, "Content-Type: application/json");
    }
    if (buf_len(&client->authorization) > 0) {
        list = client->calls.slist_append(list, buf_str(&client->authorization).data);
    }
    for (; headers != NULL && *headers != NULL; headers++) {
        list = client->calls.slist_append(list, *headers);
    }
    return list;
}

/* Performs; the answer goes to `write` with `ctx`.  The HTTP status, or -1 with the reason. */
static long perform(struct client *client, const char *method, const char *path,
                    const char *const *headers, struct str body, curl_write_callback write,
                    void *ctx, struct err *err)
{
    char url[PATH_SIZE * 2];
    long status = -1;
    struct curl_slist *list = make_headers(client, headers, body.len > 0);

    (void)snprintf(url, sizeof(url), "%s%s", client->base, path);
    client->calls.easy_reset(client->curl);
    client->calls.easy_setopt(client->curl, CURLOPT_URL, url);
    client->calls.easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
    client->calls.easy_setopt(client->curl, CURLOPT_HTTPHEADER, list);
    client->calls.easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, write);
    client->calls.easy_setopt(client->curl, CURLOPT_WRITEDATA, ctx);
    client->calls.easy_setopt(client->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    client->calls.easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    client->calls.easy_setopt(client->curl, CURLOPT_NOPROXY,
                              "*"); /* an operator's token takes no detour */
    if (client->socket_path[0] != '\0') {
        client->calls.easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    }
    if (getenv("KEYBRAKE_CA") != NULL) {
        client->calls.easy_setopt(client->curl, CURLOPT_CAINFO, getenv("KEYBRAKE_CA"));
    }
    if (body.len > 0) {
        client->calls.easy_setopt(client->curl, CURLOPT_POSTFIELDS, body.data); /* not copied */
        client->calls.easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, (long)body.len);
    }
    CURLcode rc = client->calls.easy_perform(client->curl);
    if (rc == CURLE_COULDNT_CONNECT && client->socket_path[0] != '\0') {
        (void)err_set(err,
                      "no server answers at %s: is `keybrake serve` running with this data "
                      "directory (--data)?",
                      client->socket_path);
    } else if (rc != CURLE_OK) {
        (void)err_set(err, "%s: %s", client->base, client->calls.easy_strerror(rc));
    } else {
        client->calls.easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    }
    client->calls.slist_free_all(list);
    return status;
}

/* The sentence of a problem+json. */
static int refused(long status, struct str answer, struct err *err)
{
    json_t *problem = json_loadb(answer.len == 0 ? "" : answer.data, answer.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *title = json_string_value(json_object_get(problem, "title"));

    if (detail != NULL || title != NULL) {
        (void)err_set(err, "%s", detail != NULL ? detail : title);
        plain_text(err->text);
    } else {
        (void)err_set(err, "the server answered %ld", status);
    }
    json_decref(problem);
    return -1;
}

int client_call_with(struct client *client, const char *method, const char *path,
                     const char *const *headers, struct str body, json_t **ret_json,
                     struct err *err)
{
    struct buf answer;
    int rc = -1;

    buf_init_wiped(&answer, ANSWER_MAX); /* an issue's answer holds the token */
    long status = perform(client, method, path, headers, body, collect, &answer, err);
    if (status < 0) {
        goto out;
    }
    if (status < 200 || status > 299) {
        rc = refused(status, buf_str(&answer), err);
        goto out;
    }
    *ret_json = NULL;
    if (buf_len(&answer) > 0) {
        *ret_json = json_loadb(buf_str(&answer).data, buf_len(&answer), 0, NULL);
        if (*ret_json == NULL) {
            rc = err_set(err, "the server's answer is not JSON");
            goto out;
        }
    }
    rc = 0;
out:
    buf_clear(&answer);
    return rc;
}

int client_call(struct client *client, const char *method, const char *path, struct str body,
                json_t **ret_json, struct err *err)
{
    return client_call_with(client, method, path, NULL, body, ret_json, err);
}

/* What an export's bytes are is known by the status only, which has come when they do. */
struct export
{
    struct client *client;
    FILE *out;
    struct buf problem;
};

static size_t export_piece(char *data, size_t size, size_t count, void *ctx)
{
    struct export *export = ctx;
    long status = 0;

    export->client->calls.easy_getinfo(export->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 200 && status <= 299) {
        return fwrite(data, size, count, export->out) * size;
    }
    return collect(data, size, count, &export->problem);
}

int client_fetch(struct client *client, const char *path, FILE *out, struct err *err)
{
    struct export export = {.client = client, .out = out};

    buf_init(&export.problem, ANSWER_MAX);
    long status = perform(client, "GET", path, NULL, STR_NONE, export_piece, &export, err);
    int rc = status < 0                       ? -1
             : status >= 200 && status <= 299 ? 0
                                              : refused(status, buf_str(&export.problem), err);
    buf_clear(&export.problem);
    return rc;
}

static void add_encoded(struct buf *path, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (ascii_is_alpha(*text) || ascii_is_digit(*text) || strchr("-._~", *text) != NULL) {
            (void)buf_add_char(path, *text);
        } else {
            (void)buf_add_char(path, '%');
            (void)buf_add_char(path, hex[c >> 4]);
            (void)buf_add_char(path, hex[c & 15]);
        }
    }
}

void client_add_query(struct buf *path, const char *name, const char *value)
{
    if (value == NULL) {
        return;
    }
    bool first = str_index(buf_str(path), '?', 0) == buf_len(path);
    (void)buf_addf(path, "%c%s=", first ? '?' : '&', name);
    add_encoded(path, value);
}

void client_add_segment(struct buf *path, const char *segment)
{
    (void)buf_add_char(path, '/');
    add_encoded(path, segment);
}
