/* Many connections at once from one process: all are begun before the first is answered, all are open at the same time,
 * each says something of its own and must hear it back, then all are closed.
 *
 *     many ADDRESS PORT COUNT
 *
 * Prints "COUNT open", then "COUNT echoed". Whatever goes wrong is said and ends it with exit code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM 64
#define PATIENCE_MS 30000

struct connection {
    int fd;
    int heard;
    char said[ROOM];
    char got[ROOM];
};

static void fail(const char *what, int error)
{
    fprintf(stderr, "many: %s: %s\n", what, strerror(error));
    exit(1);
}

/* Room for as many descriptors as the connections need. */
static void allow(rlim_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("getrlimit", errno);
    if (limit.rlim_cur >= count)
        return;
    limit.rlim_cur = count;
    if (limit.rlim_max < count)
        limit.rlim_max = count;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("setrlimit", errno);
}

static void watch(int epoll, int how, int fd, int at, unsigned events)
{
    struct epoll_event event = { .events = events, .data.u32 = (unsigned)at };

    if (epoll_ctl(epoll, how, fd, &event) < 0)
        fail("epoll_ctl", errno);
}

static int next(int epoll, struct epoll_event *event)
{
    int ready = epoll_wait(epoll, event, 1, PATIENCE_MS);

    if (ready < 0)
        fail("epoll_wait", errno);
    if (ready == 0)
        fail("nothing happens any more", ETIMEDOUT);
    return (int)event->data.u32;
}

int main(int argc, char *argv[])
{
    struct sockaddr_in server;
    struct connection *all;
    struct epoll_event event;
    int count, epoll, at, left;

    if (argc != 4 || (count = atoi(argv[3])) <= 0) {
        fprintf(stderr, "usage: %s ADDRESS PORT COUNT\n", argv[0]);
        return 2;
    }
    allow((rlim_t)count + 16);
    memset(&server, 0, sizeof server);
    server.sin_family = AF_INET;
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
        fail(argv[1], EINVAL);
    all = calloc((size_t)count, sizeof *all);
    epoll = epoll_create1(0);
    if (all == NULL || epoll < 0)
        fail("epoll_create1", errno);
    for (at = 0; at < count; at++) {
        all[at].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (all[at].fd < 0)
            fail("socket", errno);
        if (connect(all[at].fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
            fail("connect", errno);
        watch(epoll, EPOLL_CTL_ADD, all[at].fd, at, EPOLLOUT);
    }
    for (left = count; left > 0; left--) {
        int error = 0;
        socklen_t length = sizeof error;

        at = next(epoll, &event);
        if (getsockopt(all[at].fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
            fail("getsockopt", errno);
        if (error != 0)
            fail("connect", error);
        watch(epoll, EPOLL_CTL_MOD, all[at].fd, at, 0);
    }
    printf("%d open\n", count);
    for (at = 0; at < count; at++) {
        int length = snprintf(all[at].said, ROOM, "connection %d of %d", at, count);

        if (send(all[at].fd, all[at].said, (size_t)length, MSG_NOSIGNAL) != length)
            fail("send", errno);
        watch(epoll, EPOLL_CTL_MOD, all[at].fd, at, EPOLLIN);
    }
    for (left = count; left > 0;) {
        struct connection *one = &all[at = next(epoll, &event)];
        ssize_t got = recv(one->fd, one->got + one->heard, (size_t)(ROOM - one->heard), 0);

        if (got <= 0)
            fail("recv", got < 0 ? errno : ECONNRESET);
        one->heard += (int)got;
        if (memcmp(one->got, one->said, (size_t)one->heard) != 0)
            fail("another connection's bytes came", EPROTO);
        if ((size_t)one->heard == strlen(one->said)) {
            watch(epoll, EPOLL_CTL_MOD, one->fd, at, 0);
            left--;
        }
    }
    for (at = 0; at < count; at++)
        if (close(all[at].fd) < 0)
            fail("close", errno);
    printf("%d echoed\n", count);
    return 0;
}
