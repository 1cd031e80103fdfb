/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns: the addresses of a name, by c-ares in our loop.
 *
 * Opens no file: servers and hosts come as the contents of resolv.conf and hosts.  Names are looked
 * up as they are, without search domains.  Answers are kept for their TTL, a minute at most;
 * questions for the same name wait together.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "os/loop.h"

enum { DNS_ADDRESSES_MAX = 8 };

struct dns_answer {
    struct sockaddr_storage addresses[DNS_ADDRESSES_MAX]; /* without a port */
    size_t count;
};

struct dns;

struct dns *dns_new(struct loop *loop, struct err *err); /* before confinement */
void dns_free(struct dns *dns);                          /* takes NULL too; without waiters */
void dns_configure(struct dns *dns, struct str resolv_conf, struct str hosts);

/* A field of what asks. */
struct dns_waiter {
    struct list link;
    /* `answer` is NULL when there is none, and `why` says so. */
    void (*done)(void *ctx, const struct dns_answer *answer, const char *why);
    void *ctx;
};

enum dns_result { DNS_WAIT, DNS_READY, DNS_FAILED };

/* DNS_READY: *ret is filled.  DNS_WAIT: waiter->done will be called, within LIMIT_RESOLVE_MS,
 * unless dns_forget() is called before.  DNS_FAILED: *ret_why says why. */
enum dns_result dns_resolve(struct dns *dns, struct str host, struct dns_waiter *waiter,
                            struct dns_answer *ret, const char **ret_why);
void dns_forget(struct dns_waiter *waiter); /* idempotent; takes a zeroed one too */

#endif
