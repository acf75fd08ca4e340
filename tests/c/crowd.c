/* Many connections that stay open and do nothing, so that others can measure what the userspace host needs for them.
 *
 *     crowd ADDRESS PORT COUNT idle DIRECTORY
 *     crowd ADDRESS PORT COUNT get DIRECTORY
 *
 * With "get" each asks for / by HTTP when all are open, and reads nothing of the answer. Prints "before", "open" and "after",
 * the last when all are closed. After each it waits for a file of that name in the directory. Whatever goes wrong is said and
 * ends it with exit code 1.
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

/* Handshakes at once: less than the backlog of the server. */
#define AT_ONCE 500
#define PATIENCE_MS 30000

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: crowd\r\n\r\n";

static void fail(const char *what)
{
    fprintf(stderr, "crowd: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void allow(rlim_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("getrlimit");
    if (limit.rlim_cur >= count)
        return;
    limit.rlim_cur = count;
    if (limit.rlim_max < count)
        limit.rlim_max = count;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        fail("setrlimit");
}

static void tell(const char *when, const char *directory)
{
    char name[4096];

    snprintf(name, sizeof name, "%s/%s", directory, when);
    puts(when);
    fflush(stdout);
    while (access(name, F_OK) < 0)
        usleep(10000);
}

int main(int argc, char *argv[])
{
    struct sockaddr_in server = { .sin_family = AF_INET };
    int count, epoll, *all;

    if (argc != 6 || (count = atoi(argv[3])) <= 0) {
        fprintf(stderr, "usage: %s ADDRESS PORT COUNT idle|get DIRECTORY\n", argv[0]);
        return 2;
    }
    allow((rlim_t)count + 16);
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
        fail(argv[1]);
    all = calloc((size_t)count, sizeof *all);
    epoll = epoll_create1(0);
    if (all == NULL || epoll < 0)
        fail("epoll_create1");
    tell("before", argv[5]);
    for (int begun = 0, open = 0; open < count;) {
        struct epoll_event event = { .events = EPOLLOUT };
        int at, error = 0;
        socklen_t length = sizeof error;

        if (begun < count && begun - open < AT_ONCE) {
            all[begun] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            if (all[begun] < 0)
                fail("socket");
            if (connect(all[begun], (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
                fail("connect");
            event.data.u32 = (unsigned)begun;
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[begun], &event) < 0)
                fail("epoll_ctl");
            begun++;
            continue;
        }
        error = epoll_wait(epoll, &event, 1, PATIENCE_MS);
        if (error <= 0) {
            errno = error == 0 ? ETIMEDOUT : errno;
            fail("epoll_wait");
        }
        at = (int)event.data.u32;
        if (getsockopt(all[at], SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error != 0) {
            errno = error != 0 ? error : errno;
            fail("connect");
        }
        if (epoll_ctl(epoll, EPOLL_CTL_DEL, all[at], NULL) < 0)
            fail("epoll_ctl");
        open++;
    }
    if (strcmp(argv[4], "get") == 0)
        for (int at = 0; at < count; at++)
            if (send(all[at], REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) < 0)
                fail("send");
    tell("open", argv[5]);
    for (int at = 0; at < count; at++)
        if (close(all[at]) < 0)
            fail("close");
    tell("after", argv[5]);
    return 0;
}
