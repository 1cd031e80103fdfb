/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/credential.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

struct credentials {
    struct list list; /* the last one used is last */
    size_t count;
};

static int unseal(struct credential *credential, struct str sealed, const struct vault_key *key,
                  struct err *err)
{
    if (vault_key_open(key, sealed, "the stored credential", &credential->memory, err) < 0) {
        return -1;
    }
    if (!wire_decode(&sealed_credential_schema,
                     str_of(credential->memory.data, credential->memory.size), credential->arena,
                     &credential->clear)) {
        return err_set(err, "the stored credential does not decode");
    }
    if (credential->clear.version != credential->version) {
        return err_set(err, "the stored credential is of version %llu, not %llu",
                       (unsigned long long)credential->clear.version,
                       (unsigned long long)credential->version);
    }
    return 0;
}

static int make_scrubber(struct credential *credential, struct err *err)
{
    const struct sealed_credential *clear = &credential->clear;
    struct str secrets[SCRUB_SECRETS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < clear->secret_field_count; i++) {
        for (size_t k = 0; k < clear->field_count; k++) {
            if (!str_equal(clear->fields[k].name, clear->secret_fields[i]) ||
                clear->fields[k].value.len == 0) {
                continue;
            }
            if (count == SCRUB_SECRETS_MAX) {
                return err_set(err, "the credential has more than %d secrets", SCRUB_SECRETS_MAX);
            }
            secrets[count++] = clear->fields[k].value;
        }
    }
    credential->scrubber = scrubber_new(secrets, count, err);
    return credential->scrubber == NULL ? -1 : 0;
}

struct credential *credential_open(uint64_t id, uint64_t version, struct str sealed,
                                   const struct vault_key *key, struct err *err)
{
    struct credential *credential = mem_zeroed(sizeof(*credential));

    credential->id = id;
    credential->version = version;
    credential->references = 1;
    credential->arena = arena_new();
    list_init(&credential->link);
    if (unseal(credential, sealed, key, err) < 0 || make_scrubber(credential, err) < 0) {
        goto fail;
    }
    if (credential->clear.ca_pem.len > 0) {
        credential->tls = tls_context_new_client(credential->clear.ca_pem, err);
        if (credential->tls == NULL) {
            (void)err_prefix(err, "the credential's CA");
            goto fail;
        }
    }
    return credential;
fail:
    credential_release(credential);
    return NULL;
}

struct credential *credential_hold(struct credential *credential)
{
    credential->references++;
    return credential;
}

void credential_release(struct credential *credential)
{
    if (credential == NULL) {
        return;
    }
    assert(credential->references > 0);
    if (--credential->references > 0) {
        return;
    }
    scrubber_free(credential->scrubber);
    tls_context_free(credential->tls);
    arena_free(credential->arena);
    secret_clear(&credential->memory);
    free(credential);
}

struct credentials *credentials_new(void)
{
    struct credentials *cache = mem_zeroed(sizeof(*cache));

    list_init(&cache->list);
    return cache;
}

static void drop(struct credentials *cache, struct credential *credential)
{
    list_remove(&credential->link);
    cache->count--;
    credential_release(credential);
}

void credentials_free(struct credentials *cache)
{
    if (cache == NULL) {
        return;
    }
    struct list *oldest;
    while ((oldest = list_first(&cache->list)) != NULL) {
        drop(cache, LIST_THING(oldest, struct credential, link));
    }
    free(cache);
}

static struct credential *find(struct credentials *cache, uint64_t id)
{
    for (struct list *link = cache->list.prev; link != &cache->list; link = link->prev) {
        struct credential *credential = LIST_THING(link, struct credential, link);
        if (credential->id == id) {
            return credential;
        }
    }
    return NULL;
}

struct credential *credentials_find(struct credentials *cache, uint64_t id, uint64_t version)
{
    struct credential *found = find(cache, id);

    if (found == NULL || found->version != version) {
        return NULL;
    }
    list_remove(&found->link);
    list_add(&cache->list, &found->link);
    return credential_hold(found);
}

void credentials_add(struct credentials *cache, struct credential *credential)
{
    struct credential *older = find(cache, credential->id);

    list_add(&cache->list, &credential_hold(credential)->link);
    cache->count++;
    if (older != NULL) {
        drop(cache, older);
    } else if (cache->count > CREDENTIALS_CACHED) {
        drop(cache, LIST_THING(list_first(&cache->list), struct credential, link));
    }
}

void credentials_forget(struct credentials *cache, uint64_t id)
{
    struct credential *found = find(cache, id);

    if (found != NULL) {
        drop(cache, found);
    }
}
