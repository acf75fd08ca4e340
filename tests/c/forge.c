/* Sends forged IPv4 packets through a raw socket, which needs CAP_NET_RAW.
 *
 *     forge syns ADDRESS PORT RATE SECONDS   RATE SYNs a second, each from another address in 10/8
 *     forge echo ADDRESS PORT SOURCE...      a datagram from each SOURCE, with PORT at both ends
 *     forge datagrams ADDRESS PORT COUNT     COUNT datagrams, each from another address in 10/8
 *     forge options ADDRESS PORT             datagrams with malformed IP options and with source routes
 *
 * Prints "sent N". Whatever goes wrong is said and ends it with exit code 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int raw;
static struct sockaddr_in to;
static uint32_t own;
static unsigned long sent;

static void fail(const char *what)
{
    fprintf(stderr, "forge: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t sum(const uint8_t *bytes, size_t length)
{
    uint32_t total = 0;
    size_t i;

    for (i = 0; i + 1 < length; i += 2)
        total += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    return total;
}

/* The checksum of a transport header of even length, with the pseudo header. */
static unsigned checksum(const uint8_t *packet, size_t header, size_t length, unsigned protocol)
{
    uint32_t total = sum(packet + 12, 8) + protocol + (uint32_t)length + sum(packet + header, length);

    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return ~total & 0xffff;
}

/* An IP packet. The kernel fills in the checksum of the header, and its length. */
static void send_packet(uint32_t source, unsigned protocol, const uint8_t *options, size_t extra, uint8_t *transport, size_t length)
{
    uint8_t packet[128] = {0};
    size_t header = 20 + extra;

    packet[0] = (uint8_t)(0x40 | header / 4);
    packet[8] = 64;
    packet[9] = (uint8_t)protocol;
    memcpy(packet + 12, &source, 4);
    memcpy(packet + 16, &own, 4);
    memcpy(packet + 20, options, extra);
    memcpy(packet + header, transport, length);
    put16(packet + header + (protocol == IPPROTO_TCP ? 16 : 6), checksum(packet, header, length, protocol));
    /* The queue of the device may be full. */
    while (sendto(raw, packet, header + length, 0, (struct sockaddr *)&to, sizeof to) < 0) {
        if (errno != ENOBUFS)
            fail("sendto");
        usleep(1000);
    }
    sent++;
}

static void send_datagram(uint32_t source, unsigned port, unsigned from, const uint8_t *options, size_t extra)
{
    uint8_t datagram[12] = {0};

    put16(datagram, from);
    put16(datagram + 2, port);
    put16(datagram + 4, sizeof datagram);
    memcpy(datagram + 8, "echo", 4);
    send_packet(source, IPPROTO_UDP, options, extra, datagram, sizeof datagram);
}

static void send_syn(uint32_t source, unsigned port, unsigned from)
{
    uint8_t segment[40] = {0};

    put16(segment, from);
    put16(segment + 2, port);
    memcpy(segment + 4, &source, 4);
    segment[12] = sizeof segment / 4 << 4;
    segment[13] = 2;
    put16(segment + 14, 64240);
    /* MSS 1460, SACK permitted, timestamps, window scale 7, as of a Linux client. */
    memcpy(segment + 20, "\2\4\5\264\4\2\10\12\0\1\2\3\0\0\0\0\1\3\3\7", 20);
    send_packet(source, IPPROTO_TCP, NULL, 0, segment, sizeof segment);
}

static uint32_t made_up(unsigned long number)
{
    return htonl(0x0a000000 | (uint32_t)((number + 1) % 0xfffffe));
}

static void syns(unsigned port, unsigned long rate, unsigned long seconds)
{
    struct timespec start, now;
    unsigned long due, all = rate * seconds;

    clock_gettime(CLOCK_MONOTONIC, &start);
    while (sent < all) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        due = (unsigned long)((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000) * rate / 1000;
        while (sent < due && sent < all)
            send_syn(made_up(sent), port, 1024 + (unsigned)(sent % 60000));
        usleep(1000);
    }
}

static void options_of_every_kind(unsigned port)
{
    static const struct {
        size_t length;
        const char *bytes;
    } options[] = {
        {4, "\7\0\4\0"},                  /* a length of zero */
        {4, "\202\1\0\0"},                /* a length of one */
        {8, "\7\13\4\0\0\0\0\0"},         /* a length beyond the header */
        {8, "\7\7\3\0\0\0\0\0"},          /* a pointer that is too small */
        {8, "\104\10\5\2\0\0\0\0"},       /* an unknown flag of a timestamp */
        {8, "\203\7\4\300\250\105\2\0"},  /* a loose source route */
        {8, "\211\7\10\300\250\105\2\0"}, /* a strict source route, used up */
    };
    size_t i;

    for (i = 0; i < sizeof options / sizeof *options; i++)
        send_datagram(inet_addr("192.168.69.2"), port, 4000, (const uint8_t *)options[i].bytes, options[i].length);
}

int main(int argc, char **argv)
{
    unsigned port;
    int i;

    if (argc < 4)
        return 1;
    own = inet_addr(argv[2]);
    port = (unsigned)atoi(argv[3]);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = own;
    raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (raw < 0)
        fail("socket");
    if (strcmp(argv[1], "syns") == 0 && argc == 6)
        syns(port, strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
    else if (strcmp(argv[1], "echo") == 0)
        for (i = 4; i < argc; i++)
            send_datagram(inet_addr(argv[i]), port, port, NULL, 0);
    else if (strcmp(argv[1], "datagrams") == 0 && argc == 5)
        for (i = 0; i < atoi(argv[4]); i++)
            send_datagram(made_up((unsigned long)i), port, 4000, NULL, 0);
    else if (strcmp(argv[1], "options") == 0)
        options_of_every_kind(port);
    else
        return 1;
    printf("sent %lu\n", sent);
    return 0;
}
