/*
 * A library for LD_PRELOAD that gives MIT's programs a fixed clock and fixed "random" bytes,
 * so that make.sh makes the same realm each time it runs. For the fixture only: keys made
 * under it are worth nothing.
 *
 * FIXED_TIME  what time() and gettimeofday() answer, Unix seconds
 * FIXED_SEED  the seed of the byte stream that stands in for getrandom(2)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static uint64_t number(const char *name)
{
    const char *s = getenv(name);
    return s ? strtoull(s, NULL, 10) : 1;
}

time_t time(time_t *out)
{
    time_t t = (time_t)number("FIXED_TIME");
    if (out)
        *out = t;
    return t;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    (void)zone;
    tv->tv_sec = time(NULL);
    tv->tv_usec = 0;
    return 0;
}

/* The process id goes into MIT's generator too. */
pid_t getpid(void)
{
    return 4242;
}

/* splitmix64 */
static void fill(unsigned char *p, size_t n)
{
    static uint64_t state;
    static int ready;
    if (!ready) {
        state = number("FIXED_SEED");
        ready = 1;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t z = (state += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        p[i] = (unsigned char)(z ^ (z >> 31));
    }
}

ssize_t getrandom(void *buf, size_t n, unsigned flags)
{
    (void)flags;
    fill(buf, n);
    return (ssize_t)n;
}

int getentropy(void *buf, size_t n)
{
    fill(buf, n);
    return 0;
}

/* libk5crypto asks the kernel through syscall(). */
long syscall(long nr, ...)
{
    static long (*real)(long, ...);
    long a[6];
    va_list ap;
    va_start(ap, nr);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(ap, long);
    va_end(ap);
    if (nr == SYS_getrandom) {
        fill((unsigned char *)a[0], (size_t)a[1]);
        return a[1];
    }
    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
