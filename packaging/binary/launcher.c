/* The first part of the one file. The payload behind it (a compressed tar, packaging/binary/build.py) comes in; it is unpacked once
 * into a directory that only this user can write to and that programs may run from, and then takes this process's place: same
 * process id, no parent that waits, nothing to forward. It must never run what somebody else could have put there.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 512, UNUSABLE = 6 /* the exit code for files that cannot be used, docs/reference.md */ };

struct trailer { /* the last 80 bytes of the file, little-endian as every machine this is built for */
    char magic[16];
    uint64_t offset, length, files, bytes;
    char id[32];
};
static const char MAGIC[16] = "dockgate-payload";

static struct trailer trailer;
static char own_path[PATH_MAX], reasons[8192], newest[PATH_MAX];
static uint64_t counted_files, counted_bytes;

static void because(const char *form, ...) {
    size_t used = strlen(reasons);
    va_list values;
    va_start(values, form);
    used += (size_t)snprintf(reasons + used, sizeof reasons - used, "\n  ");
    if (used < sizeof reasons) vsnprintf(reasons + used, sizeof reasons - used, form, values);
    va_end(values);
}

static int count_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)path, (void)where;
    if (kind == FTW_F) counted_files++, counted_bytes += (uint64_t)about->st_size;
    return 0;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about, (void)kind, (void)where;
    return remove(path) && errno != ENOENT;
}

static void remove_tree(const char *path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

/* Whether nothing is missing: cleaners of temporary directories take what was not read for days, and a power cut what was not written. */
static int is_whole(const char *path) {
    counted_files = counted_bytes = 0;
    return nftw(path, count_one, 16, FTW_PHYS) == 0 && counted_files == trailer.files && counted_bytes == trailer.bytes;
}

static int read_exactly(gzFile from, void *to, unsigned size) { return gzread(from, to, size) == (int)size; }

static int write_file(gzFile from, int folder, const char *name, uint64_t size, mode_t mode) {
    static char buffer[1 << 18];
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (file < 0) return -1;
    uint64_t left = (size + BLOCK - 1) / BLOCK * BLOCK; /* members are padded */
    while (left > 0) {
        unsigned part = left < sizeof buffer ? (unsigned)left : (unsigned)sizeof buffer;
        if (!read_exactly(from, buffer, part)) { close(file); errno = EIO; return -1; }
        uint64_t wanted = size < part ? size : part;
        for (uint64_t done = 0; done < wanted;) {
            ssize_t wrote = write(file, buffer + done, wanted - done);
            if (wrote < 0) { int cause = errno; close(file); errno = cause; return -1; }
            done += (uint64_t)wrote;
        }
        size -= wanted;
        left -= part;
    }
    return close(file);
}

/* Directories and files only, in the old format (POSIX.1-1988 ustar): that is all that build.py writes. */
static int unpack(int folder) {
    char header[BLOCK], name[260];
    int source = open(own_path, O_RDONLY | O_CLOEXEC);
    if (source < 0 || lseek(source, (off_t)trailer.offset, SEEK_SET) < 0) return -1;
    gzFile from = gzdopen(source, "rb");
    int failed = from == NULL;
    if (from) gzbuffer(from, 1 << 18);
    while (!failed) {
        if (!read_exactly(from, header, BLOCK)) { errno = EIO; failed = 1; break; }
        if (header[0] == 0) break;
        if (header[345]) snprintf(name, sizeof name, "%.155s/%.100s", header + 345, header);
        else snprintf(name, sizeof name, "%.100s", header);
        mode_t mode = (mode_t)strtoul(header + 100, NULL, 8) & 0700;
        uint64_t size = strtoull(header + 124, NULL, 8);
        if (header[156] == '5') failed = mkdirat(folder, name, 0700) != 0;
        else failed = write_file(from, folder, name, size, mode) != 0;
    }
    int cause = errno;
    if (from) gzclose(from); else close(source);
    if (!failed && syncfs(folder) != 0) { cause = errno; failed = 1; }
    errno = cause;
    return failed ? -1 : 0;
}

/* Whether nobody but root and this user can put something else in the place of PATH, which is absolute and free of links. */
static int is_ours(const char *path) {
    char upper[PATH_MAX];
    struct stat about;
    snprintf(upper, sizeof upper, "%s", path);
    for (;;) {
        if (lstat(upper, &about) != 0) { because("%s: %s", upper, strerror(errno)); return 0; }
        if (about.st_uid != 0 && about.st_uid != geteuid()) { because("%s: %s belongs to another user", path, upper); return 0; }
        if ((about.st_mode & 022) && !(about.st_mode & S_ISVTX)) { because("%s: others may write to %s", path, upper); return 0; }
        char *slash = strrchr(upper, '/');
        if (slash == upper && upper[1] == 0) return 1;
        if (slash == upper) upper[1] = 0; else *slash = 0;
    }
}

/* What earlier versions left, unless one of them still runs (it holds a lock). */
static void remove_others(const char *base) {
    DIR *folder = opendir(base);
    struct dirent *one;
    char path[PATH_MAX];
    while (folder && (one = readdir(folder))) {
        if (!strcmp(one->d_name, ".") || !strcmp(one->d_name, "..") || !strncmp(one->d_name, trailer.id, sizeof trailer.id)) continue;
        if (snprintf(path, sizeof path, "%s/%s", base, one->d_name) >= (int)sizeof path) continue;
        int other = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (other < 0) continue;
        if (flock(other, LOCK_EX | LOCK_NB) == 0) remove_tree(path);
        close(other);
    }
    if (folder) closedir(folder);
}

/* The open and locked directory of this version, or -1; the descriptor stays open in the program: it is what keeps cleaners away. */
static int take(const char *path) {
    int found = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (found < 0) return -1;
    if (flock(found, LOCK_SH) == 0 && is_whole(path)) return found;
    close(found);
    return -1;
}

static int make(const char *base, const char *path) {
    char aside[PATH_MAX];
    if (snprintf(newest, sizeof newest, "%s/.new-%d", base, getpid()) >= (int)sizeof newest) return -1;
    if (snprintf(aside, sizeof aside, "%s/.old-%d", base, getpid()) >= (int)sizeof aside) return -1;
    remove_tree(newest);
    if (mkdir(newest, 0700) != 0) return -1;
    int folder = open(newest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Locked while it is written: to another start it is not a leftover */
    int failed = folder < 0 || flock(folder, LOCK_SH) != 0 || unpack(folder) != 0;
    if (!failed && rename(newest, path) != 0 && !is_whole(path)) {
        rename(path, aside); /* damaged */
        failed = rename(newest, path) != 0 && !is_whole(path);
        remove_tree(aside);
    }
    int cause = errno;
    if (folder >= 0) close(folder);
    remove_tree(newest);
    errno = cause;
    return failed ? -1 : 0;
}

/* Returns only when DIRECTORY cannot be used. */
static void try_in(const char *directory, const char *name, int make_it, char **argv) {
    char real[PATH_MAX], base[PATH_MAX], path[PATH_MAX], program[PATH_MAX];
    struct statvfs mount;
    if (directory == NULL || directory[0] != '/') return;
    if (make_it) mkdir(directory, 0700);
    if (realpath(directory, real) == NULL) { because("%s: %s", directory, strerror(errno)); return; }
    if (statvfs(real, &mount) == 0 && (mount.f_flag & ST_NOEXEC)) { because("%s: on a file system mounted noexec", directory); return; }
    if (!is_ours(real)) return;
    if (snprintf(base, sizeof base, "%s/%s", strcmp(real, "/") ? real : "", name) >= (int)sizeof base - 64) return;
    if (mkdir(base, 0700) != 0 && errno != EEXIST) { because("%s: %s", directory, strerror(errno)); return; }
    struct stat about;
    if (lstat(base, &about) != 0 || !S_ISDIR(about.st_mode) || about.st_uid != geteuid() || (about.st_mode & 077)) {
        because("%s: not a directory of this user alone", base);
        return;
    }
    snprintf(path, sizeof path, "%s/%.32s", base, trailer.id);
    snprintf(program, sizeof program, "%s/dockgate", path);
    mode_t mask = umask(077);
    int held = take(path);
    if (held < 0) {
        if (make(base, path) != 0) { because("%s: %s", base, strerror(errno)); umask(mask); return; }
        held = take(path);
        remove_others(base);
    }
    umask(mask);
    execv(program, argv);
    because("%s: %s", program, strerror(errno));
    if (held >= 0) close(held);
}

int main(int argc, char **argv) {
    (void)argc;
    ssize_t length = readlink("/proc/self/exe", own_path, sizeof own_path - 1);
    if (length <= 0) snprintf(own_path, sizeof own_path, "%s", (const char *)getauxval(AT_EXECFN)); /* no /proc here */
    int own = open(own_path, O_RDONLY | O_CLOEXEC);
    if (own < 0 || lseek(own, -(off_t)sizeof trailer, SEEK_END) < 0 || read(own, &trailer, sizeof trailer) != sizeof trailer ||
        memcmp(trailer.magic, MAGIC, sizeof MAGIC) != 0) {
        fprintf(stderr, "dockgate: %s: the file is cut short; copy or download it again\n", own_path);
        return UNUSABLE;
    }
    close(own);
    char shared[64], personal[PATH_MAX];
    snprintf(shared, sizeof shared, "dockgate-%u", (unsigned)geteuid());
    const char *named = getenv("DOCKGATE_CACHE"), *home = getenv("HOME");
    if (named && *named) {
        if (*named != '/') because("%s: not an absolute path", named);
        try_in(named, shared, 0, argv);
    } else {
        try_in(getenv("CACHE_DIRECTORY"), "program", 0, argv); /* systemd.exec(5), CacheDirectory= */
        try_in(getenv("XDG_CACHE_HOME"), "dockgate", 1, argv);
        if (home && *home == '/' && home[1] && snprintf(personal, sizeof personal, "%s/.cache", home) < (int)sizeof personal)
            try_in(personal, "dockgate", 1, argv);
        try_in(getenv("TMPDIR"), shared, 0, argv);
        try_in("/var/tmp", shared, 0, argv);
        try_in("/tmp", shared, 0, argv);
        try_in("/dev/shm", shared, 0, argv);
    }
    fprintf(stderr,
            "dockgate: there is no directory in which this program can be unpacked and run:%s\n"
            "  name one of yours, on a file system that allows execution: DOCKGATE_CACHE=/DIRECTORY dockgate ...\n",
            reasons);
    return UNUSABLE;
}
