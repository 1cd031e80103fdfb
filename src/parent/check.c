/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/check.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/child.h"
#include "pack/load.h"
#include "parent/certificate.h"
#include "parent/settings.h"

enum {
    SETTINGS_FILE_MAX = 256 * 1024,
    COMPILED_MAX = 64 * 1024 * 1024,
    FIRST_SETTING = 5,
};

static const int calls[] = {SYS_openat, SYS_newfstatat, SYS_getdents64, SYS_memfd_create};
static const struct confine_path paths[] = {{"/", CONFINE_READ}};

struct check {
    struct child child;
    int argc;
    char **argv;
    uint32_t cores;
    struct arena *arena;
    struct settings settings;
    struct config config;
};

static int read_file(struct arena *arena, const char *path, size_t max, struct str *ret_text,
                     struct err *err)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc = 0;

    if (fd < 0) {
        return err_errno(err, "cannot open '%s'", path);
    }
    if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode)) {
        rc = err_set(err, "'%s' is not a file", path);
    } else if ((size_t)about.st_size > max) {
        rc = err_set(err, "'%s' has more than %zu bytes", path, max);
    } else {
        size_t size = (size_t)about.st_size;
        char *text = arena_zeroed(arena, 1, size + 1);
        if (read(fd, text, size) != (ssize_t)size) {
            rc = err_errno(err, "cannot read '%s'", path);
        }
        *ret_text = str_of(text, size);
    }
    (void)close(fd);
    return rc;
}

/* The file first; then the command line, which wins. */
static int read_settings(struct check *check, struct err *err)
{
    bool own_doors = false;
    struct str json = {0};

    for (int i = FIRST_SETTING; i < check->argc; i++) {
        struct str value = str_from(check->argv[i]);
        struct str name = str_take_until(&value, '=');
        own_doors = own_doors || str_equal(name, STR("listen"));
        if (str_equal(name, STR("config")) &&
            (read_file(check->arena, value.data, SETTINGS_FILE_MAX, &json, err) < 0 ||
             settings_load(&check->settings, check->arena, json, value.data, err) < 0)) {
            return -1;
        }
    }
    if (own_doors) {
        settings_forget_listen(&check->settings);
    }
    for (int i = FIRST_SETTING; i < check->argc; i++) {
        struct str value = str_from(check->argv[i]);
        struct str name = str_take_until(&value, '=');
        if (!str_equal(name, STR("config")) &&
            settings_set(&check->settings, check->arena, name, value, err) < 0) {
            return -1;
        }
    }
    return settings_finish(&check->settings, check->arena, err);
}

static int check_certificate(struct check *check, struct err *err)
{
    struct str chain = {0};
    struct str key = {0};
    const struct settings *settings = &check->settings;

    if (settings->tls_cert.len == 0) {
        return 0;
    }
    if (read_file(check->arena, settings->tls_cert.data, CERTIFICATE_FILE_MAX, &chain, err) < 0 ||
        read_file(check->arena, settings->tls_key.data, CERTIFICATE_FILE_MAX, &key, err) < 0) {
        return -1;
    }
    int rc = certificate_check(chain, key, err);
    mem_wipe((char *)(uintptr_t)key.data, key.len);
    return rc < 0 ? err_prefix(err, "%.*s, %.*s", STR_FMT(settings->tls_cert),
                               STR_FMT(settings->tls_key))
                  : 0;
}

/* Doors, then the control API, then its local socket: the order in which they are bound. */
static void list_listeners(struct check *check)
{
    const struct settings *settings = &check->settings;
    size_t doors = settings->listen_count;
    struct config_listener *all = arena_zeroed(check->arena, doors + 2, sizeof(*all));

    for (size_t i = 0; i < doors; i++) {
        all[i] = (struct config_listener){.address = settings->listen[i],
                                          .tls = settings_door_tls(settings, settings->listen[i])};
    }
    all[doors] = (struct config_listener){
        .address = settings->control, .tls = settings_control_tls(settings), .control = true};
    all[doors + 1] = (struct config_listener){.address = STR("unix:control.sock"), .control = true};
    check->config.listeners = all;
    check->config.listener_count = doors + 2;
}

static void apply_settings(struct check *check)
{
    const struct settings *settings = &check->settings;

    list_listeners(check);
    check->config.public_url = settings->public_url;
    check->config.proxy_from = settings->proxy_from;
    check->config.proxy_from_count = settings->proxy_from_count;
    check->config.ttl_max_ms = settings->ttl_max_ms;
    check->config.ttl_default_ms =
        LIMIT_TTL_DEFAULT_MS < settings->ttl_max_ms ? LIMIT_TTL_DEFAULT_MS : settings->ttl_max_ms;
    check->config.self_revoke = settings->self_revoke;
    check->config.dial_private = settings->dial_private;
    check->config.memory_bytes = settings->memory_bytes;
    check->config.gates = settings->gates;
}

static int compile(struct check *check, struct err *err)
{
    settings_defaults(&check->settings, check->cores);
    if (read_settings(check, err) < 0 || check_certificate(check, err) < 0 ||
        load_builtin_packs(&check->config, check->arena, err) < 0) {
        return -1;
    }
    if (check->settings.packs.len > 0 &&
        load_pack_directory(&check->config, check->arena, check->settings.packs.data, err) < 0) {
        return -1;
    }
    apply_settings(check);
    return 0;
}

static int write_sealed(struct str bytes, struct err *err)
{
    int fd = memfd_create("keybrake-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return err_errno(err, "cannot make memory for the configuration");
    }
    while (bytes.len > 0) {
        ssize_t wrote = write(fd, bytes.data, bytes.len);
        if (wrote <= 0) {
            (void)close(fd);
            return err_errno(err, "cannot write the configuration to memory");
        }
        bytes = str_slice(bytes, (size_t)wrote, bytes.len);
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
        (void)close(fd);
        return err_errno(err, "cannot seal the configuration");
    }
    return fd;
}

static int encode_config(const struct check *check, struct err *err)
{
    struct buf bytes;
    int fd = -1;

    buf_init(&bytes, COMPILED_MAX);
    if (wire_encode(&config_schema, &check->config, &bytes)) {
        fd = write_sealed(buf_str(&bytes), err);
    } else {
        (void)err_set(err, "the configuration is too large");
    }
    buf_clear(&bytes);
    return fd;
}

static void on_start(void *ctx)
{
    struct check *check = ctx;
    struct err err = {0};
    struct buf settings;
    int fd = -1;

    buf_init(&settings, SETTINGS_FILE_MAX);
    if (compile(check, &err) == 0 && wire_encode(&settings_schema, &check->settings, &settings)) {
        fd = encode_config(check, &err);
    }
    struct message_compiled message = {
        .ok = fd >= 0, .problem = str_from(err.text), .settings = buf_str(&settings)};
    bool sent = fd >= 0 ? channel_send_fd(check->child.parent, MESSAGE_COMPILED, &message, fd)
                        : channel_send(check->child.parent, MESSAGE_COMPILED, &message);
    buf_clear(&settings);
    if (!sent) {
        log_error("check", "the parent does not listen");
        exit(EXIT_FAILURE);
    }
}

static uint32_t count_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

int check_main(int argc, char **argv)
{
    static const struct confine confine = {
        .syscalls = calls,
        .syscall_count = sizeof(calls) / sizeof(calls[0]),
        .send = true,
        .seal = true, /* what it compiles is handed to all others */
        .paths = paths,
        .path_count = sizeof(paths) / sizeof(paths[0]),
        .empty_network = true,
    };
    static const struct child_events events = {.start = on_start};
    struct check check = {.argc = argc, .argv = argv};

    child_init(&check.child, ROLE_CHECK, argc, argv);
    check.cores = count_cores();
    check.arena = arena_new();
    certificate_setup();
    child_confine(&check.child, &confine);
    return child_run(&check.child, &events, &check);
}
