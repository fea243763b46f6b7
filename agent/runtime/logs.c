#include "agent/runtime/logs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/runtime/logs_private.h"
#include "common/buf.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/number.h"
#include "common/spec.h"

#define LOG_OUT_MAX    (64 * 1024)
#define LOG_OUT_KEPT   512 /* of its memory, until the next lines */
#define LOG_LINE_LEAST 64  /* what an empty line takes in the file, about */

struct log_sink {
    struct list waiting; /* in logs.waiting while `out` is not empty */
    struct logs *logs;
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    uint64_t version;
    uint64_t instance;
    char *folder;
    char *path;
    bool begun; /* it has written something, so there is a file */
    int fd; /* -1: not open (disk trouble); tried again at the next rotation or line */
    size_t file_bytes;
    struct buf partial[LOG_STREAMS]; /* a line whose end has not come */
    bool skipping[LOG_STREAMS];      /* the rest of a line that was cut */
    uint64_t second;                 /* of the rate's window */
    size_t second_bytes;
    uint64_t dropped_bytes;
    struct buf out; /* lines not yet written: logs_flush() */
    /* The last lines, for those who hold a mark. */
    char *tail; /* a ring of LOG_TAIL, made with the first mark; or NULL */
    uint64_t tail_end;
    unsigned n_marks;
};

int logs_new(struct logs **ret, uv_loop_t *loop, const char *dir, struct error *err)
{
    struct logs *l = calloc(1, sizeof(*l));

    if (l == NULL || (l->dir = strdup(dir)) == NULL) {
        free(l);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        int rc = error_set_errno(err, -errno, "make folder %s", dir);

        free(l->dir);
        free(l);
        return rc;
    }
    l->loop = loop;
    list_init(&l->readers);
    list_init(&l->waiting);
    *ret = l;
    return 0;
}

struct logs *logs_free(struct logs *l)
{
    if (l != NULL) {
        CHECK(list_empty(&l->readers) && list_empty(&l->waiting));
        free(l->dir);
        free(l);
    }
    return NULL;
}

bool log_file_name_parse(const char *name, uint64_t *ret_version, uint64_t *ret_instance)
{
    int end = 0;

    if (sscanf(name, "%" SCNu64 "-%" SCNu64 ".log%n", ret_version, ret_instance, &end) !=
            2 ||
        end == 0) {
        return false;
    }
    return name[end] == '\0' || strcmp(name + end, ".1") == 0;
}

/* --- files ---------------------------------------------------------------------- */

struct kept {
    char name[64];
    struct timespec mtime;
    size_t bytes;
};

static int oldest_first(const void *a, const void *b)
{
    const struct kept *x = a;
    const struct kept *y = b;

    if (x->mtime.tv_sec != y->mtime.tv_sec) {
        return x->mtime.tv_sec < y->mtime.tv_sec ? -1 : 1;
    }
    return x->mtime.tv_nsec < y->mtime.tv_nsec ? -1 : x->mtime.tv_nsec > y->mtime.tv_nsec;
}

static size_t list_kept(DIR *dir, struct kept *kept, size_t max, size_t *ret_bytes)
{
    struct dirent *e;
    size_t n = 0;

    *ret_bytes = 0;
    while (n < max && (e = readdir(dir)) != NULL) {
        uint64_t version;
        uint64_t instance;
        struct stat st;

        if (strlen(e->d_name) >= sizeof(kept->name) ||
            !log_file_name_parse(e->d_name, &version, &instance) ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        memcpy(kept[n].name, e->d_name, strlen(e->d_name) + 1);
        kept[n].mtime = st.st_mtim;
        kept[n].bytes = (size_t)st.st_size;
        *ret_bytes += kept[n++].bytes;
    }
    return n;
}

/* Takes the function's oldest files away until the rest is within its bounds. */
static void prune(const struct log_sink *s)
{
    _cleanup_closedir_ DIR *dir = opendir(s->folder);
    _cleanup_free_ struct kept *kept = calloc((size_t)LOG_FILES_MAX * 4, sizeof(*kept));
    const char *mine = strrchr(s->path, '/') + 1;
    size_t bytes;
    size_t n;
    size_t left;

    if (dir == NULL || kept == NULL) {
        return;
    }
    n = list_kept(dir, kept, (size_t)LOG_FILES_MAX * 4, &bytes);
    qsort(kept, n, sizeof(*kept), oldest_first);
    left = n;
    for (size_t i = 0; i < n; i++) {
        if (bytes <= LOG_FUNCTION_MAX - LOG_FILE_MAX && left <= LOG_FILES_MAX) {
            return;
        }
        if (strcmp(kept[i].name, mine) != 0 &&
            unlinkat(dirfd(dir), kept[i].name, 0) == 0) {
            bytes -= kept[i].bytes;
            left--;
        }
    }
}

static void open_file(struct log_sink *s)
{
    struct stat st;

    s->fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    s->file_bytes = s->fd >= 0 && fstat(s->fd, &st) == 0 ? (size_t)st.st_size : 0;
}

/* Only when there is something to write: an instance that prints nothing, which may live
 * for one call, costs no file. A full disk must not stop functions: see fd. */
static void begin(struct log_sink *s)
{
    char above[PATH_MAX];

    (void)snprintf(above, sizeof(above), "%s/%s", s->logs->dir, s->namespace_);
    (void)mkdir(above, 0700);
    (void)mkdir(s->folder, 0700);
    open_file(s);
    prune(s);
    s->begun = true;
}

static void rotate(struct log_sink *s)
{
    char old[PATH_MAX];

    (void)snprintf(old, sizeof(old), "%s.1", s->path);
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    (void)rename(s->path, old); /* what was in .1 is dropped: the bound */
    open_file(s);
    prune(s);
}

int log_sink_new(struct log_sink **ret, struct logs *l, const char *namespace_,
                 const char *name, uint64_t version, uint64_t instance)
{
    struct log_sink *s = calloc(1, sizeof(*s));

    if (s == NULL || asprintf(&s->folder, "%s/%s/%s", l->dir, namespace_, name) < 0) {
        free(s);
        return -ENOMEM;
    }
    if (asprintf(&s->path, "%s/%" PRIu64 "-%" PRIu64 ".log", s->folder, version,
                 instance) < 0) {
        free(s->folder);
        free(s);
        return -ENOMEM;
    }
    s->logs = l;
    list_init(&s->waiting);
    (void)snprintf(s->namespace_, sizeof(s->namespace_), "%s", namespace_);
    (void)snprintf(s->name, sizeof(s->name), "%s", name);
    s->version = version;
    s->instance = instance;
    s->fd = -1;
    *ret = s;
    return 0;
}

/* --- lines ---------------------------------------------------------------------- */

/* What waits goes to the file, in one write. A disk that takes only a part of it gets it
 * taken back, so that the next line is not glued to half a line. */
static void flush_out(struct log_sink *s)
{
    ssize_t n;

    list_remove(&s->waiting);
    if (s->out.len == 0) {
        return;
    }
    if (!s->begun) {
        begin(s);
    }
    if (s->fd < 0 || s->file_bytes + s->out.len > LOG_FILE_MAX) {
        rotate(s);
    }
    if (s->fd >= 0) {
        n = write(s->fd, s->out.data, s->out.len);
        if (n == (ssize_t)s->out.len) {
            s->file_bytes += s->out.len;
        } else if (n > 0 && ftruncate(s->fd, (off_t)s->file_bytes) < 0) {
            s->file_bytes += (size_t)n;
        }
    }
    s->out.len = 0;
    if (s->out.capacity > LOG_OUT_KEPT) {
        buf_free(&s->out);
    }
}

void logs_flush(struct logs *l)
{
    while (!list_empty(&l->waiting)) {
        flush_out(container_of(l->waiting.next, struct log_sink, waiting));
    }
}

/* --- the tail ------------------------------------------------------------------- */

static void add_to_tail(struct log_sink *s, const char *text, size_t len)
{
    for (size_t i = len > LOG_TAIL ? len - LOG_TAIL : 0; s->tail != NULL && i < len;
         i++) {
        s->tail[(s->tail_end + i) % LOG_TAIL] = text[i];
    }
    s->tail_end += len;
}

uint64_t log_sink_mark(struct log_sink *s)
{
    if (s->tail == NULL) {
        s->tail = malloc(LOG_TAIL); /* without memory there is none to show */
    }
    s->n_marks++;
    return s->tail_end;
}

size_t log_sink_tail(struct log_sink *s, uint64_t mark, char *ret)
{
    uint64_t len = s->tail_end - mark;

    CHECK(s->n_marks > 0 && mark <= s->tail_end);
    s->n_marks--;
    if (ret == NULL || s->tail == NULL) {
        return 0;
    }
    len = len < LOG_TAIL ? len : LOG_TAIL;
    for (uint64_t i = 0; i < len; i++) {
        ret[i] = s->tail[(s->tail_end - len + i) % LOG_TAIL];
    }
    return (size_t)len;
}

/* --- writing -------------------------------------------------------------------- */

/* Returns what it takes in the file. */
static size_t store(struct log_sink *s, enum log_stream stream, const char *text,
                    size_t len)
{
    struct log_line line = {
        .wall_ms = clock_wall_ms(),
        .version = s->version,
        .stream = stream,
        .text = text,
        .len = len,
    };
    size_t before = s->out.len;

    (void)number_text(line.instance, s->instance);
    log_readers_push(s->logs, s->namespace_, s->name, &line);
    if (s->n_marks > 0) {
        add_to_tail(s, text, len);
        add_to_tail(s, "\n", 1);
    }
    if (log_line_append(&s->out, &line) < 0) {
        s->out.len = before;
    }
    before = s->out.len - before;
    if (s->out.len >= LOG_OUT_MAX) {
        flush_out(s);
    } else if (list_empty(&s->waiting)) {
        list_push_back(&s->logs->waiting, &s->waiting);
    }
    return before;
}

static void say_dropped(struct log_sink *s)
{
    char text[128];
    int len;

    if (s->dropped_bytes > 0) {
        len = snprintf(text, sizeof(text), "%" PRIu64 " bytes of output were dropped",
                       s->dropped_bytes);
        s->dropped_bytes = 0;
        (void)store(s, LOG_STREAM_SYSTEM, text, (size_t)len);
    }
}

static void count_dropped(struct log_sink *s, size_t bytes)
{
    static const char text[] =
        "more than 1 MiB of output in a second: the rest is dropped";

    if (s->dropped_bytes == 0) {
        (void)store(s, LOG_STREAM_SYSTEM, text, sizeof(text) - 1);
    }
    s->dropped_bytes += bytes;
}

/* The rate counts anew each second. */
static void look_at_clock(struct log_sink *s)
{
    uint64_t second = clock_mono_ms() / 1000;

    if (second != s->second) {
        s->second = second;
        s->second_bytes = 0;
        say_dropped(s);
    }
}

static void put_line(struct log_sink *s, enum log_stream stream, const char *text,
                     size_t len)
{
    if (s->second_bytes + len > LOG_RATE_BYTES && stream != LOG_STREAM_SYSTEM) {
        count_dropped(s, len + 1);
        return;
    }
    s->second_bytes += store(s, stream, text, len);
}

static void flush_partial(struct log_sink *s, enum log_stream stream)
{
    struct buf *b = &s->partial[stream];

    if (b->len > 0 && b->data[b->len - 1] == '\r') {
        b->len--;
    }
    put_line(s, stream, b->data != NULL ? b->data : "", b->len);
    b->len = 0;
}

static void take(struct log_sink *s, enum log_stream stream, const char *data, size_t len)
{
    struct buf *b = &s->partial[stream];

    while (len > 0) {
        const char *nl = memchr(data, '\n', len);
        size_t n = nl != NULL ? (size_t)(nl - data) : len;
        size_t room = LOG_LINE_MAX - b->len;
        bool over = n > room;

        if (!s->skipping[stream]) {
            (void)buf_append(b, data, over ? room : n);
            if (over) {
                flush_partial(s, stream); /* cut: the rest of the line is dropped */
                s->skipping[stream] = true;
            }
        }
        if (nl != NULL) {
            if (!s->skipping[stream]) {
                flush_partial(s, stream);
            }
            s->skipping[stream] = false;
            n++;
        }
        data += n;
        len -= n;
    }
}

/* In a flood: all whole lines at once, unseen. Returns how much that was. */
static size_t drop(struct log_sink *s, enum log_stream stream, const char *data,
                   size_t len)
{
    const char *last = memrchr(data, '\n', len);
    size_t n = last != NULL ? (size_t)(last - data) + 1 : 0;

    if (n > 0) {
        count_dropped(s, s->partial[stream].len + n);
        s->partial[stream].len = 0;
        s->skipping[stream] = false;
    }
    return n;
}

void log_sink_write(struct log_sink *s, enum log_stream stream, const char *data,
                    size_t len)
{
    look_at_clock(s);
    if (s->second_bytes + LOG_LINE_LEAST > LOG_RATE_BYTES &&
        stream != LOG_STREAM_SYSTEM) {
        size_t n = drop(s, stream, data, len);

        data += n;
        len -= n;
    }
    take(s, stream, data, len);
}

struct log_sink *log_sink_free(struct log_sink *s)
{
    if (s != NULL) {
        for (int i = 0; i < LOG_STREAMS; i++) {
            if (s->partial[i].len > 0) {
                flush_partial(s, (enum log_stream)i);
            }
            buf_free(&s->partial[i]);
        }
        say_dropped(s);
        flush_out(s);
        buf_free(&s->out);
        if (s->fd >= 0) {
            (void)close(s->fd);
        }
        free(s->folder);
        free(s->path);
        free(s->tail);
        free(s);
    }
    return NULL;
}
