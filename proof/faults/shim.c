/*
 * Loaded before the C library (ld.so(8), LD_PRELOAD): a disk that is full, broken or slow, and a clock that is wrong, for the
 * files whose names contain PROOF_FILES and for the process that it is loaded into. What is to happen is read at each call from
 * PROOF_CONTROL, a file of 64-bit numbers that others write; what went to the disk is noted in PROOF_TRACE, if there is one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, READ = 16, INDEX = 32 };
enum { T_WRITE = 1, T_TRUNCATE = 2, T_SYNC = 3, T_UNLINK = 4 };
enum { DATABASE = 1, WAL = 2, JOURNAL = 3, OTHER = 4, SHARED = 5 };

struct control {
  int64_t calls;    /* which of the enum above fail */
  int64_t error;    /* with this errno; 0: they do not fail */
  int64_t skip;     /* so many go well before */
  int64_t count;    /* so many fail then; negative: all */
  int64_t delay_ms; /* each of them takes so long */
  int64_t clock_ms; /* the wall clock is wrong by this */
  int64_t seen;     /* calls that matched */
  int64_t failed;
  int64_t synced; /* fsyncs that went well, whatever the others say */
};

static struct control nothing, *control = &nothing;
static const char *files;
static int trace = -1;
#define DESCRIPTORS 65536
static unsigned char kinds[DESCRIPTORS];

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("PROOF_CONTROL");
  files = getenv("PROOF_FILES");
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
  if (path) {
    int fd = real_open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
      void *at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (at != MAP_FAILED) control = at;
      close(fd);
    }
  }
  path = getenv("PROOF_TRACE");
  if (path) trace = real_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int kind_of(const char *path) {
  const char *found = files && path ? strstr(path, files) : NULL;
  if (!found) return 0;
  const char *end = found + strlen(files);
  if (!*end) return DATABASE;
  if (!strcmp(end, "-wal")) return WAL;
  if (!strcmp(end, "-journal")) return JOURNAL;
  if (!strcmp(end, "-shm")) return SHARED;
  if (!strcmp(end, ".serving")) return 0;
  return OTHER;
}

static int kind(int fd) { return fd >= 0 && fd < DESCRIPTORS ? kinds[fd] : 0; }

static int fails(int call) {
  if (!(control->calls & call)) return 0;
  __sync_fetch_and_add(&control->seen, 1);
  int64_t delay = control->delay_ms;
  if (delay > 0) {
    struct timespec rest = {delay / 1000, delay % 1000 * 1000000};
    nanosleep(&rest, NULL);
  }
  int64_t error = control->error;
  if (!error) return 0;
  if (control->skip > 0 && __sync_fetch_and_sub(&control->skip, 1) > 0) return 0;
  if (control->count >= 0 && __sync_fetch_and_sub(&control->count, 1) <= 0) return 0;
  __sync_fetch_and_add(&control->failed, 1);
  errno = (int)error;
  return 1;
}

/* What is done to the index of the WAL counts as INDEX, whatever it is: nothing of it has to be on the disk. */
static int fails_on(int of, int call) { return of && fails(of == SHARED ? (call == READ ? 0 : INDEX) : call); }

static void note(unsigned char what, int kind, int64_t offset, const void *data, uint32_t size) {
  if (trace < 0 || !kind || kind == OTHER || kind == SHARED) return;
  struct __attribute__((packed)) { unsigned char what, kind; int64_t offset; uint32_t size; } head = {what, kind, offset, size};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)data, data ? size : 0}};
  int before = errno;
  if (writev(trace, parts, 2) < 0) abort();
  errno = before;
}

#define OPENED(name, ...)                                       \
  int of = kind_of(path);                                       \
  if (fails_on(of, OPEN)) return -1;                            \
  mode_t mode = 0;                                              \
  if (flags & (O_CREAT | O_TMPFILE)) {                          \
    va_list more;                                               \
    va_start(more, flags);                                      \
    mode = va_arg(more, mode_t);                                \
    va_end(more);                                               \
  }                                                             \
  REAL(name);                                                   \
  int fd = real(__VA_ARGS__);                                   \
  if (fd >= 0 && fd < DESCRIPTORS) kinds[fd] = (unsigned char)of; \
  return fd;

int open(const char *path, int flags, ...) { OPENED(open, path, flags, mode) }
int open64(const char *path, int flags, ...) { OPENED(open64, path, flags, mode) }
int openat(int at, const char *path, int flags, ...) { OPENED(openat, at, path, flags, mode) }
int openat64(int at, const char *path, int flags, ...) { OPENED(openat64, at, path, flags, mode) }

int close(int fd) {
  REAL(close);
  if (fd >= 0 && fd < DESCRIPTORS) kinds[fd] = 0;
  return real(fd);
}

static ssize_t written(int fd, const void *data, size_t size, off64_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
  int of = kind(fd);
  if (of) {
    if (fails_on(of, WRITE)) return -1;
    note(T_WRITE, of, offset, data, (uint32_t)size);
  }
  return real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return written(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return written(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "write");
  int of = kind(fd);
  if (of) {
    if (fails_on(of, WRITE)) return -1;
    note(T_WRITE, of, lseek64(fd, 0, SEEK_CUR), data, (uint32_t)size);
  }
  return real(fd, data, size);
}

static ssize_t taken(int fd, void *data, size_t size, off64_t offset) {
  static ssize_t (*real)(int, void *, size_t, off64_t);
  if (!real) real = dlsym(RTLD_NEXT, "pread64");
  return fails_on(kind(fd), READ) ? -1 : real(fd, data, size, offset);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset) { return taken(fd, data, size, offset); }
ssize_t pread64(int fd, void *data, size_t size, off64_t offset) { return taken(fd, data, size, offset); }

static void synced(int of) {
  __sync_fetch_and_add(&control->synced, 1);
  note(T_SYNC, of, 0, NULL, 0);
}

int fsync(int fd) {
  REAL(fsync);
  int of = kind(fd);
  if (fails_on(of, SYNC)) return -1;
  int done = real(fd);
  if (of && !done) synced(of);
  return done;
}

int fdatasync(int fd) {
  REAL(fdatasync);
  int of = kind(fd);
  if (fails_on(of, SYNC)) return -1;
  int done = real(fd);
  if (of && !done) synced(of);
  return done;
}

int ftruncate64(int fd, off64_t size) {
  REAL(ftruncate64);
  int of = kind(fd);
  if (of) {
    if (fails_on(of, TRUNCATE)) return -1;
    note(T_TRUNCATE, of, size, NULL, 0);
  }
  return real(fd, size);
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int unlink(const char *path) {
  REAL(unlink);
  int done = real(path);
  if (!done) note(T_UNLINK, kind_of(path), 0, NULL, 0);
  return done;
}

/* -- the wall clock */

int clock_gettime(clockid_t which, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int done = real(which, now);
  int64_t wrong = control->clock_ms;
  if (!done && wrong && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
    int64_t ns = now->tv_nsec + wrong % 1000 * 1000000;
    now->tv_sec += wrong / 1000 + (ns < 0 ? -1 : ns / 1000000000);
    now->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
  }
  return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  int done = clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return done;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}
