/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs over a small tree in a temporary folder, with mostly valid requests. A file beside the
 * tree must stay as it is. The working directory changes: give corpora by absolute paths.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input.h"
#include "vmm/devices/fs_ops.h"

#define KNOWN     8
#define SLOT      0x4000ULL
#define ANSWER_AT 0x2000ULL

static struct guest guest;
static struct fs *fs;
static char dir[64];
static struct stat secret;

/* Numbers that the device has given out, to be used again. */
static uint64_t nodes[KNOWN], handles[KNOWN], handle_nodes[KNOWN];
static unsigned nnodes, nhandles;

static const char *at(const char *path)
{
    static char text[512];
    snprintf(text, sizeof(text), "%s/%s", dir, path);
    return text;
}

static void put(const char *path, const char *text)
{
    int fd = open(at(path), O_CREAT | O_WRONLY | O_TRUNC, 0644);
    MUST(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    /* The directories of the shares stay, as the device has them open. */
    return ftw->level && remove(path) && errno != ENOTEMPTY;
}

static void make_tree(void)
{
    nftw(at("rw"), remove_one, 16, FTW_DEPTH | FTW_PHYS);
    put("rw/f", "some text");
    put("one", "one");
    MUST(!mkdir(at("rw/d"), 0755) && !symlink("../secret", at("rw/l")));
    put("rw/d/f", "deeper");
}

static void add_share(const char *name, bool read_only)
{
    struct fs_share_spec spec = {.read_only = read_only, .recursive = true};
    struct err err;
    snprintf(spec.name, sizeof(spec.name), "%s", name);
    spec.fd = open(at(name), O_PATH | O_CLOEXEC);
    MUST(spec.fd >= 0 && !fs_add_share(fs, &spec, &err));
}

static void clean_up(void)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    rmdir(dir);
}

static void set_up(void)
{
    struct err err;
    const struct rlimit small = {1 << 20, 1 << 20};
    int proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    signal(SIGXFSZ, SIG_IGN);
    MUST(!setrlimit(RLIMIT_FSIZE, &small));
    snprintf(dir, sizeof(dir), "%s/fuzz-fs-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    MUST(mkdtemp(dir) && !mkdir(at("rw"), 0755) && !mkdir(at("ro"), 0755));
    atexit(clean_up);
    put("ro/f", "read only");
    put("secret", "secret");
    MUST(!stat(at("secret"), &secret));
    make_tree();
    guest_init(&guest);
    fs = calloc(1, sizeof(*fs));
    MUST(fs);
    add_share("rw", false);
    add_share("ro", true);
    add_share("one", false);
    MUST(!fs_init(fs, "volumes", 1, proc_fd, &err));
}

static uint64_t pick_node(struct input *in)
{
    uint8_t v = input_u8(in);
    if (v > 240)
        return input_u64(in);
    return v & 1 && nnodes ? nodes[(v >> 1) % (nnodes < KNOWN ? nnodes : KNOWN)] : 1 + (v >> 1) % 5;
}

/* A handle; *node becomes the one that it was opened for. */
static uint64_t pick_handle(struct input *in, uint64_t *node)
{
    uint8_t v = input_u8(in);
    if (v > 240 || !nhandles)
        return input_u64(in);
    unsigned i = v % (nhandles < KNOWN ? nhandles : KNOWN);
    if (v < 220)
        *node = handle_nodes[i];
    return handles[i];
}

static bool takes_handle(uint32_t opcode)
{
    static const uint8_t ops[] = {FUSE_READ,       FUSE_WRITE,       FUSE_RELEASE,
                                  FUSE_FSYNC,      FUSE_FLUSH,       FUSE_READDIR,
                                  FUSE_RELEASEDIR, FUSE_FSYNCDIR,    FUSE_FALLOCATE,
                                  FUSE_LSEEK,      FUSE_READDIRPLUS, FUSE_COPY_FILE_RANGE};
    return memchr(ops, (int)opcode, sizeof(ops)) != NULL;
}

static size_t add_name(struct input *in, uint8_t *p)
{
    static const char *const names[] = {"f",     "d",      "l",  "rw",  "ro", "one",      "new",
                                        "other", "user.a", "..", "x/y", "",   "../secret"};
    uint8_t v = input_u8(in);
    if (v > 240) {
        memset(p, 'n', v);
        p[v] = 0;
        return (size_t)v + 1;
    }
    const char *name = names[v % (sizeof(names) / sizeof(names[0]))];
    memcpy(p, name, strlen(name) + 1);
    return strlen(name) + 1;
}

/* Arguments of one operation: random words, with a handle, a node and names where they belong. */
static size_t add_args(struct input *in, uint32_t opcode, uint8_t *p, uint64_t *node)
{
    static const uint8_t fixed[64] = {[FUSE_FORGET] = 8,
                                      [FUSE_GETATTR] = 16,
                                      [FUSE_SETATTR] = 88,
                                      [FUSE_MKNOD] = 16,
                                      [FUSE_MKDIR] = 8,
                                      [FUSE_RENAME] = 8,
                                      [FUSE_LINK] = 8,
                                      [FUSE_OPEN] = 8,
                                      [FUSE_READ] = 40,
                                      [FUSE_WRITE] = 40,
                                      [FUSE_RELEASE] = 24,
                                      [FUSE_FSYNC] = 16,
                                      [FUSE_SETXATTR] = 8,
                                      [FUSE_GETXATTR] = 8,
                                      [FUSE_LISTXATTR] = 8,
                                      [FUSE_FLUSH] = 24,
                                      [FUSE_INIT] = 64,
                                      [FUSE_OPENDIR] = 8,
                                      [FUSE_READDIR] = 40,
                                      [FUSE_RELEASEDIR] = 24,
                                      [FUSE_FSYNCDIR] = 16,
                                      [FUSE_ACCESS] = 8,
                                      [FUSE_CREATE] = 16,
                                      [FUSE_BATCH_FORGET] = 8,
                                      [FUSE_FALLOCATE] = 32,
                                      [FUSE_READDIRPLUS] = 40,
                                      [FUSE_RENAME2] = 16,
                                      [FUSE_LSEEK] = 24,
                                      [FUSE_COPY_FILE_RANGE] = 56,
                                      [FUSE_TMPFILE] = 16};
    size_t n = opcode < 64 ? fixed[opcode] : 0;
    memset(p, 0, n);
    for (size_t i = 0; i + 4 <= n; i += 4) {
        uint8_t v = input_u8(in);
        uint32_t word = v > 250 ? input_u32(in) : v > 200 ? (uint32_t)v << 4 : v & 15U;
        memcpy(p + i, &word, 4);
    }
    uint64_t id = 0;
    if (takes_handle(opcode)) {
        id = pick_handle(in, node);
        memcpy(p, &id, 8);
    }
    if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2 || opcode == FUSE_LINK) {
        id = pick_node(in);
        memcpy(p, &id, 8);
    }
    if (opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS)
        memcpy(p + 16, (uint32_t[]){4096}, 4);
    if (opcode == FUSE_INIT)
        memcpy(p, (uint32_t[]){7, 38}, input_rarely(in) ? 0 : 8);
    if (opcode == FUSE_COPY_FILE_RANGE) {
        uint64_t to = pick_node(in);
        id = pick_handle(in, &to);
        memcpy(p + 16, &to, 8);
        memcpy(p + 24, &id, 8);
    }
    for (uint8_t names = input_u8(in) % 3; names; names--)
        n += add_name(in, p + n);
    return n;
}

static void add_request(struct input *in)
{
    uint64_t slot = GUEST_DATA + guest.avail[1] % GUEST_NUM * SLOT;
    uint8_t *p = guest_at(&guest, slot);
    struct fuse_in_header h = {
        .opcode = input_u8(in) % 54, .unique = slot, .nodeid = pick_node(in)};
    size_t n = sizeof(h) + add_args(in, h.opcode, p + sizeof(h), &h.nodeid);
    h.len = input_rarely(in) ? input_u32(in) : (uint32_t)n;
    h.uid = input_rarely(in) ? input_u32(in) : 0;
    memcpy(p, &h, sizeof(h));
    uint32_t room = 16 + (uint32_t)input_u8(in) * 20;
    const struct guest_buf bufs[] = {{slot, 40, false},
                                     {slot + 40, (uint32_t)n - 40, false},
                                     {slot + ANSWER_AT, 16, true},
                                     {slot + ANSWER_AT + 16, room, true}};
    memset(p + ANSWER_AT, 0, 192);
    if (n == 40)
        guest_add(&guest, in, 1, (const struct guest_buf[]){bufs[0], bufs[2], bufs[3]}, 3);
    else
        guest_add(&guest, in, 1, bufs, 4);
}

/* What an answer tells of nodes and handles. */
static void learn(uint64_t slot)
{
    const uint8_t *p = guest_at(&guest, slot);
    struct fuse_in_header h;
    uint64_t first, handle;
    memcpy(&h, p, sizeof(h));
    memcpy(&first, p + ANSWER_AT + 16, 8);
    memcpy(&handle, p + ANSWER_AT + 16 + sizeof(struct fuse_entry_out), 8);
    bool open = h.opcode == FUSE_OPEN || h.opcode == FUSE_OPENDIR;
    if (open || h.opcode == FUSE_CREATE || h.opcode == FUSE_TMPFILE) {
        handle_nodes[nhandles % KNOWN] = open ? h.nodeid : first;
        handles[nhandles++ % KNOWN] = open ? first : handle;
    }
    if (!open && first)
        nodes[nnodes++ % KNOWN] = first;
}

static void check(void)
{
    struct stat st;
    unsigned long fds = 0;
    MUST(!stat(at("secret"), &st) && st.st_ctim.tv_sec == secret.st_ctim.tv_sec &&
         st.st_ctim.tv_nsec == secret.st_ctim.tv_nsec && st.st_size == secret.st_size);
    MUST(!stat(at("ro/f"), &st) && st.st_size == 9);
    for (size_t i = 0; i < fs->node_slots.n; i++) {
        const struct fs_node *n = fs->nodes[i];
        fds += n && n->share && n->share->node != n && n->fd >= 0;
    }
    for (size_t i = 0; i < fs->handle_slots.n; i++)
        fds += fs->handles[i].used;
    MUST(fds == fs->nfds);
}

static int turn(struct err *err)
{
    do {
        fs->dev.again = 0;
        if (device_run(&fs->dev, 1, err))
            return -1;
    } while (fs->dev.again);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct err err;
    if (!fs)
        set_up();
    make_tree();
    uint8_t flags = input_u8(&in);
    guest_start(&guest, &fs->dev, 2, (uint64_t)(flags & 3) << VIRTIO_RING_F_INDIRECT_DESC);
    fs->owner = flags & 4 ? FS_OWNER_XATTR : FS_OWNER_CALLER;
    fs->ready = !(flags & 8);
    fs->fds_max = flags & 16 ? 4 : 200;
    nnodes = nhandles = 0;
    for (bool good = true; good && in.left;) {
        uint64_t slot = GUEST_DATA + guest.avail[1] % GUEST_NUM * SLOT;
        add_request(&in);
        good = !turn(&err);
        learn(slot);
        check();
        uint16_t head;
        uint32_t len;
        while (guest_used(&guest, 1, &head, &len))
            MUST(head < GUEST_NUM);
    }
    fs_tables_reset(fs);
    MUST(fs->nfds == 0);
    return 0;
}
