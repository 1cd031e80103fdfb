/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that may forget, sector by sector and in any order, whatever was written since the file
 * was last synchronised; that may be full for a while; and whose fsync may fail.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

enum { SHM_REGIONS = 64, PAGE_SECTORS = 4096 / SECTOR_BYTES };

struct handle {
    sqlite3_file base;
    struct sim_file *file;
    int last_errno;
};

static int connections;        /* with the database */
static void *shm[SHM_REGIONS]; /* of this life: after a crash SQLite makes it anew from the log */

static struct sim_file *file_of(sqlite3_file *file)
{
    return ((struct handle *)file)->file;
}

static void mark(struct sim_file *file, size_t from, size_t to)
{
    for (size_t i = from / SECTOR_BYTES; i * SECTOR_BYTES < to; i++) {
        file->dirty[i] = true;
    }
}

static int disk_close(sqlite3_file *file)
{
    connections -= file_of(file) == &world->files[0];
    return SQLITE_OK;
}

static int disk_read(sqlite3_file *handle, void *to, int len, sqlite3_int64 at)
{
    const struct sim_file *file = file_of(handle);
    size_t from = (size_t)at, there = from < file->size ? file->size - from : 0;
    size_t count = there < (size_t)len ? there : (size_t)len;

    memcpy(to, file->now + from, count);
    memset((char *)to + count, 0, (size_t)len - count);
    return count == (size_t)len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static bool no_room(void)
{
    if (world->writes_to_full > 1) {
        world->writes_to_full--;
        return false;
    }
    if (world->writes_to_full == 0) {
        return false;
    }
    if (world->full_writes-- > 0) {
        world->counts[COUNT_FULL]++;
        return true;
    }
    world->writes_to_full = world->full_writes = 0;
    return false;
}

static int disk_write(sqlite3_file *handle, const void *bytes, int len, sqlite3_int64 at)
{
    struct sim_file *file = file_of(handle);
    size_t from = (size_t)at, to = from + (size_t)len;

    if (no_room()) {
        ((struct handle *)handle)->last_errno = ENOSPC;
        return SQLITE_FULL;
    }
    if (to > FILE_BYTES_MAX) {
        sim_fail("a file larger than the simulation has");
    }
    if (from > file->size) {
        mark(file, file->size, from);
    }
    memcpy(file->now + from, bytes, (size_t)len);
    mark(file, from, to);
    file->size = to > file->size ? to : file->size;
    return SQLITE_OK;
}

static int disk_truncate(sqlite3_file *handle, sqlite3_int64 size)
{
    struct sim_file *file = file_of(handle);

    if ((size_t)size < file->size) {
        memset(file->now + size, 0, file->size - (size_t)size);
        mark(file, (size_t)size, file->size);
        file->size = (size_t)size;
    }
    return SQLITE_OK;
}

static int disk_sync(sqlite3_file *handle, int flags)
{
    struct sim_file *file = file_of(handle);

    (void)flags;
    if (world->syncs_to_broken > 0 && --world->syncs_to_broken == 0) {
        ((struct handle *)handle)->last_errno = EIO;
        world->sync_broke = true;
        return SQLITE_IOERR_FSYNC;
    }
    size_t sectors = (file->size > file->safe_size ? file->size : file->safe_size) / SECTOR_BYTES;
    for (size_t i = 0; i <= sectors && i < FILE_BYTES_MAX / SECTOR_BYTES; i++) {
        if (file->dirty[i]) {
            memcpy(file->safe + i * SECTOR_BYTES, file->now + i * SECTOR_BYTES, SECTOR_BYTES);
            file->dirty[i] = false;
        }
    }
    file->safe_size = file->size;
    return SQLITE_OK;
}

void disk_cut_power(void)
{
    for (int n = 0; n < FILES; n++) {
        struct sim_file *file = &world->files[n];
        size_t most = file->size > file->safe_size ? file->size : file->safe_size;
        size_t least = file->size < file->safe_size ? file->size : file->safe_size;
        /* All, nothing, or each sector by itself. */
        unsigned mood = (unsigned)sim_random(4);
        size_t size = mood == 0 ? file->size
                                : (mood == 1 ? file->safe_size
                                             : least + (size_t)sim_random(most - least + 1));
        for (size_t i = 0; i * SECTOR_BYTES < most; i++) {
            unsigned char *now = file->now + i * SECTOR_BYTES;
            unsigned char *safe = file->safe + i * SECTOR_BYTES;
            bool kept = mood == 0 || (mood > 1 && sim_chance(2));
            if (file->dirty[i] && kept) {
                memcpy(safe, now, SECTOR_BYTES);
            } else if (file->dirty[i]) {
                memcpy(now, safe, SECTOR_BYTES);
            }
            file->dirty[i] = false;
        }
        memset(file->now + size, 0, most - size);
        memset(file->safe + size, 0, most - size);
        file->size = file->safe_size = size;
        file->exists = file->exists || size > 0;
    }
}

static int disk_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    *ret_size = (sqlite3_int64)file_of(file)->size;
    return SQLITE_OK;
}

/* Everybody may, in turn; but nobody alone while there are two, or the one that goes would tidy up
 * behind the other. */
static int disk_lock(sqlite3_file *file, int level)
{
    (void)file;
    return level == SQLITE_LOCK_EXCLUSIVE && connections > 1 ? SQLITE_BUSY : SQLITE_OK;
}

static int disk_check_lock(sqlite3_file *file, int *ret)
{
    (void)file;
    *ret = 0;
    return SQLITE_OK;
}

static int disk_control(sqlite3_file *handle, int operation, void *argument)
{
    switch (operation) {
    case SQLITE_FCNTL_LAST_ERRNO:
        *(int *)argument = ((struct handle *)handle)->last_errno;
        return SQLITE_OK;
    case SQLITE_FCNTL_SIZE_HINT:
        if (no_room()) {
            ((struct handle *)handle)->last_errno = ENOSPC;
            return SQLITE_IOERR_WRITE;
        }
        return SQLITE_OK;
    case SQLITE_FCNTL_CHUNK_SIZE:
        return SQLITE_OK;
    default:
        return SQLITE_NOTFOUND;
    }
}

static int disk_sector(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int disk_traits(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int disk_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    (void)file;
    if (region >= SHM_REGIONS) {
        return SQLITE_FULL;
    }
    if (shm[region] == NULL && extend != 0) {
        shm[region] = mem_zeroed((size_t)size);
    }
    *ret = shm[region];
    return SQLITE_OK;
}

static int disk_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    (void)file;
    (void)offset;
    (void)n;
    (void)flags;
    return SQLITE_OK;
}

static void disk_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int disk_shm_unmap(sqlite3_file *file, int delete)
{
    (void)file;
    (void)delete;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = disk_close,
                                           .xRead = disk_read,
                                           .xWrite = disk_write,
                                           .xTruncate = disk_truncate,
                                           .xSync = disk_sync,
                                           .xFileSize = disk_size,
                                           .xLock = disk_lock,
                                           .xUnlock = disk_lock,
                                           .xCheckReservedLock = disk_check_lock,
                                           .xFileControl = disk_control,
                                           .xSectorSize = disk_sector,
                                           .xDeviceCharacteristics = disk_traits,
                                           .xShmMap = disk_shm_map,
                                           .xShmLock = disk_shm_lock,
                                           .xShmBarrier = disk_shm_barrier,
                                           .xShmUnmap = disk_shm_unmap};

static struct sim_file *file_named(const char *path)
{
    size_t len = strlen(path);

    if (len > 4 && strcmp(path + len - 4, "-wal") == 0) {
        return &world->files[1];
    }
    return len > 3 && strcmp(path + len - 3, ".db") == 0 ? &world->files[0] : NULL;
}

static int vfs_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    struct sim_file *found = path == NULL ? NULL : file_named(path);

    (void)vfs;
    file->pMethods = NULL;
    if (found == NULL) {
        return SQLITE_CANTOPEN;
    }
    *(struct handle *)file = (struct handle){.base = {&methods}, .file = found};
    found->exists = true;
    connections += found == &world->files[0];
    if (ret_flags != NULL) {
        *ret_flags = flags;
    }
    return SQLITE_OK;
}

/* The log, when the database is closed in good order; a power cut may bring it back. */
static int vfs_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
    struct sim_file *file = file_named(path);

    (void)vfs;
    (void)sync;
    memset(file->now, 0, file->size);
    mark(file, 0, file->size);
    file->size = 0;
    file->exists = false;
    return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
    const struct sim_file *file = file_named(path);

    (void)vfs;
    (void)flags;
    *ret = file != NULL && file->exists;
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *vfs, const char *path, int len, char *ret)
{
    (void)vfs;
    (void)snprintf(ret, (size_t)len, "%s", path);
    return SQLITE_OK;
}

static int vfs_random(sqlite3_vfs *vfs, int len, char *ret)
{
    (void)vfs;
    for (int i = 0; i < len; i++) {
        ret[i] = (char)sim_random(256);
    }
    return len;
}

static int vfs_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    *ret = 2461000.0;
    return SQLITE_OK;
}

static int vfs_error(sqlite3_vfs *vfs, int len, char *ret)
{
    (void)vfs;
    (void)len;
    (void)ret;
    return errno;
}

void disk_register(void)
{
    static sqlite3_vfs vfs = {.iVersion = 1,
                              .szOsFile = sizeof(struct handle),
                              .mxPathname = 512,
                              .zName = "sim",
                              .xOpen = vfs_open,
                              .xDelete = vfs_delete,
                              .xAccess = vfs_access,
                              .xFullPathname = vfs_full_path,
                              .xRandomness = vfs_random,
                              .xCurrentTime = vfs_time,
                              .xGetLastError = vfs_error};

    (void)sqlite3_vfs_register(&vfs, 1);
}

void disk_load(const char *path)
{
    FILE *from = fopen(path, "rb");
    struct sim_file *file = &world->files[0];

    if (from == NULL) {
        sim_fail("%s cannot be read", path);
    }
    file->size = fread(file->now, 1, FILE_BYTES_MAX, from);
    (void)fclose(from);
    memcpy(file->safe, file->now, file->size);
    file->safe_size = file->size;
    file->exists = true;
}
