/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the guests that the VMM's tests boot. Says one line on what it
 * found, byte by byte on the serial port's data register (so that it needs no console and no
 * driver), and resets the machine. "spin" on the kernel command line makes it run for ever instead.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <termios.h>
#include <unistd.h>

#define SERIAL_PORT 0x3f8

static void say(const char *s)
{
    for (; *s; s++)
        outb((unsigned char)*s, SERIAL_PORT);
}

/* Bytes that the host's entropy source gives: its device works, and so does its interrupt. */
static int read_rng(void)
{
    unsigned char bytes[64];
    int fd = open("/dev/hwrng", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));

    if (fd >= 0)
        close(fd);
    return (int)n;
}

/* The first word of a disk, "-" when there is none. */
static void read_disk(const char *path, char *ret, size_t cap)
{
    char sector[512] = "";
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, sector, sizeof(sector) - 1);

    if (fd >= 0)
        close(fd);
    sector[n > 0 ? n : 0] = '\0';
    sector[strcspn(sector, " \n")] = '\0';
    snprintf(ret, cap, "%.*s", (int)cap - 1, n > 0 ? sector : "-");
}

static int cmdline_has(const char *word)
{
    char text[2048] = "";
    int fd = open("/proc/cmdline", O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, word) != NULL;
}

/* Through the terminal: more than one load of the port's FIFO. */
static void say_by_driver(const char *s)
{
    int fd = open("/dev/console", O_WRONLY | O_NOCTTY);

    if (fd >= 0 && write(fd, s, strlen(s)) > 0)
        tcdrain(fd);
}

int main(void)
{
    char line[256], disk[64];
    struct sysinfo si;

    mkdir("/dev", 0755);
    mkdir("/proc", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    iopl(3);
    sysinfo(&si);
    read_disk("/dev/vda", disk, sizeof(disk));
    snprintf(line, sizeof(line), "guest cpus=%ld mib=%lu rng=%d disk=%s vsock=%d\n",
             sysconf(_SC_NPROCESSORS_ONLN), si.totalram * si.mem_unit >> 20, read_rng(), disk,
             access("/dev/vsock", F_OK) == 0);
    say(line);
    if (cmdline_has("console="))
        say_by_driver("guest speaks by the driver, too\n");
    while (cmdline_has("spin"))
        ;
    reboot(RB_AUTOBOOT);
    return 1;
}
