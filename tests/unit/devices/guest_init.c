/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the guest that tests/pods/test_devices_qemu.py boots: uses each device as a real kernel
 * does and prints one line a step on the console ("ok NAME VALUE" or "failed NAME REASON").
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/vm_sockets.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CHUNK        (1U << 20)
#define SCRATCH_SIZE (32U << 20)
#define STREAM_SIZE  (100U << 20)
#define PORT_STREAM  1024
#define PORT_REFUSED 1025
#define PORT_ECHO    1026

static uint8_t chunk[CHUNK];

static void ok(const char *name, unsigned long long value)
{
    printf("ok %s %llu\n", name, value);
}

static bool failed(const char *name)
{
    printf("failed %s %s\n", name, strerror(errno));
    return false;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The byte of a pattern at position `pos`; the other side of a stream knows it too. */
static void pattern(uint8_t *p, uint64_t pos, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = (pos + i) * 0x9e3779b97f4a7c15ULL + seed;
        memcpy(p + i, &v, 8);
    }
}

static uint64_t fnv(uint64_t h, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = 0;
        memcpy(&v, p + i, len - i < 8 ? len - i : 8);
        h = (h ^ v) * 0x100000001b3ULL;
    }
    return h;
}

/* /dev/NAME of the disk with this serial. */
static bool find_disk(const char *serial, char *ret, size_t cap)
{
    DIR *d = opendir("/sys/block");
    struct dirent *e;
    bool found = false;
    while (d && !found && (e = readdir(d))) {
        char path[300], text[64] = "";
        snprintf(path, sizeof(path), "/sys/block/%s/serial", e->d_name);
        int fd = open(path, O_RDONLY);
        if (fd < 0)
            continue;
        if (read(fd, text, sizeof(text) - 1) > 0 && !strcmp(text, serial)) {
            snprintf(ret, cap, "/dev/%.16s", e->d_name);
            found = true;
        }
        close(fd);
    }
    if (d)
        closedir(d);
    if (!found)
        errno = ENODEV;
    return found ? true : failed(serial);
}

/* Reads a file or disk to its end in large pieces; prints checksum and speed. */
static bool sum_file(const char *name, const char *path, int flags)
{
    int fd = open(path, O_RDONLY | flags);
    if (fd < 0)
        return failed(name);
    uint64_t h = 0xcbf29ce484222325ULL, total = 0, start = now_us();
    static uint8_t buf[CHUNK] __attribute__((aligned(4096)));
    ssize_t n;
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        h = fnv(h, buf, (size_t)n);
        total += (uint64_t)n;
    }
    close(fd);
    if (n < 0)
        return failed(name);
    ok(name, h);
    printf("speed %s %llu bytes in %llu us\n", name, (unsigned long long)total,
           (unsigned long long)(now_us() - start));
    return true;
}

/* Reads without looking at the bytes, past the page cache: the device's own speed. */
static bool speed_disk(const char *path)
{
    static uint8_t buf[CHUNK] __attribute__((aligned(4096)));
    int fd = open(path, O_RDONLY | O_DIRECT);
    if (fd < 0)
        return failed("speed");
    for (int round = 0; round < 2; round++) {
        uint64_t total = 0, start = now_us();
        ssize_t n;
        lseek(fd, 0, SEEK_SET);
        while ((n = read(fd, buf, sizeof(buf))) > 0)
            total += (uint64_t)n;
        printf("speed direct%d %llu bytes in %llu us\n", round, (unsigned long long)total,
               (unsigned long long)(now_us() - start));
    }
    close(fd);
    return true;
}

static bool test_images(void)
{
    char dev[64];
    if (!find_disk("images", dev, sizeof(dev)))
        return false;
    if (!speed_disk(dev) || !sum_file("images_raw", dev, 0))
        return false;
    int fd = open(dev, O_WRONLY), read_only = 0;
    if (ioctl(fd, BLKROGET, &read_only) || !read_only || write(fd, chunk, 512) >= 0)
        return failed("images_read_only");
    close(fd);
    if (mount(dev, "/images", "erofs", MS_RDONLY, NULL))
        return failed("images_mount");
    return sum_file("images_file", "/images/big", 0);
}

static bool write_scratch(void)
{
    int fd = open("/scratch/data", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        return failed("scratch_open");
    uint64_t start = now_us();
    for (uint64_t pos = 0; pos < SCRATCH_SIZE; pos += CHUNK) {
        pattern(chunk, pos, CHUNK, 7);
        if (write(fd, chunk, CHUNK) != CHUNK)
            return failed("scratch_write");
    }
    if (fsync(fd))
        return failed("scratch_fsync");
    close(fd);
    ok("scratch_written", SCRATCH_SIZE);
    printf("speed scratch_write %u bytes in %llu us\n", SCRATCH_SIZE,
           (unsigned long long)(now_us() - start));
    return true;
}

static bool verify_scratch(void)
{
    static uint8_t want[CHUNK];
    int fd = open("/scratch/data", O_RDONLY);
    for (uint64_t pos = 0; pos < SCRATCH_SIZE; pos += CHUNK) {
        pattern(want, pos, CHUNK, 7);
        if (read(fd, chunk, CHUNK) != CHUNK)
            return failed("scratch_read");
        if (memcmp(want, chunk, CHUNK)) {
            errno = EILSEQ;
            return failed("scratch_compare");
        }
    }
    close(fd);
    ok("scratch_verified", SCRATCH_SIZE);
    return true;
}

static bool trim_scratch(void)
{
    struct fstrim_range r = {.len = ~0ULL};
    if (unlink("/scratch/data"))
        return failed("scratch_unlink");
    sync();
    int fd = open("/scratch", O_RDONLY | O_DIRECTORY);
    if (fd < 0 || ioctl(fd, FITRIM, &r))
        return failed("scratch_trim");
    close(fd);
    ok("scratch_trimmed", r.len > SCRATCH_SIZE);
    return true;
}

static bool test_scratch(void)
{
    char dev[64];
    if (!find_disk("scratch", dev, sizeof(dev)))
        return false;
    if (mount(dev, "/scratch", "ext4", 0, NULL))
        return failed("scratch_mount");
    if (!write_scratch())
        return false;
    /* What is read back must come from the device. */
    if (umount("/scratch") || mount(dev, "/scratch", "ext4", 0, NULL))
        return failed("scratch_remount");
    if (!verify_scratch() || !trim_scratch())
        return false;
    return umount("/scratch") ? failed("scratch_umount") : true;
}

static bool test_rng(void)
{
    int fd = open("/dev/hwrng", O_RDONLY);
    if (fd < 0)
        return failed("rng_open");
    size_t got = 0;
    while (got < 65536) {
        ssize_t n = read(fd, chunk + got, 65536 - got);
        if (n <= 0)
            return failed("rng_read");
        got += (size_t)n;
    }
    close(fd);
    unsigned counts[256] = {0}, max = 0;
    for (size_t i = 0; i < got; i++)
        counts[chunk[i]]++;
    for (size_t i = 0; i < 256; i++)
        max = counts[i] > max ? counts[i] : max;
    ok("rng", max < 512); /* 256 is the mean */
    return true;
}

static int dial(unsigned port)
{
    struct sockaddr_vm a = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = VMADDR_CID_HOST};
    int s = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (s < 0)
        return -1;
    if (!connect(s, (struct sockaddr *)&a, sizeof(a)))
        return s;
    int e = errno;
    close(s);
    errno = e;
    return -1;
}

static bool send_stream(int s)
{
    uint64_t start = now_us();
    for (uint64_t pos = 0; pos < STREAM_SIZE; pos += CHUNK) {
        pattern(chunk, pos, CHUNK, 1);
        for (size_t done = 0; done < CHUNK;) {
            ssize_t n = send(s, chunk + done, CHUNK - done, 0);
            if (n <= 0)
                return failed("vsock_send");
            done += (size_t)n;
        }
    }
    if (shutdown(s, SHUT_WR))
        return failed("vsock_shutdown");
    ok("vsock_sent", STREAM_SIZE);
    printf("speed vsock_send %u bytes in %llu us\n", STREAM_SIZE,
           (unsigned long long)(now_us() - start));
    return true;
}

static bool receive_stream(int s)
{
    static uint8_t want[CHUNK];
    uint64_t start = now_us(), total = 0;
    for (;;) {
        size_t got = 0;
        ssize_t n = 1;
        while (got < CHUNK && (n = recv(s, chunk + got, CHUNK - got, 0)) > 0)
            got += (size_t)n;
        if (n < 0)
            return failed("vsock_recv");
        pattern(want, total, got, 2);
        total += got;
        if (memcmp(want, chunk, got)) {
            errno = EILSEQ;
            return failed("vsock_compare");
        }
        if (n == 0)
            break;
    }
    ok("vsock_received", total);
    printf("speed vsock_recv %llu bytes in %llu us\n", (unsigned long long)total,
           (unsigned long long)(now_us() - start));
    return true;
}

static bool test_stream(void)
{
    int s = dial(PORT_STREAM);
    if (s < 0)
        return failed("vsock_connect");
    bool good = send_stream(s) && receive_stream(s);
    close(s);
    return good;
}

/* The host closes at once: the guest must see the end of the stream, and not hang. */
static bool test_refused(void)
{
    int s = dial(PORT_REFUSED);
    char c;
    if (s >= 0 && recv(s, &c, 1, 0) > 0) {
        errno = EISCONN;
        return failed("vsock_refused");
    }
    if (s >= 0)
        close(s);
    ok("vsock_refused", 1);
    return true;
}

/* Many connections at once, each with a few words both ways. */
static bool test_echo(void)
{
    enum { CONNS = 100 };
    int s[CONNS];
    for (int i = 0; i < CONNS; i++) {
        s[i] = dial(PORT_ECHO);
        if (s[i] < 0 || send(s[i], &i, sizeof(i), 0) != sizeof(i))
            return failed("vsock_echo_send");
    }
    for (int i = CONNS - 1; i >= 0; i--) {
        int v = -1;
        if (recv(s[i], &v, sizeof(v), MSG_WAITALL) != sizeof(v) || v != i)
            return failed("vsock_echo");
        close(s[i]);
    }
    ok("vsock_echo", CONNS);
    return true;
}

int main(void)
{
    mkdir("/dev", 0755);
    mkdir("/sys", 0755);
    mkdir("/images", 0755);
    mkdir("/scratch", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (test_images() && test_scratch() && test_rng() && test_refused() && test_echo() &&
        test_stream())
        ok("all", 1);
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    reboot(RB_AUTOBOOT);
    return 1;
}
