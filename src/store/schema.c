/* SPDX-License-Identifier: Apache-2.0 */
#include "store/schema.h"

/*
 * Columns stand in the order of the message's fields (a test compares them with its wire schema),
 * and have their names; what they mean is said once, in ipc/message.h.
 *
 * `checksum` is row_checksum() of the row.  Money is whole nano-dollars.  Days count from 1970.
 *
 * mark       one row: the highest time that any row ever had, so that a clock set back is noticed
 * meta       names and values: public keys, secrets made at init, high-water marks of the judge
 * operators  the tokens of operators, as digests
 * keys       every vault key ever issued; what a person looks for is indexed
 * windows    one budget on one day; day -1 is the whole life
 * holds      money set aside, and what became of it
 * idempotency   the digest of what a client calls "the same request", and its hold
 * credentials   `sealed` opens with the vault's key only; the checksum leaves it out
 * audit      the log, in blocks of consecutive rows (store/block.h): numbers and time of the first
 *            row, number of the last.  `segment` is the month, 202611, by which it will be dropped
 * audit_keys    the blocks in which a key has rows
 * spend      what was posted, summed: maintained with the audit rows, in the same transaction
 * heads      signed heads of the audit's chain
 */
const char *const schema_create[] = {
    "CREATE TABLE mark(one INTEGER PRIMARY KEY CHECK (one = 1),"
    " newest_at_ms INTEGER NOT NULL) STRICT",

    "CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID",

    "CREATE TABLE operators(token INTEGER PRIMARY KEY, name TEXT NOT NULL, token_digest BLOB,"
    " role INTEGER NOT NULL, bounds TEXT NOT NULL, created_at_ms INTEGER NOT NULL,"
    " ended_at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT",

    "CREATE TABLE tenants(name TEXT PRIMARY KEY, daily_cap INTEGER NOT NULL,"
    " total_cap INTEGER NOT NULL, changed_at_ms INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID",

    "CREATE TABLE prices(vendor TEXT NOT NULL, name TEXT NOT NULL, match TEXT NOT NULL,"
    " price INTEGER NOT NULL, source TEXT NOT NULL, as_of_ms INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, PRIMARY KEY (vendor, name, match)) STRICT, WITHOUT ROWID",

    "CREATE TABLE stops(stop INTEGER PRIMARY KEY, kind TEXT NOT NULL, value TEXT NOT NULL,"
    " reason TEXT NOT NULL, created_by TEXT NOT NULL, created_at_ms INTEGER NOT NULL,"
    " ended_at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT",

    "CREATE TABLE credentials(credential INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " vendor TEXT NOT NULL, version INTEGER NOT NULL, sealed BLOB NOT NULL,"
    " upstream TEXT NOT NULL, live_mode INTEGER NOT NULL, allow_private INTEGER NOT NULL,"
    " public_fields TEXT NOT NULL, secret_hint TEXT NOT NULL, created_at_ms INTEGER NOT NULL,"
    " rotated_at_ms INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT",

    "CREATE TABLE keys(key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, token_digest BLOB,"
    " token_hint TEXT NOT NULL, policy BLOB NOT NULL, policy_version INTEGER NOT NULL,"
    " parent INTEGER NOT NULL, credential INTEGER NOT NULL, status INTEGER NOT NULL,"
    " created_at_ms INTEGER NOT NULL, expires_at_ms INTEGER NOT NULL,"
    " ended_at_ms INTEGER NOT NULL, created_by TEXT NOT NULL, label TEXT NOT NULL,"
    " vendor TEXT NOT NULL, tenant TEXT NOT NULL, run_id TEXT NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT",
    "CREATE INDEX keys_alive ON keys(key) WHERE status < 2",
    "CREATE INDEX keys_ended ON keys(ended_at_ms) WHERE status >= 2",
    "CREATE INDEX keys_label ON keys(label) WHERE label != ''",
    "CREATE INDEX keys_tenant ON keys(tenant) WHERE tenant != ''",
    "CREATE INDEX keys_run ON keys(run_id) WHERE run_id != ''",

    "CREATE TABLE windows(level INTEGER NOT NULL, owner TEXT NOT NULL, day INTEGER NOT NULL,"
    " posted INTEGER NOT NULL, held INTEGER NOT NULL, told INTEGER NOT NULL,"
    " overrun INTEGER NOT NULL, checksum INTEGER NOT NULL,"
    " PRIMARY KEY (day, level, owner)) STRICT, WITHOUT ROWID",
    "CREATE INDEX windows_held ON windows(day) WHERE held != 0",

    "CREATE TABLE holds(hold INTEGER PRIMARY KEY, \"grant\" INTEGER NOT NULL,"
    " key INTEGER NOT NULL, day INTEGER NOT NULL, state INTEGER NOT NULL, held INTEGER NOT NULL,"
    " posted INTEGER NOT NULL, opened_at_ms INTEGER NOT NULL, changed_at_ms INTEGER NOT NULL,"
    " sent INTEGER NOT NULL, vendor TEXT NOT NULL, operation TEXT NOT NULL, object TEXT NOT NULL,"
    " currency TEXT NOT NULL, amount_minor INTEGER NOT NULL, idempotency BLOB,"
    " estimated INTEGER NOT NULL, presumed INTEGER NOT NULL, overrun INTEGER NOT NULL,"
    " credential INTEGER NOT NULL, account TEXT NOT NULL, vendor_key TEXT NOT NULL,"
    " base INTEGER NOT NULL, rate INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT",
    "CREATE INDEX holds_open ON holds(hold) WHERE state < 3",

    "CREATE TABLE idempotency(scope BLOB PRIMARY KEY, body BLOB, hold INTEGER NOT NULL,"
    " first_at_ms INTEGER NOT NULL, found_minor INTEGER NOT NULL, currency TEXT NOT NULL,"
    " checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX idempotency_time ON idempotency(first_at_ms)",

    "CREATE TABLE heads(sequence INTEGER PRIMARY KEY, head BLOB, at_ms INTEGER NOT NULL,"
    " signature BLOB NOT NULL, public_key BLOB NOT NULL) STRICT",

    "CREATE TABLE audit(first INTEGER PRIMARY KEY, last INTEGER NOT NULL,"
    " at_ms INTEGER NOT NULL, segment INTEGER NOT NULL, format INTEGER NOT NULL,"
    " rows BLOB NOT NULL) STRICT",
    "CREATE TABLE audit_keys(key INTEGER NOT NULL, first INTEGER NOT NULL,"
    " PRIMARY KEY (key, first)) STRICT, WITHOUT ROWID",

    "CREATE TABLE spend(day INTEGER NOT NULL, key INTEGER NOT NULL, vendor TEXT NOT NULL,"
    " operation_class TEXT NOT NULL, live_mode INTEGER NOT NULL, posted INTEGER NOT NULL,"
    " requests INTEGER NOT NULL, denied INTEGER NOT NULL,"
    " PRIMARY KEY (day, key, vendor, operation_class, live_mode)) STRICT, WITHOUT ROWID",
    NULL};

/*
 * Keys to load: those alive, those with money still moving, those that ended in the last week (so
 * that their holders are told "revoked", not "unknown"), and the ancestors of all these, since a
 * child without its parent's policy would be allowed more.
 */
#define KEYS_WANTED                                                                                \
    "WITH RECURSIVE recent(key) AS (SELECT key FROM keys WHERE status >= 2"                        \
    " AND ended_at_ms >= (SELECT newest_at_ms FROM mark) - 604800000"                              \
    " ORDER BY ended_at_ms DESC LIMIT 200000),"                                                    \
    " wanted(key) AS (SELECT key FROM keys WHERE status < 2"                                       \
    " UNION SELECT key FROM holds WHERE state < 3"                                                 \
    " UNION SELECT key FROM recent"                                                                \
    " UNION SELECT parent FROM wanted CROSS JOIN keys USING (key) WHERE parent != 0) "

#define IDEMPOTENCY_WANTED " ORDER BY first_at_ms DESC LIMIT 500000"

const struct schema_row schema_rows[] = {
    {.type = MESSAGE_ROW_META,
     .table = "meta",
     .checksum = true,
     .put = "INSERT INTO meta VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " value = excluded.value, checksum = excluded.checksum",
     .load = "SELECT * FROM meta ORDER BY name"},
    {.type = MESSAGE_ROW_OPERATOR,
     .table = "operators",
     .checksum = true,
     .put = "INSERT OR REPLACE INTO operators VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
     .load = "SELECT * FROM operators ORDER BY token"},
    {.type = MESSAGE_ROW_TENANT,
     .table = "tenants",
     .checksum = true,
     .put = "INSERT OR REPLACE INTO tenants VALUES (?, ?, ?, ?, ?)",
     .load = "SELECT * FROM tenants ORDER BY name"},
    {.type = MESSAGE_ROW_PRICE,
     .table = "prices",
     .checksum = true,
     .put = "INSERT OR REPLACE INTO prices VALUES (?, ?, ?, ?, ?, ?, ?)",
     .load = "SELECT * FROM prices ORDER BY vendor, name, match"},
    {.type = MESSAGE_ROW_STOP,
     .table = "stops",
     .checksum = true,
     .put = "INSERT OR REPLACE INTO stops VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
     .load = "SELECT * FROM stops ORDER BY stop"},
    /* Without a sealed box: the one that is there stays. */
    {.type = MESSAGE_ROW_CREDENTIAL,
     .table = "credentials",
     .checksum = true,
     .put = "INSERT INTO credentials VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (credential) DO UPDATE SET name = excluded.name,"
            " vendor = excluded.vendor, version = excluded.version,"
            " sealed = iif(length(excluded.sealed) = 0, sealed, excluded.sealed),"
            " upstream = excluded.upstream, live_mode = excluded.live_mode,"
            " allow_private = excluded.allow_private, public_fields = excluded.public_fields,"
            " secret_hint = excluded.secret_hint, created_at_ms = excluded.created_at_ms,"
            " rotated_at_ms = excluded.rotated_at_ms, checksum = excluded.checksum",
     .load = "SELECT * FROM credentials ORDER BY credential"},
    {.type = MESSAGE_ROW_CREDENTIAL_GONE,
     .table = "credentials",
     .put = "DELETE FROM credentials WHERE credential = ?"},
    {.type = MESSAGE_ROW_KEY,
     .table = "keys",
     .checksum = true,
     .put = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET id = excluded.id,"
            " token_digest = excluded.token_digest, token_hint = excluded.token_hint, policy = "
            "excluded.policy,"
            " policy_version = excluded.policy_version, parent = excluded.parent,"
            " credential = excluded.credential, status = excluded.status,"
            " created_at_ms = excluded.created_at_ms, expires_at_ms = excluded.expires_at_ms,"
            " ended_at_ms = excluded.ended_at_ms, created_by = excluded.created_by,"
            " label = excluded.label, vendor = excluded.vendor, tenant = excluded.tenant,"
            " run_id = excluded.run_id, checksum = excluded.checksum",
     .load = KEYS_WANTED "SELECT * FROM keys WHERE key IN (SELECT key FROM wanted) ORDER BY key"},
    /* Those of the last days; those with money held; the lives of all that is loaded. */
    {.type = MESSAGE_ROW_WINDOW,
     .table = "windows",
     .checksum = true,
     .put = "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (day, level, owner) DO UPDATE SET posted = excluded.posted,"
            " held = excluded.held, told = excluded.told, overrun = excluded.overrun,"
            " checksum = excluded.checksum",
     .load =
         KEYS_WANTED "SELECT * FROM windows WHERE day >= ?1"
                     " UNION ALL SELECT * FROM windows WHERE held != 0 AND day BETWEEN 0 AND ?1 - 1"
                     " UNION ALL SELECT windows.* FROM wanted CROSS JOIN keys USING (key)"
                     " CROSS JOIN windows ON day = -1 AND level = 0 AND owner = keys.id"
                     " UNION ALL SELECT * FROM windows WHERE day = -1 AND level > 0"},
    {.type = MESSAGE_ROW_HOLD,
     .table = "holds",
     .checksum = true,
     .put = "INSERT INTO holds VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (hold) DO UPDATE SET \"grant\" = excluded.\"grant\", key = excluded.key,"
            " day = excluded.day, state = excluded.state, held = excluded.held,"
            " posted = excluded.posted, opened_at_ms = excluded.opened_at_ms,"
            " changed_at_ms = excluded.changed_at_ms, sent = excluded.sent,"
            " vendor = excluded.vendor, operation = excluded.operation, object = excluded.object,"
            " currency = excluded.currency, amount_minor = excluded.amount_minor,"
            " idempotency = excluded.idempotency, estimated = excluded.estimated,"
            " presumed = excluded.presumed, overrun = excluded.overrun,"
            " credential = excluded.credential, account = excluded.account,"
            " vendor_key = excluded.vendor_key, base = excluded.base, rate = excluded.rate,"
            " checksum = excluded.checksum",
     /* Those with money in them, and those voided under a record: a repeat gets another.  A repeat
      * under a hold that is not there is under a posted one. */
     .load = "SELECT * FROM holds WHERE state != 3 AND hold IN"
             " (SELECT hold FROM holds WHERE state < 3"
             " UNION SELECT hold FROM (SELECT hold FROM idempotency" IDEMPOTENCY_WANTED "))"
             " ORDER BY hold"},
    {.type = MESSAGE_ROW_HOLD_GONE, .table = "holds", .put = "DELETE FROM holds WHERE hold = ?"},
    {.type = MESSAGE_ROW_IDEMPOTENCY,
     .table = "idempotency",
     .checksum = true,
     .put = "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scope) DO UPDATE SET"
            " body = excluded.body, hold = excluded.hold, first_at_ms = excluded.first_at_ms,"
            " found_minor = excluded.found_minor, currency = excluded.currency,"
            " checksum = excluded.checksum",
     .load = "SELECT * FROM idempotency" IDEMPOTENCY_WANTED},
    {.type = MESSAGE_ROW_HEAD,
     .table = "heads",
     .put = "INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?, ?)",
     .load = "SELECT * FROM heads ORDER BY sequence DESC LIMIT 1"},
};
const size_t schema_row_count = sizeof(schema_rows) / sizeof(schema_rows[0]);
