/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/trust.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sandbox/files.h"
#include "sandbox/keystore.h"
#include "sandbox/mounts.h"

enum { BUNDLE_BYTES_MAX = 4 * 1024 * 1024 };

/* Where programs look for trusted CAs (Debian, Fedora twice, Alpine, openSUSE). */
static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
                                      "/etc/pki/tls/certs/ca-bundle.crt",
                                      "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                      "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"};
enum { BUNDLES = sizeof(bundles) / sizeof(bundles[0]) };

/* Java's lists, and where a Java that came by itself keeps its own. */
static const char *const java_lists[] = {"etc/ssl/certs/java/cacerts",
                                         "etc/pki/ca-trust/extracted/java/cacerts",
                                         "etc/ssl/java/cacerts",
                                         "usr/lib/jvm/*/lib/security/cacerts",
                                         "usr/lib/jvm/*/jre/lib/security/cacerts",
                                         "usr/local/*/lib/security/cacerts",
                                         "opt/*/lib/security/cacerts"};

/* Lists that libraries bring along (certifi, older stripe-python, pip). */
#define LIBRARIES                                                                                  \
    "{certifi/cacert.pem,stripe/data/ca-certificates.crt,pip/_vendor/certifi/cacert.pem}"
static const char *const library_lists[] = {
    "usr/lib/python3/dist-packages/" LIBRARIES,
    "usr/local/lib/python3*/{dist,site}-packages/" LIBRARIES};
static const char virtual_lists[] = "%s/{.venv,venv,env}/lib/python3*/site-packages/" LIBRARIES;

struct trust {
    struct buf entries; /* Java's; empty: there is no Java */
    bool has_java;
};

/* ---- files ---- */

static int write_parts(const char *path, int flags, struct str first, struct str second)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0644);
    const struct str parts[] = {first, second};
    bool good = fd >= 0;

    for (size_t i = 0; i < 2 && good; i++) {
        good = parts[i].len == 0 || write(fd, parts[i].data, parts[i].len) == (ssize_t)parts[i].len;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return good ? 0 : -1;
}

/* The machine's bundle, whichever file has it; empty when none has. */
static void read_bundle(bool from_new_root, struct buf *out)
{
    struct stat about;
    ssize_t got = 0;
    int fd = -1;

    for (size_t i = 0; i < BUNDLES && fd < 0; i++) {
        fd = open(bundles[i] + (from_new_root ? 1 : 0), O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 || fstat(fd, &about) < 0) {
        return;
    }
    size_t left = about.st_size > 0 ? (size_t)about.st_size : 0;
    unsigned char *room = buf_room(out, left);
    while (room != NULL && left > 0 && (got = read(fd, room, left)) > 0) {
        buf_added(out, (size_t)got);
        room += got;
        left -= (size_t)got;
    }
    (void)close(fd);
}

/* ---- over the machine's ---- */

static int lay_over(const char *source, const char *path, bool *ret_any, struct err *err)
{
    struct stat about;

    if (lstat(path, &about) < 0 || !S_ISREG(about.st_mode)) {
        return 0;
    }
    *ret_any = true;
    return mounts_bind(source, path, err);
}

static int lay_over_all(const char *source, const char *pattern, bool *ret_any, struct err *err)
{
    glob_t found = {0};
    int rc = 0;

    if (strpbrk(pattern, "*{") == NULL) {
        return lay_over(source, pattern, ret_any, err);
    }
    if (glob(pattern, GLOB_BRACE | GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && rc == 0; i++) {
            rc = lay_over(source, found.gl_pathv[i], ret_any, err);
        }
    }
    globfree(&found);
    return rc;
}

static int lay_over_bundles(const char *directory, struct err *err)
{
    char pattern[PATH_MAX + sizeof(virtual_lists)];
    bool any;
    int rc = 0;

    for (size_t i = 0; i < BUNDLES && rc == 0; i++) {
        rc = lay_over(&FILES_BUNDLE[1], bundles[i] + 1, &any, err);
    }
    for (size_t i = 0; i < sizeof(library_lists) / sizeof(library_lists[0]) && rc == 0; i++) {
        rc = lay_over_all(&FILES_BUNDLE[1], library_lists[i], &any, err);
    }
    if (rc == 0 &&
        strpbrk(directory, "*?[{\\") == NULL) { /* else it would be taken for a pattern */
        (void)snprintf(pattern, sizeof(pattern), virtual_lists, directory + 1);
        rc = lay_over_all(&FILES_BUNDLE[1], pattern, &any, err);
    }
    return rc;
}

static int lay_over_java(struct trust *trust, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < sizeof(java_lists) / sizeof(java_lists[0]) && rc == 0; i++) {
        rc = lay_over_all(&FILES_JAVA_LIST[1], java_lists[i], &trust->has_java, err);
    }
    return rc;
}

struct trust *trust_prepare(const char *directory, struct err *err)
{
    struct trust *trust = mem_zeroed(sizeof(*trust));
    struct buf system;

    buf_init(&system, BUNDLE_BYTES_MAX);
    buf_init(&trust->entries, KEYSTORE_BYTES_MAX);
    read_bundle(true, &system);
    int rc = 0;
    if (write_parts(&FILES_BUNDLE[1], O_TRUNC, buf_str(&system), STR_NONE) < 0 ||
        write_parts(&FILES_JAVA_LIST[1], O_TRUNC, STR_NONE, STR_NONE) < 0) {
        rc = err_errno(err, "cannot write the sandbox's list of CAs");
    } else if (lay_over_bundles(directory, err) < 0 || lay_over_java(trust, err) < 0) {
        rc = -1;
    } else if (trust->has_java && !keystore_add(&trust->entries, buf_str(&system))) {
        rc = err_set(err, "the machine's list of CAs has something in it that is none");
    }
    buf_clear(&system);
    if (rc < 0) {
        buf_clear(&trust->entries);
        free(trust);
        return NULL;
    }
    return trust;
}

static int write_java_list(const char *path, struct buf *entries, struct str ca_pem)
{
    struct buf head;

    buf_init(&head, KEYSTORE_HEAD_MAX);
    bool good = keystore_add(entries, ca_pem) && keystore_head(&head, buf_len(entries)) &&
                write_parts(path, O_TRUNC, buf_str(&head), buf_str(entries)) == 0;
    buf_clear(&head);
    return good ? 0 : -1;
}

int trust_finish(struct trust *trust, struct str ca_pem, struct err *err)
{
    int rc = 0;

    if (write_parts(&FILES_CA[1], O_TRUNC, ca_pem, STR_NONE) < 0 ||
        write_parts(&FILES_BUNDLE[1], O_APPEND, ca_pem, STR_NONE) < 0 ||
        (trust->has_java && write_java_list(&FILES_JAVA_LIST[1], &trust->entries, ca_pem) < 0)) {
        rc = err_errno(err, "cannot write the sandbox's list of CAs");
    }
    buf_clear(&trust->entries);
    free(trust);
    return rc;
}

/* ---- without a root of its own ---- */

int trust_write(const char *bundle, const char *java_list, struct str ca_pem, struct err *err)
{
    struct buf system, entries;

    buf_init(&system, BUNDLE_BYTES_MAX);
    buf_init(&entries, KEYSTORE_BYTES_MAX);
    read_bundle(false, &system);
    int rc = write_parts(bundle, O_TRUNC, buf_str(&system), ca_pem) < 0 ||
                     !keystore_add(&entries, buf_str(&system)) ||
                     write_java_list(java_list, &entries, ca_pem) < 0
                 ? err_errno(err, "cannot write the sandbox's list of CAs")
                 : 0;
    buf_clear(&system);
    buf_clear(&entries);
    return rc;
}
