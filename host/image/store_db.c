/* SPDX-License-Identifier: Apache-2.0 */
/* The store's index: SQLite with a versioned schema. */
#include "host/image/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

#define BUSY_TIMEOUT_MS 60000

/*
 * One step for each version of the schema; PRAGMA user_version says how many are done. Never
 * change a step that was released: add one.
 */
static const char *const migrations[] = {
    "CREATE TABLE images ("
    " id TEXT PRIMARY KEY, name TEXT NOT NULL, archive_size INTEGER NOT NULL,"
    " imported INTEGER NOT NULL, used INTEGER NOT NULL, origin TEXT NOT NULL, signer TEXT,"
    " dependencies INTEGER NOT NULL,"
    " size INTEGER NOT NULL, ino INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    "CREATE INDEX images_by_name ON images(name);"
    "CREATE TABLE labels ("
    " image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE, position INTEGER NOT NULL,"
    " name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (image, position)) WITHOUT ROWID;"
    "CREATE TABLE manifests ("
    " image TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE, text BLOB NOT NULL);"
    "CREATE TABLE rendered ("
    " key TEXT PRIMARY KEY, total INTEGER NOT NULL, created INTEGER NOT NULL,"
    " used INTEGER NOT NULL,"
    " size INTEGER NOT NULL, ino INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL"
    ") WITHOUT ROWID;"
    /* The tars behind the index, in order. */
    "CREATE TABLE parts ("
    " key TEXT NOT NULL REFERENCES rendered(key) ON DELETE CASCADE, position INTEGER NOT NULL,"
    " image TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,"
    " PRIMARY KEY (key, position)) WITHOUT ROWID;"
    /* All images that a root was made of, also those of which nothing is left in it. */
    "CREATE TABLE layers ("
    " key TEXT NOT NULL REFERENCES rendered(key) ON DELETE CASCADE, image TEXT NOT NULL,"
    " PRIMARY KEY (key, image)) WITHOUT ROWID;"
    "CREATE INDEX layers_by_image ON layers(image);"
    /* Which root an image with dependencies has, as long as the generation is the same. */
    "CREATE TABLE plans ("
    " image TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE, key TEXT NOT NULL,"
    " generation INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE generation (n INTEGER NOT NULL);"
    "INSERT INTO generation VALUES (0);",
};

void store_stamp_of(const struct stat *st, struct store_stamp *ret)
{
    *ret = (struct store_stamp){
        .size = st->st_size,
        .ino = (int64_t)st->st_ino,
        .mtime_ns = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec,
        .ctime_ns = st->st_ctim.tv_sec * 1000000000LL + st->st_ctim.tv_nsec,
    };
}

bool store_stamp_equal(const struct store_stamp *a, const struct store_stamp *b)
{
    return a->size == b->size && a->ino == b->ino && a->mtime_ns == b->mtime_ns &&
           a->ctime_ns == b->ctime_ns;
}

int store_db_error(struct store *s, const char *doing, struct err *err)
{
    int code = sqlite3_errcode(s->db);
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        return err_set(err, 0,
                       "%s/index.db is damaged (%s); move %s away and fetch the images again",
                       s->dir, sqlite3_errmsg(s->db), s->dir);
    if (code == SQLITE_FULL)
        return store_errnum(
            err, ENOSPC,
            err_set(err, 0, "can't write %s/index.db: no space left on device", s->dir));
    return err_set(err, 0, "can't %s in %s/index.db: %s", doing, s->dir, sqlite3_errmsg(s->db));
}

int store_db_exec(struct store *s, const char *sql, struct err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return store_db_error(s, "write", err);
}

/* What is changed under the lock survives a power failure; a noted use need not. */
int store_db_begin(struct store *s, struct err *err)
{
    return store_db_exec(s, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE", err);
}

int store_db_commit(struct store *s, struct err *err)
{
    if (store_db_exec(s, "COMMIT", err) == 0)
        return 0;
    store_db_rollback(s);
    return -1;
}

void store_db_rollback(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list ap)
{
    int r = SQLITE_OK;
    for (int i = 1; types[i - 1] && r == SQLITE_OK; i++) {
        switch (types[i - 1]) {
        case 't':
            r = sqlite3_bind_text(stmt, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
            break;
        case 'i':
            r = sqlite3_bind_int64(stmt, i, va_arg(ap, int64_t));
            break;
        case 'b': {
            const void *p = va_arg(ap, const void *);
            r = sqlite3_bind_blob64(stmt, i, p, va_arg(ap, size_t), SQLITE_STATIC);
            break;
        }
        default:
            r = SQLITE_MISUSE;
        }
    }
    return r;
}

static sqlite3_stmt *prepare(struct store *s, struct err *err, const char *sql, const char *types,
                             va_list ap)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        bind(stmt, types, ap) == SQLITE_OK)
        return stmt;
    (void)store_db_error(s, "read", err);
    sqlite3_finalize(stmt);
    return NULL;
}

sqlite3_stmt *store_db_prepare(struct store *s, struct err *err, const char *sql, const char *types,
                               ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *stmt = prepare(s, err, sql, types, ap);
    va_end(ap);
    return stmt;
}

int store_db_step(struct store *s, sqlite3_stmt *stmt, struct err *err)
{
    switch (sqlite3_step(stmt)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return store_db_error(s, "read", err);
    }
}

int store_db_run(struct store *s, struct err *err, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    cleanup_stmt sqlite3_stmt *stmt = prepare(s, err, sql, types, ap);
    va_end(ap);
    if (!stmt)
        return -1;
    int r;
    do
        r = store_db_step(s, stmt, err);
    while (r > 0);
    return r;
}

const char *store_db_text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *t = sqlite3_column_text(stmt, column);
    return t ? (const char *)t : "";
}

int store_db_changed(struct store *s, struct err *err)
{
    return store_db_exec(s, "UPDATE generation SET n = n + 1", err);
}

/*
 * The log stays when the last process leaves, and the next one would write behind its end. Once all
 * of it is in the database, its beginning is written to again, which takes no space.
 */
int store_make_room(struct store *s)
{
    return sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL) ==
                   SQLITE_OK
               ? 0
               : -1;
}

static int schema_version(struct store *s, int64_t *ret, struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(s, err, "PRAGMA user_version", "");
    if (!stmt || store_db_step(s, stmt, err) < 0)
        return -1;
    *ret = sqlite3_column_int64(stmt, 0);
    return 0;
}

/* Inside the write lock, as another process may be doing the same. */
static int migrate_locked(struct store *s, struct err *err)
{
    int64_t version;
    if (schema_version(s, &version, err) < 0)
        return -1;
    for (size_t i = (size_t)version; i < ARRAY_SIZE(migrations); i++) {
        cleanup_free char *mark = xasprintf("PRAGMA user_version = %zu", i + 1);
        if (store_db_exec(s, migrations[i], err) < 0 || store_db_exec(s, mark, err) < 0)
            return -1;
    }
    return 0;
}

static int migrate(struct store *s, struct err *err)
{
    int64_t version;
    if (schema_version(s, &version, err) < 0)
        return -1;
    if (version < 0 || version > (int64_t)ARRAY_SIZE(migrations))
        return err_set(err, 0,
                       "%s/index.db was written by a newer appc-vm (schema %lld, this one knows "
                       "%zu)",
                       s->dir, (long long)version, ARRAY_SIZE(migrations));
    if (version == (int64_t)ARRAY_SIZE(migrations))
        return 0;
    if (store_db_begin(s, err) < 0)
        return -1;
    if (migrate_locked(s, err) < 0) {
        store_db_rollback(s);
        return -1;
    }
    return store_db_commit(s, err);
}

/*
 * Makes the file for the owner alone: SQLite gives its other files the same mode. The descriptor
 * has to be closed before SQLite opens the file, as closing any takes all POSIX locks of the
 * process off it, and another process would then take itself for the last user of the log.
 */
static int create_file(struct store *s, const char *path, struct err *err)
{
    int fd = openat(s->dirfd, "index.db", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno, "can't open %s", path);
    close(fd);
    return 0;
}

int store_db_open(struct store *s, struct err *err)
{
    cleanup_free char *path = xasprintf("%s/index.db", s->dir);
    if (create_file(s, path, err) < 0)
        return -1;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(path, &s->db, flags, NULL) != SQLITE_OK) {
        if (!s->db)
            die_oom();
        return store_db_error(s, "open", err);
    }
    (void)sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
    /* The log stays when the last user leaves: making it anew is the dearest part of opening. */
    (void)sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_PERSIST_WAL, &(int){1});
    if (store_db_exec(s,
                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                      "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
                      err) < 0)
        return -1;
    return migrate(s, err);
}
