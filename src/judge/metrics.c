/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "policy/usd.h"

enum { VENDORS_MAX = CONFIG_PACKS_MAX + 1, BOUNDS = 16 };

static const uint64_t bounds_us[BOUNDS] = {50,     100,     250,     500,     1000,   2500,
                                           5000,   10000,   25000,   50000,   100000, 250000,
                                           500000, 1000000, 5000000, 30000000};

struct histogram {
    uint64_t counts[BOUNDS + 1]; /* the last is above all bounds */
    uint64_t sum_us, count;
};

struct vendor {
    char name[LIMIT_NAME_BYTES + 1]; /* empty: refused before the vendor was known */
    uint64_t verdicts[CLASS_COUNT][VERDICT_COUNT];
    int64_t spent;
};

struct metrics {
    struct vendor vendors[VENDORS_MAX];
    size_t vendor_count;
    struct histogram added, upstream, commit;
    uint64_t scrubbed;
};

struct metrics *metrics_new(void)
{
    return mem_zeroed(sizeof(struct metrics));
}

static struct vendor *vendor_of(struct metrics *metrics, struct str name)
{
    for (size_t i = 0; i < metrics->vendor_count; i++) {
        if (str_equal(str_from(metrics->vendors[i].name), name)) {
            return &metrics->vendors[i];
        }
    }
    if (metrics->vendor_count == VENDORS_MAX) {
        return &metrics->vendors[VENDORS_MAX - 1]; /* packs that came and went */
    }
    struct vendor *vendor = &metrics->vendors[metrics->vendor_count++];
    (void)snprintf(vendor->name, sizeof(vendor->name), "%.*s", STR_FMT(name));
    return vendor;
}

static void observe(struct histogram *histogram, uint64_t us)
{
    size_t i = 0;

    while (i < BOUNDS && us > bounds_us[i]) {
        i++;
    }
    histogram->counts[i]++;
    histogram->sum_us += us;
    histogram->count++;
}

void metrics_verdict(struct metrics *metrics, const struct decision *decision)
{
    struct str name = decision->pack == NULL ? STR_NONE : decision->pack->vendor;

    vendor_of(metrics, name)->verdicts[decision->class][decision->verdict]++;
}

void metrics_done(struct metrics *metrics, const struct request *request)
{
    const struct message_outcome *outcome = &request->outcome;
    uint64_t upstream = outcome->first_byte_us + outcome->connect_us;

    metrics->scrubbed += outcome->scrubbed;
    if (outcome->outcome != OUTCOME_ANSWERED) {
        return;
    }
    observe(&metrics->upstream, outcome->first_byte_us);
    if (request->done.first_byte_us > 0) {
        uint64_t whole = request->done.first_byte_us;
        observe(&metrics->added, whole > upstream ? whole - upstream : 0);
    }
}

void metrics_commit(struct metrics *metrics, uint64_t commit_us)
{
    observe(&metrics->commit, commit_us);
}

void metrics_spent(struct metrics *metrics, struct str vendor, int64_t nano)
{
    if (nano > 0) {
        vendor_of(metrics, vendor)->spent += nano;
    }
}

/* ---- the text ---- */

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    (void)buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_histogram(struct buf *out, const char *name, const char *help,
                            const struct histogram *histogram)
{
    uint64_t sum = 0;

    head(out, name, "histogram", help);
    for (size_t i = 0; i < BOUNDS; i++) {
        sum += histogram->counts[i];
        (void)buf_addf(out, "%s_bucket{le=\"%" PRIu64 ".%06" PRIu64 "\"} %" PRIu64 "\n", name,
                       bounds_us[i] / 1000000, bounds_us[i] % 1000000, sum);
    }
    (void)buf_addf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, histogram->count);
    (void)buf_addf(out, "%s_sum %" PRIu64 ".%06" PRIu64 "\n%s_count %" PRIu64 "\n", name,
                   histogram->sum_us / 1000000, histogram->sum_us % 1000000, name,
                   histogram->count);
}

static void write_verdicts(struct buf *out, const struct vendor *vendor)
{
    for (int class = 0; class < CLASS_COUNT; class ++) {
        for (int verdict = 0; verdict < VERDICT_COUNT; verdict++) {
            uint64_t count = vendor->verdicts[class][verdict];
            if (count > 0) {
                (void)buf_addf(
                    out,
                    "keybrake_requests_total{vendor=\"%s\",class=\"%s\",verdict=\"%.*s\"} "
                    "%" PRIu64 "\n",
                    vendor->name, operation_class_name((enum operation_class) class),
                    STR_FMT(verdict_code((enum verdict)verdict)), count);
            }
        }
    }
}

static void write_number(struct buf *out, const char *name, const char *type, const char *help,
                         uint64_t value)
{
    head(out, name, type, help);
    (void)buf_addf(out, "%s %" PRIu64 "\n", name, value);
}

static void write_peer(struct buf *out, const struct peer *peer, const char *name, uint64_t value)
{
    (void)buf_addf(out, "%s{process=\"%s\",index=\"%u\"} %" PRIu64 "\n", name,
                   role_name(peer->role), peer->index, value);
}

static void write_peers(const struct judge *judge, struct buf *out)
{
    head(out, "keybrake_connections", "gauge", "Live connections, of clients and to vendors.");
    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        const struct peer *peer = LIST_THING(at, struct peer, link);
        if (peer->role == ROLE_GATE) {
            write_peer(out, peer, "keybrake_connections", peer->gate_stats.connections);
        } else if (peer->role == ROLE_VAULT) {
            write_peer(out, peer, "keybrake_connections",
                       peer->vault_stats.connections_busy + peer->vault_stats.connections_idle);
        }
    }
    head(out, "keybrake_ipc_queue_bytes", "gauge", "Bytes that wait for a process.");
    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        const struct peer *peer = LIST_THING(at, struct peer, link);
        write_peer(out, peer, "keybrake_ipc_queue_bytes", channel_queued(peer->channel));
    }
    head(out, "keybrake_buffered_bytes", "gauge", "Bodies and windows that a gate holds.");
    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        const struct peer *peer = LIST_THING(at, struct peer, link);
        if (peer->role == ROLE_GATE) {
            write_peer(out, peer, "keybrake_buffered_bytes", peer->gate_stats.buffered_bytes);
        }
    }
}

void metrics_write(const struct judge *judge, struct buf *out)
{
    const struct metrics *metrics = judge->metrics;

    head(out, "keybrake_requests_total", "counter", "Requests by vendor, class and verdict.");
    for (size_t i = 0; i < metrics->vendor_count; i++) {
        write_verdicts(out, &metrics->vendors[i]);
    }
    head(out, "keybrake_spend_usd_total", "counter", "Dollars posted since the start, by vendor.");
    for (size_t i = 0; i < metrics->vendor_count; i++) {
        (void)buf_addf(out, "keybrake_spend_usd_total{vendor=\"%s\"} %s\n",
                       metrics->vendors[i].name, usd_text(metrics->vendors[i].spent).text);
    }
    write_histogram(out, "keybrake_added_latency_seconds",
                    "Head complete to first answer byte, less what the vendor took.",
                    &metrics->added);
    write_histogram(out, "keybrake_upstream_latency_seconds",
                    "First byte sent to the vendor to its first answer byte.", &metrics->upstream);
    write_histogram(out, "keybrake_commit_latency_seconds", "One durable batch of rows.",
                    &metrics->commit);
    write_peers(judge, out);
    write_number(out, "keybrake_scrubbed_total", "counter",
                 "Places in answers where the real key stood, and was overwritten.",
                 metrics->scrubbed);
    write_number(out, "keybrake_keys_live", "gauge", "Vault keys that have not ended.",
                 judge->live_keys);
    write_number(out, "keybrake_requests_open", "gauge", "Requests under way.",
                 judge->open_requests);
    write_number(out, "keybrake_holds_open", "gauge", "Amounts set aside.", judge->open_holds);
    write_number(out, "keybrake_journal_bytes", "gauge", "Rows that are not durable yet.",
                 buf_len(&judge->record.journal));
    write_number(out, "keybrake_clock_suspect", "gauge", "1 while money waits for the clock.",
                 judge->clock.suspect ? 1 : 0);
}
