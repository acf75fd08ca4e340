/* A flood of packets to the userspace host, from the kernel's side.
 *
 *     flood ADDRESS PORT udp BYTES SECONDS
 *     flood ADDRESS PORT syn COUNT PER_MILLISECOND
 *
 * "udp" sends datagrams of so many bytes as fast as it can. "syn" sends SYNs from made-up addresses in 10.0.0.0/8, each from
 * another one, by a raw socket. Prints how many packets the kernel has taken.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static unsigned sum(const void *data, size_t length, unsigned start)
{
    const unsigned char *bytes = data;

    for (size_t at = 0; at + 1 < length; at += 2)
        start += (unsigned)bytes[at] << 8 | bytes[at + 1];
    while (start >> 16)
        start = (start & 0xffff) + (start >> 16);
    return start;
}

static long udp(const struct sockaddr_in *to, size_t bytes, double seconds)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char *data = calloc(1, bytes + 1);
    double end = now() + seconds;
    long sent = 0;

    if (fd < 0 || data == NULL)
        fail("socket");
    while (now() < end)
        for (int n = 0; n < 64; n++)
            if (sendto(fd, data, bytes, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof *to) >= 0)
                sent++;
    return sent;
}

static long syn(const struct sockaddr_in *to, long count, long per_millisecond)
{
    struct {
        struct iphdr ip;
        struct tcphdr tcp;
    } packet;
    struct {
        in_addr_t from, to;
        unsigned char zero, protocol;
        unsigned short length;
    } pseudo;
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    double began = now();
    long sent = 0;

    if (fd < 0)
        fail("a raw socket");
    for (long n = 0; n < count; n++) {
        memset(&packet, 0, sizeof packet);
        packet.ip.version = 4;
        packet.ip.ihl = 5;
        packet.ip.ttl = 64;
        packet.ip.protocol = IPPROTO_TCP;
        packet.ip.tot_len = htons(sizeof packet);
        packet.ip.saddr = htonl(0x0a000000u + (unsigned)n);
        packet.ip.daddr = to->sin_addr.s_addr;
        packet.tcp.source = htons((unsigned short)(1024 + n % 60000));
        packet.tcp.dest = to->sin_port;
        packet.tcp.seq = htonl((unsigned)n * 64000u);
        packet.tcp.doff = 5;
        packet.tcp.syn = 1;
        packet.tcp.window = htons(64240);
        pseudo.from = packet.ip.saddr;
        pseudo.to = packet.ip.daddr;
        pseudo.zero = 0;
        pseudo.protocol = IPPROTO_TCP;
        pseudo.length = htons(sizeof packet.tcp);
        packet.tcp.check = htons((unsigned short)~sum(&packet.tcp, sizeof packet.tcp, sum(&pseudo, sizeof pseudo, 0)));
        if (sendto(fd, &packet, sizeof packet, 0, (const struct sockaddr *)to, sizeof *to) >= 0)
            sent++;
        while (n % 16 == 0 && now() - began < (double)n / (double)per_millisecond / 1e3)
            usleep(100);
    }
    return sent;
}

int main(int argc, char *argv[])
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    long sent;

    if (argc != 6) {
        fprintf(stderr, "usage: %s ADDRESS PORT udp BYTES SECONDS | syn COUNT PER_MILLISECOND\n", argv[0]);
        return 2;
    }
    to.sin_port = htons((unsigned short)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
        fail(argv[1]);
    if (strcmp(argv[3], "udp") == 0)
        sent = udp(&to, (size_t)atol(argv[4]), atof(argv[5]));
    else
        sent = syn(&to, atol(argv[4]), atol(argv[5]));
    printf("sent %ld\n", sent);
    return 0;
}
