/* SPDX-License-Identifier: Apache-2.0 */
/* ca show | export | rotate: the CA whose leaves a sandbox sees behind the forward proxy */
#include "cli/ca.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/talk.h"
#include "os/file.h"
#include "pack/load.h"
#include "store/query.h"
#include "tls/ca_file.h"
#include "tls/leaf.h"

enum { PATH_SIZE = 4096, FILE_BYTES_MAX = 128 * 1024, CA_DAYS = 3650, RANDOM_HEX = 8 };

const struct option ca_rotate_options[] = {
    {"packs", "DIR", "also for the hosts of the packs in this directory, as serve --packs", false,
     false},
    {"host", "NAME", "and for this host: of a credential with its own --upstream", true, false},
};
const size_t ca_rotate_options_count = sizeof(ca_rotate_options) / sizeof(ca_rotate_options[0]);

/* ---- which hosts ---- */

struct hosts {
    struct str all[CA_HOSTS_MAX];
    size_t count;
};

static void add_host(struct hosts *hosts, struct str host)
{
    for (size_t i = 0; i < hosts->count; i++) {
        if (str_equal_nocase(hosts->all[i], host)) {
            return;
        }
    }
    if (hosts->count < CA_HOSTS_MAX) {
        hosts->all[hosts->count++] = host;
    }
}

static int pack_hosts(struct arena *arena, const char *packs, struct hosts *hosts, struct err *err)
{
    struct config config = {0};

    if (load_builtin_packs(&config, arena, err) < 0 ||
        (packs != NULL && load_pack_directory(&config, arena, packs, err) < 0)) {
        return -1;
    }
    for (size_t i = 0; i < config.pack_count; i++) {
        const struct pack *pack = &config.packs[i];
        for (size_t k = 0; k < pack->upstream_count; k++) {
            for (size_t h = 0; h < pack->upstreams[k].host_count; h++) {
                add_host(hosts, pack->upstreams[k].hosts[h]);
            }
        }
    }
    return 0;
}

/* ---- making one ---- */

static int seal(const unsigned char *box_public, const struct secret *key, struct buf *out,
                struct err *err)
{
    size_t size = key->size + crypto_box_SEALBYTES;
    unsigned char *at = buf_room(out, size);

    if (at == NULL || sodium_init() < 0 ||
        crypto_box_seal(at, key->data, key->size, box_public) != 0) {
        return err_set(err, "the CA's key cannot be sealed");
    }
    buf_added(out, size);
    return 0;
}

/* A name of its own, so that a client that trusts two of them tells them apart. */
static int make(const unsigned char *box_public, const struct hosts *hosts, struct buf *out,
                struct err *err)
{
    unsigned char random[RANDOM_HEX / 2];
    char name[64];
    struct secret key = {0};
    struct buf pem, sealed;

    random_bytes(random, sizeof(random));
    (void)snprintf(name, sizeof(name), "keybrake %02x%02x%02x%02x", random[0], random[1], random[2],
                   random[3]);
    struct ca_wish wish = {.name = name,
                           .hosts = hosts->all,
                           .host_count = hosts->count,
                           .now_ms = clock_wall_ms(),
                           .days = CA_DAYS};
    buf_init(&pem, CA_PEM_MAX);
    buf_init(&sealed, 4096);
    int rc = ca_make(&wish, &pem, &key, err);
    if (rc == 0) {
        rc = seal(box_public, &key, &sealed, err);
    }
    if (rc == 0 && !ca_file_write(buf_str(&pem), buf_str(&sealed), out)) {
        rc = err_set(err, "the CA is too large");
    }
    secret_clear(&key);
    buf_clear(&pem);
    buf_clear(&sealed);
    return rc;
}

static int make_file(const char *directory, const unsigned char *box_public,
                     const struct hosts *hosts, struct err *err)
{
    char path[PATH_SIZE];
    struct buf file;

    (void)snprintf(path, sizeof(path), "%s/vault/ca", directory);
    buf_init(&file, FILE_BYTES_MAX);
    int rc = make(box_public, hosts, &file, err);
    if (rc == 0) {
        rc = file_replace(path, 0600, buf_str(&file), err);
    }
    buf_clear(&file);
    return rc;
}

int ca_init(const char *directory, const unsigned char *box_public, struct err *err)
{
    struct arena *arena = arena_new();
    struct hosts hosts = {.count = 0};
    int rc = pack_hosts(arena, NULL, &hosts, err);

    if (rc == 0) {
        rc = make_file(directory, box_public, &hosts, err);
    }
    arena_free(arena);
    return rc;
}

/* The vault's public key, of a data directory that is there. */
static int read_public(const char *directory, unsigned char *ret_key, struct err *err)
{
    struct query *query = query_open(directory, err);
    struct buf text;
    bool found = false;

    buf_init(&text, 1024);
    int rc = query == NULL ? -1 : query_meta(query, STR("vault_public_key"), &text, &found, err);
    if (rc == 0 && (!found || !hex_decode(buf_str(&text), ret_key, crypto_box_PUBLICKEYBYTES))) {
        rc = err_set(err, "the vault's public key is not in the database");
    }
    query_close(query);
    buf_clear(&text);
    return rc;
}

static int make_for_older(const char *directory, struct err *err)
{
    unsigned char box_public[crypto_box_PUBLICKEYBYTES];

    return read_public(directory, box_public, err) < 0 ? -1 : ca_init(directory, box_public, err);
}

void ca_ensure(const char *directory)
{
    char path[PATH_SIZE];
    struct err err = {""};

    (void)snprintf(path, sizeof(path), "%s/vault", directory);
    if (access(path, F_OK) < 0) {
        return; /* there is no data directory: the parent says so */
    }
    (void)snprintf(path, sizeof(path), "%s/vault/ca", directory);
    if (access(path, F_OK) == 0 || errno != ENOENT) {
        return;
    }
    /* In a process that ends: what becomes the parent reads no database. */
    pid_t pid = fork();
    if (pid == 0) {
        int rc = make_for_older(directory, &err);
        if (rc < 0) {
            (void)fprintf(stderr, "keybrake: no CA for the forward proxy: %s\n", err.text);
        }
        _exit(rc < 0 ? 1 : 0);
    }
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
}

/* ---- commands ---- */

int run_ca_rotate(const struct invocation *invocation)
{
    const char *directory = data_directory(invocation);
    unsigned char box_public[crypto_box_PUBLICKEYBYTES];
    struct arena *arena = arena_new();
    struct hosts hosts = {.count = 0};
    struct err err = {""};
    int status = EXIT_REFUSED;

    digest_setup();
    for (size_t i = 0; i < option_count(invocation, "host"); i++) {
        add_host(&hosts, str_from(option_nth(invocation, "host", i)));
    }
    if (pack_hosts(arena, option_value(invocation, "packs"), &hosts, &err) < 0 ||
        read_public(directory, box_public, &err) < 0 ||
        make_file(directory, box_public, &hosts, &err) < 0) {
        status = say_refused("%s", err.text);
    } else {
        (void)printf("a new CA is in place; a running server takes it at SIGHUP.  Sandboxes need "
                     "it too: keybrake ca export FILE\n");
        status = EXIT_DONE;
    }
    arena_free(arena);
    return status;
}

static int get_pem(const struct invocation *invocation, struct buf *out)
{
    json_t *json = NULL;
    int status = talk(invocation, "GET", "/v1/ca", STR_NONE, &json);

    if (status == EXIT_DONE) {
        const char *pem = json_string_value(json_object_get(json, "certificate_pem"));
        if (pem == NULL || !buf_add_str(out, str_from(pem))) {
            status = say_refused("the server has no CA; see its log");
        }
    }
    json_decref(json);
    return status;
}

int run_ca_show(const struct invocation *invocation)
{
    struct buf pem, text;
    struct err err = {""};

    if (option_given(invocation, "json")) {
        return talk_and_show(invocation, "GET", "/v1/ca", STR_NONE);
    }
    buf_init(&pem, CA_PEM_MAX);
    buf_init(&text, CA_PEM_MAX);
    int status = get_pem(invocation, &pem);
    if (status == EXIT_DONE && ca_describe(buf_str(&pem), &text, &err) < 0) {
        status = say_refused("%s", err.text);
    } else if (status == EXIT_DONE) {
        (void)printf("%.*s", STR_FMT(buf_str(&text)));
    }
    buf_clear(&pem);
    buf_clear(&text);
    return status;
}

/* Whoever can write there can put another CA in its place before a sandbox trusts it. */
static int check_place(const char *path, struct err *err)
{
    char directory[PATH_SIZE];
    struct stat about;

    (void)snprintf(directory, sizeof(directory), "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash == NULL) {
        (void)snprintf(directory, sizeof(directory), ".");
    } else {
        slash[slash == directory ? 1 : 0] = '\0';
    }
    if (stat(directory, &about) < 0) {
        return err_errno(err, "cannot look at '%s'", directory);
    }
    if ((about.st_mode & 022) != 0 && (about.st_mode & S_ISVTX) == 0) {
        return err_set(err, "others may write in '%s'; put the CA where no sandbox can change it",
                       directory);
    }
    return 0;
}

int run_ca_export(const struct invocation *invocation)
{
    const char *path = argument_nth(invocation, 0);
    struct buf pem;
    struct err err = {""};

    if (strlen(path) > PATH_SIZE - 8) {
        return say_refused("that is too long a path");
    }
    buf_init(&pem, CA_PEM_MAX);
    int status = get_pem(invocation, &pem);
    if (status == EXIT_DONE && strcmp(path, "-") == 0) {
        (void)printf("%.*s", STR_FMT(buf_str(&pem)));
    } else if (status == EXIT_DONE &&
               (check_place(path, &err) < 0 || file_replace(path, 0644, buf_str(&pem), &err) < 0)) {
        status = say_refused("%s", err.text);
    }
    buf_clear(&pem);
    return status;
}
