/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "http/url.h"

enum {
    HOST_MAX = 255,
    ENTRIES_MAX = 256,
    SOCKETS_MAX = 64,
    SERVERS_MAX = 3,
    QUERY_MS = 1500,
    QUERY_TRIES = 3,
    TTL_MAX_S = 60,
    TTL_MIN_S = 1,
};

struct entry {
    char host[HOST_MAX + 1]; /* lower case; empty: free */
    struct dns_answer answer;
    uint64_t expires_ms;
    bool asked; /* c-ares will call back with it */
    bool late;  /* it has not, in time: nobody waits any more */
    struct list waiters;
    struct loop_timer timer;
    struct dns *dns;
};

struct socket_watch {
    struct loop_watch watch;
    struct dns *dns;
};

struct dns {
    struct loop *loop;
    ares_channel channel;
    struct loop_timer timer;
    struct socket_watch sockets[SOCKETS_MAX];
    struct entry entries[ENTRIES_MAX];
    size_t asked;
    char servers[SERVERS_MAX * (INET6_ADDRSTRLEN + 2)];
    bool servers_wait; /* to be set when nothing is asked */
    char *hosts;
};

/* ---- c-ares in our loop ---- */

static void set_timer(struct dns *dns);

static void on_socket(void *ctx, uint32_t events)
{
    struct socket_watch *socket = ctx;
    struct dns *dns = socket->dns;
    int fd = socket->watch.fd;
    bool in = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    bool out = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;

    ares_process_fd(dns->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    set_timer(dns);
}

static void on_timer(void *ctx)
{
    struct dns *dns = ctx;

    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(dns);
}

static void set_timer(struct dns *dns)
{
    struct timeval left;

    if (dns->asked == 0 || ares_timeout(dns->channel, NULL, &left) == NULL) {
        loop_timer_stop(dns->loop, &dns->timer);
        return;
    }
    uint64_t ms = (uint64_t)left.tv_sec * 1000 + (uint64_t)left.tv_usec / 1000 + 1;
    loop_timer_set(dns->loop, &dns->timer, ms, on_timer, dns);
}

static struct socket_watch *find_socket(struct dns *dns, int fd)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (dns->sockets[i].watch.fd == fd) {
            return &dns->sockets[i];
        }
    }
    return NULL;
}

static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = ctx;
    struct socket_watch *socket = find_socket(dns, fd);
    uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);

    if (socket == NULL && events != 0) {
        socket = find_socket(dns, -1); /* with none free, the query's timeout ends it */
        if (socket != NULL) {
            loop_watch(dns->loop, &socket->watch, fd, events, on_socket, socket);
        }
    } else if (socket != NULL && events == 0) {
        loop_unwatch(dns->loop, &socket->watch);
    } else if (socket != NULL) {
        loop_watch_events(dns->loop, &socket->watch, events);
    }
}

struct dns *dns_new(struct loop *loop, struct err *err)
{
    struct dns *dns = mem_zeroed(sizeof(*dns));
    char lookups[] = "b";
    struct ares_options options = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_STAYOPEN,
        .timeout = QUERY_MS,
        .tries = QUERY_TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = dns,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB;

    dns->loop = loop;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        dns->sockets[i] = (struct socket_watch){.watch = LOOP_WATCH_NONE, .dns = dns};
    }
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        dns->entries[i].dns = dns;
        list_init(&dns->entries[i].waiters);
    }
    int rc = ares_library_init(ARES_LIB_INIT_ALL);
    if (rc == ARES_SUCCESS) {
        rc = ares_init_options(&dns->channel, &options, mask);
    }
    if (rc != ARES_SUCCESS) {
        (void)err_set(err, "cannot set up name resolution: %s", ares_strerror(rc));
        free(dns);
        return NULL;
    }
    return dns;
}

void dns_free(struct dns *dns)
{
    if (dns == NULL) {
        return;
    }
    ares_destroy(dns->channel);
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        loop_timer_stop(dns->loop, &dns->entries[i].timer);
    }
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        loop_unwatch(dns->loop, &dns->sockets[i].watch);
    }
    loop_timer_stop(dns->loop, &dns->timer);
    free(dns->hosts);
    free(dns);
}

/* ---- configuration ---- */

/* c-ares refuses new servers while it asks the old ones. */
static void apply_servers(struct dns *dns)
{
    if (dns->servers_wait && dns->asked == 0) {
        dns->servers_wait = false;
        (void)ares_set_servers_csv(dns->channel, dns->servers);
    }
}

static struct str next_word(struct str *line)
{
    size_t at = 0;

    while (line->len > 0 && (line->data[0] == ' ' || line->data[0] == '\t')) {
        *line = str_slice(*line, 1, line->len);
    }
    while (at < line->len && line->data[at] != ' ' && line->data[at] != '\t' &&
           line->data[at] != '\r' && line->data[at] != '#') {
        at++;
    }
    struct str word = str_slice(*line, 0, at);
    *line = at < line->len && line->data[at] == '#' ? STR_NONE : str_slice(*line, at, line->len);
    return word;
}

static bool parse_address(struct str text, struct sockaddr_storage *ret)
{
    char copy[INET6_ADDRSTRLEN];
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, copy, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof(v4));
        return true;
    }
    if (inet_pton(AF_INET6, copy, &v6.sin6_addr) == 1) {
        memcpy(ret, &v6, sizeof(v6));
        return true;
    }
    return false;
}

static void read_servers(struct dns *dns, struct str resolv_conf)
{
    size_t used = 0;
    unsigned count = 0;

    dns->servers[0] = '\0';
    while (resolv_conf.len > 0 && count < SERVERS_MAX) {
        struct str line = str_take_until(&resolv_conf, '\n');
        struct sockaddr_storage address;
        if (!str_equal(next_word(&line), STR("nameserver"))) {
            continue;
        }
        struct str server = next_word(&line);
        if (parse_address(server, &address)) {
            int len = snprintf(dns->servers + used, sizeof(dns->servers) - used, "%s%.*s",
                               count == 0 ? "" : ",", STR_FMT(server));
            used += len > 0 ? (size_t)len : 0;
            count++;
        }
    }
    if (count == 0) {
        (void)snprintf(dns->servers, sizeof(dns->servers), "127.0.0.1");
    }
}

void dns_configure(struct dns *dns, struct str resolv_conf, struct str hosts)
{
    free(dns->hosts);
    dns->hosts = mem_copy_str(hosts);
    read_servers(dns, resolv_conf);
    dns->servers_wait = true;
    apply_servers(dns);
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        dns->entries[i].expires_ms = 0;
    }
}

/* ---- what needs no question ---- */

static void add_address(struct dns_answer *answer, const struct sockaddr_storage *address)
{
    if (answer->count < DNS_ADDRESSES_MAX) {
        answer->addresses[answer->count++] = *address;
    }
}

static bool line_names(struct str line, struct str host)
{
    struct str word = next_word(&line);

    while (word.len > 0) {
        if (str_equal_nocase(word, host)) {
            return true;
        }
        word = next_word(&line);
    }
    return false;
}

static bool find_in_hosts(const struct dns *dns, struct str host, struct dns_answer *ret)
{
    struct str rest = str_from(dns->hosts);

    ret->count = 0;
    while (rest.len > 0) {
        struct str line = str_take_until(&rest, '\n');
        struct sockaddr_storage address;
        if (parse_address(next_word(&line), &address) && line_names(line, host)) {
            add_address(ret, &address);
        }
    }
    return ret->count > 0;
}

/* RFC 6761: never asked of a server, whatever the hosts file says or does not. */
static bool is_localhost(struct str host)
{
    return str_equal_nocase(host, STR("localhost")) ||
           (host.len > 10 &&
            str_equal_nocase(str_slice(host, host.len - 10, host.len), STR(".localhost")));
}

static void localhost(struct dns_answer *ret)
{
    struct sockaddr_storage address;

    ret->count = 0;
    (void)parse_address(STR("127.0.0.1"), &address);
    add_address(ret, &address);
    (void)parse_address(STR("::1"), &address);
    add_address(ret, &address);
}

/* ---- asking ---- */

static void tell_waiters(struct entry *entry, const struct dns_answer *answer, const char *why)
{
    struct list waiting;

    if (list_empty(&entry->waiters)) {
        return;
    }
    /* Onto a head of our own: a waiter may ask again. */
    list_init(&waiting);
    waiting.next = entry->waiters.next;
    waiting.prev = entry->waiters.prev;
    waiting.next->prev = &waiting;
    waiting.prev->next = &waiting;
    list_init(&entry->waiters);
    while (!list_empty(&waiting)) {
        struct dns_waiter *waiter = LIST_THING(waiting.next, struct dns_waiter, link);
        list_remove(&waiter->link);
        waiter->done(waiter->ctx, answer, why);
    }
}

static void keep_answer(struct entry *entry, const struct ares_addrinfo *info)
{
    int ttl = TTL_MAX_S;

    entry->answer.count = 0;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL; node = node->ai_next) {
        struct sockaddr_storage address = {0};
        if (node->ai_addrlen <= sizeof(address)) {
            memcpy(&address, node->ai_addr, node->ai_addrlen);
            add_address(&entry->answer, &address);
        }
        if (node->ai_ttl < ttl) {
            ttl = node->ai_ttl < TTL_MIN_S ? TTL_MIN_S : node->ai_ttl;
        }
    }
    entry->expires_ms = loop_now_ms(entry->dns->loop) + (uint64_t)ttl * 1000;
}

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
    struct entry *entry = ctx;
    struct dns *dns = entry->dns;

    (void)timeouts;
    if (status == ARES_EDESTRUCTION) {
        return;
    }
    dns->asked--;
    entry->asked = false;
    loop_timer_stop(dns->loop, &entry->timer);
    bool found = status == ARES_SUCCESS && info != NULL && info->nodes != NULL;
    if (found) {
        keep_answer(entry, info);
    }
    if (info != NULL) {
        ares_freeaddrinfo(info);
    }
    struct dns_answer answer = entry->answer; /* the entry may be taken for another meanwhile */
    bool late = entry->late;
    entry->late = false;
    apply_servers(dns);
    if (!late) {
        tell_waiters(entry, found ? &answer : NULL,
                     status == ARES_SUCCESS ? "the name has no address" : ares_strerror(status));
    }
}

static void on_late(void *ctx)
{
    struct entry *entry = ctx;

    entry->late = true;
    tell_waiters(entry, NULL, "no answer from the name servers");
}

static struct entry *find_entry(struct dns *dns, struct str host)
{
    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        if (str_equal_nocase(str_from(dns->entries[i].host), host)) {
            return &dns->entries[i];
        }
    }
    return NULL;
}

/* A free entry, or the one that expires first among those that are not asked for. */
static struct entry *take_entry(struct dns *dns, struct str host)
{
    struct entry *best = NULL;

    for (size_t i = 0; i < ENTRIES_MAX; i++) {
        struct entry *entry = &dns->entries[i];
        if (!entry->asked && list_empty(&entry->waiters) &&
            (best == NULL || entry->expires_ms < best->expires_ms)) {
            best = entry;
        }
    }
    if (best != NULL) {
        memcpy(best->host, host.data, host.len);
        best->host[host.len] = '\0';
        best->expires_ms = 0;
        best->answer.count = 0;
        best->late = false;
    }
    return best;
}

static void ask(struct entry *entry)
{
    struct dns *dns = entry->dns;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    entry->asked = true;
    entry->late = false;
    dns->asked++;
    loop_timer_set(dns->loop, &entry->timer, LIMIT_RESOLVE_MS, on_late, entry);
    ares_getaddrinfo(dns->channel, entry->host, NULL, &hints, on_answer, entry);
    set_timer(dns);
}

enum dns_result dns_resolve(struct dns *dns, struct str host, struct dns_waiter *waiter,
                            struct dns_answer *ret, const char **ret_why)
{
    struct sockaddr_storage address;

    if (parse_address(host, &address)) {
        ret->count = 0;
        add_address(ret, &address);
        return DNS_READY;
    }
    if (host.len == 0 || host.len > HOST_MAX || !url_host_is_name(host)) {
        *ret_why = "not the name of a host";
        return DNS_FAILED;
    }
    if (dns->hosts != NULL && find_in_hosts(dns, host, ret)) {
        return DNS_READY;
    }
    if (is_localhost(host)) {
        localhost(ret);
        return DNS_READY;
    }
    struct entry *entry = find_entry(dns, host);
    if (entry != NULL && entry->expires_ms > loop_now_ms(dns->loop)) {
        *ret = entry->answer;
        return DNS_READY;
    }
    if (entry == NULL) {
        entry = take_entry(dns, host);
    }
    if (entry == NULL || (entry->asked && entry->late)) {
        *ret_why = "no answer from the name servers";
        return DNS_FAILED;
    }
    list_init(&waiter->link);
    list_add(&entry->waiters, &waiter->link);
    if (!entry->asked) {
        ask(entry);
    }
    /* c-ares may have called back at once. */
    return DNS_WAIT;
}

void dns_forget(struct dns_waiter *waiter)
{
    if (waiter->link.next != NULL) {
        list_remove(&waiter->link);
    }
}
