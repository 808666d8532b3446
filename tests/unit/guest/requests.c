/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the metadata service from inside an app: "requests COUNT ATONCE" asks COUNT times for the
 * pod's UUID, each time on a connection of its own and with ATONCE of them open at a time, and
 * prints how long that took, all divided by COUNT, and one answer. (The clock of a guest under
 * emulation goes in steps of 10 ms.) Ends with 1 when one was wrong.
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX  100000
#define ATONCE_MAX 1000

static struct sockaddr_in address = {.sin_family = AF_INET};
static char question[512];
static char uuid[64];
static uint32_t took[COUNT_MAX];

static uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* http://ADDRESS:PORT/TOKEN */
static bool read_url(const char *url)
{
    char host[64], token[256];
    unsigned port;
    if (!url || sscanf(url, "http://%63[0-9.]:%u/%255s", host, &port, token) != 3)
        return false;
    address.sin_port = htons((uint16_t)port);
    snprintf(question, sizeof(question),
             "GET /%s/acMetadata/v1/pod/uuid HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
             token, host);
    return inet_pton(AF_INET, host, &address.sin_addr) == 1;
}

static int ask(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
        write(fd, question, strlen(question)) != (ssize_t)strlen(question)) {
        perror("asking");
        exit(1);
    }
    return fd;
}

/* The whole answer, whose body has to be what it was the first time. */
static bool answer(int fd)
{
    char text[1024];
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = '\0';
    char *body = strstr(text, "\r\n\r\n");
    if (n < 0 || strncmp(text, "HTTP/1.1 200 ", 13) || !body || strlen(body + 4) != 36)
        return false;
    if (!uuid[0])
        strcpy(uuid, body + 4);
    return !strcmp(uuid, body + 4);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static int fds[ATONCE_MAX];
    static uint64_t start[ATONCE_MAX];
    unsigned count = argc == 3 ? (unsigned)atoi(argv[1]) : 0, good = 0;
    unsigned atonce = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
    if (!count || count > COUNT_MAX || !atonce || atonce > ATONCE_MAX || count % atonce ||
        !read_url(getenv("AC_METADATA_URL")))
        return 2;
    uint64_t begin = now_us();
    for (unsigned i = 0; i < count; i += atonce) {
        for (unsigned k = 0; k < atonce; k++) {
            start[k] = now_us();
            fds[k] = ask();
        }
        for (unsigned k = 0; k < atonce; k++) {
            good += answer(fds[k]);
            took[i + k] = (uint32_t)(now_us() - start[k]);
        }
    }
    uint64_t all = now_us() - begin;
    qsort(took, count, sizeof(*took), by_size);
    printf("%u of %u, %u at once: %u us each, median %u us, 99 %% within %u us, slowest %u us\n",
           good, count, atonce, (unsigned)(all / count), took[count / 2],
           took[count - 1 - count / 100], took[count - 1]);
    return good != count;
}
