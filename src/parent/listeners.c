/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/listeners.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "parent/address.h"

/* What whoever starts the server can do about it. */
static const char *remedy(int problem)
{
    switch (problem) {
    case EADDRINUSE:
        return "; `ss -ltnp` shows who has it: stop that, or choose another port";
    case EACCES:
        return "; ports below 1024 take root, or CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
        return "; this machine has no such address (`ip address` shows those that it has)";
    default:
        return "";
    }
}

static int fail(int fd, struct err *err, const char *what, const char *text)
{
    int problem = errno;

    (void)close(fd);
    return err_set(err, "cannot %s %s: %s%s", what, text, strerror(problem), remedy(problem));
}

static int open_tcp(const struct address *address, const char *text, struct err *err)
{
    int one = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return err_errno(err, "cannot make a socket for %s", text);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
        (address->storage.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0)) {
        return fail(fd, err, "prepare a socket for", text);
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size) < 0 ||
        listen(fd, SOMAXCONN) < 0) {
        return fail(fd, err, "listen on", text);
    }
    return fd;
}

/* A port that somebody else has, with SO_REUSEPORT and the same user, would be shared silently. */
static int claim_tcp(const struct address *address, const char *text, struct err *err)
{
    int one = 1;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return err_errno(err, "cannot make a socket for %s", text);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (address->storage.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size) < 0) {
        return fail(fd, err, "listen on", text);
    }
    (void)close(fd);
    return 0;
}

static int open_unix(const struct address *address, const char *text, mode_t mode, gid_t group,
                     struct err *err)
{
    const char *path = text + strlen("unix:");
    struct stat about;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return err_errno(err, "cannot make a socket for %s", text);
    }
    if (lstat(path, &about) == 0 && S_ISSOCK(about.st_mode)) {
        (void)unlink(path); /* left by a server that was killed */
    }
    mode_t before = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)&address->storage, address->size);
    (void)umask(before);
    if (rc < 0 || (group != (gid_t)-1 && chown(path, (uid_t)-1, group) < 0) ||
        chmod(path, mode) < 0 || listen(fd, SOMAXCONN) < 0) {
        return fail(fd, err, "listen on", text);
    }
    return fd;
}

static int write_text(struct listener *listener, const struct address *address)
{
    struct buf text;

    buf_init(&text, sizeof(listener->text) - 1);
    bool fits = address_write(address, &text);
    memcpy(listener->text, buf_str(&text).data == NULL ? "" : buf_str(&text).data, buf_len(&text));
    listener->text[buf_len(&text)] = '\0';
    buf_clear(&text);
    return fits ? 0 : -1;
}

/* Port 0 means any: what the first socket got is the port of the others too. */
static void learn_port(int fd, struct address *address)
{
    struct address real = {.size = sizeof(real.storage)};

    if (getsockname(fd, (struct sockaddr *)&real.storage, &real.size) == 0) {
        address_set_port(address, address_port(&real));
    }
}

static int open_socket(const struct listener *listener, const struct address *address,
                       struct err *err)
{
    return listener->unix_socket
               ? open_unix(address, listener->text, listener->mode, listener->group, err)
               : open_tcp(address, listener->text, err);
}

static int open_one(struct listener *listener, struct str where, size_t fd_count, mode_t mode,
                    gid_t group, struct err *err)
{
    struct address address;

    if (address_parse(where, &address, err) < 0) {
        return -1;
    }
    if (write_text(listener, &address) < 0) {
        return err_set(err, "'%.*s' is too long an address", STR_FMT(where));
    }
    listener->unix_socket = address_is_unix(&address);
    listener->mode = mode;
    listener->group = group;
    listener->fds = mem_array(fd_count, sizeof(int));
    if (!listener->unix_socket && claim_tcp(&address, listener->text, err) < 0) {
        return -1;
    }
    for (; listener->fd_count < fd_count; listener->fd_count++) {
        int fd = open_socket(listener, &address, err);
        if (fd < 0) {
            return -1;
        }
        listener->fds[listener->fd_count] = fd;
        learn_port(fd, &address);
    }
    return write_text(listener, &address);
}

static int open_door(struct listeners *listeners, const struct settings *settings, size_t i,
                     struct err *err)
{
    struct str where = settings->listen[i];
    struct listener *door = &listeners->all[listeners->count++];
    bool local = str_starts(where, STR("unix:"));

    *door = (struct listener){.number = (uint32_t)i,
                              .tls = settings_door_tls(settings, where),
                              .kind = settings->forward ? LISTENER_FORWARD : LISTENER_BASE};
    /* Who may reach a door's socket is said by its directory; a vault key is needed anyway. */
    return open_one(door, where, local ? 1 : settings->gates, 0666, (gid_t)-1, err);
}

static int open_control_socket(struct listeners *listeners, size_t number, const char *data_dir,
                               gid_t group, struct err *err)
{
    char where[256];
    struct listener *local = &listeners->all[listeners->count++];

    *local = (struct listener){.number = (uint32_t)number, .control = true};
    (void)snprintf(where, sizeof(where), "unix:%s/run/control.sock", data_dir);
    return open_one(local, str_from(where), 1, group == (gid_t)-1 ? 0600 : 0660, group, err);
}

int listeners_open(struct listeners *listeners, const struct settings *settings,
                   const char *data_dir, gid_t control_group, struct err *err)
{
    size_t doors = settings->listen_count;

    listeners->all = mem_array(doors + 2, sizeof(struct listener));
    for (size_t i = 0; i < doors; i++) {
        if (open_door(listeners, settings, i, err) < 0) {
            return err_prefix(err, "--listen");
        }
    }
    struct listener *control = &listeners->all[listeners->count++];
    *control = (struct listener){
        .number = (uint32_t)doors, .control = true, .tls = settings_control_tls(settings)};
    if (open_one(control, settings->control, 1, 0600, (gid_t)-1, err) < 0) {
        return err_prefix(err, "--control");
    }
    return open_control_socket(listeners, doors + 1, data_dir, control_group, err);
}

void listeners_close(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *one = &listeners->all[i];
        for (size_t k = 0; k < one->fd_count; k++) {
            (void)close(one->fds[k]);
        }
        if (one->unix_socket && one->fd_count > 0) {
            (void)unlink(one->text + strlen("unix:"));
        }
        free(one->fds);
    }
    free(listeners->all);
    *listeners = (struct listeners){0};
}

static bool still_listens(int fd)
{
    int listens = 0;
    socklen_t size = sizeof(listens);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens != 0;
}

int listener_fd(struct listener *listener, uint32_t gate, struct err *err)
{
    int *fd = &listener->fds[gate < listener->fd_count ? gate : 0];
    struct address address;

    if (still_listens(*fd) || address_parse(str_from(listener->text), &address, err) < 0) {
        return *fd;
    }
    int fresh = open_socket(listener, &address, err);
    if (fresh >= 0) {
        (void)close(*fd);
        *fd = fresh;
    }
    return *fd;
}
