/* Reading functions' logs: what is kept, then what comes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/runtime/logs.h"
#include "agent/runtime/logs_private.h"
#include "common/check.h"
#include "common/cleanup.h"
#include "common/spec.h"

#define BATCH_BYTES (32 * 1024)
#define BATCH_LINES 512

struct kept_line {
    struct list link;
    struct log_line line;
    char text[];
};

struct file {
    int fd;
    size_t bytes; /* what was there when the reader began; later lines are pushed */
    uint64_t version;
    uint64_t instance;
    bool older; /* the half that was rotated away */
};

/* opened ─▶ worker loads history ─▶ batches, one a next() ─▶ follows or ends
 *
 * The files are opened and measured when the reader begins, and lines written from then
 * on are pushed: each line comes once, whatever is rotated in between. */
struct log_reader {
    struct list link; /* in logs.readers if it follows */
    struct logs *logs;
    char namespace_[SPEC_NAME_MAX + 1];
    char name[SPEC_NAME_MAX + 1];
    uint64_t version;
    bool follow;
    uint32_t tail;
    void (*on_lines)(void *data, const struct log_line *lines, size_t n, bool end);
    void *data;

    struct file *files; /* the worker's until loaded */
    size_t n_files;
    struct kept_line **history;
    size_t n_history;
    size_t capacity;
    size_t at;

    struct list pushed;
    size_t pushed_bytes;
    uint64_t missed;
    bool loaded;
    bool wants; /* next() was called and not answered */
    bool ended;
    bool freed;
    uv_work_t work;
    uv_timer_t deliver; /* callbacks come from the loop, never from within a call */
    unsigned holds;     /* work and timer: memory stays until both are done */
};

/* --- history: on a worker thread --------------------------------------------------- */

static struct kept_line *line_new(const struct log_line *from)
{
    struct kept_line *k = malloc(sizeof(*k) + from->len + 1);

    if (k != NULL) {
        list_init(&k->link);
        k->line = *from;
        memcpy(k->text, from->text, from->len);
        k->text[from->len] = '\0';
        k->line.text = k->text;
    }
    return k;
}

/* What a line takes in memory: an empty one is not for nothing. */
static size_t cost(const struct log_line *line)
{
    return sizeof(struct kept_line) + line->len + 1;
}

static enum log_stream stream_from(const char *name)
{
    return name != NULL && strcmp(name, "stderr") == 0   ? LOG_STREAM_STDERR
           : name != NULL && strcmp(name, "system") == 0 ? LOG_STREAM_SYSTEM
                                                         : LOG_STREAM_STDOUT;
}

static void load_line(struct log_reader *r, const struct file *f, const char *text,
                      size_t len)
{
    json_t *json = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    const json_t *t = json_object_get(json, "text");
    struct log_line line = {
        .wall_ms = (uint64_t)json_integer_value(json_object_get(json, "ts")),
        .version = f->version,
        .stream = stream_from(json_string_value(json_object_get(json, "stream"))),
        .text = json_string_value(t),
        .len = json_string_length(t),
    };
    struct kept_line *k = NULL;

    (void)snprintf(line.instance, sizeof(line.instance), "%" PRIu64, f->instance);
    if (line.text != NULL) { /* a line torn by a power cut is skipped */
        if (r->n_history == r->capacity) {
            size_t capacity = r->capacity > 0 ? r->capacity * 2 : 256;
            struct kept_line **grown =
                reallocarray(r->history, capacity, sizeof(struct kept_line *));

            if (grown != NULL) {
                r->history = grown;
                r->capacity = capacity;
            }
        }
        if (r->n_history < r->capacity && (k = line_new(&line)) != NULL) {
            r->history[r->n_history++] = k;
        }
    }
    json_decref(json);
}

static void load_file(struct log_reader *r, const struct file *f)
{
    _cleanup_free_ char *data = malloc(f->bytes + 1);
    size_t len = 0;
    ssize_t n;

    if (data == NULL) {
        return;
    }
    while (len < f->bytes &&
           (n = pread(f->fd, data + len, f->bytes - len, (off_t)len)) > 0) {
        len += (size_t)n;
    }
    for (size_t at = 0; at < len;) {
        const char *nl = memchr(data + at, '\n', len - at);
        size_t line = nl != NULL ? (size_t)(nl - data) - at : len - at;

        load_line(r, f, data + at, line);
        at += line + 1;
    }
}

static int by_time(const void *a, const void *b)
{
    const struct kept_line *x = *(const struct kept_line *const *)a;
    const struct kept_line *y = *(const struct kept_line *const *)b;

    return x->line.wall_ms < y->line.wall_ms ? -1 : x->line.wall_ms > y->line.wall_ms;
}

static void load_work(uv_work_t *work)
{
    struct log_reader *r = container_of(work, struct log_reader, work);

    for (size_t i = 0; i < r->n_files; i++) {
        load_file(r, &r->files[i]);
    }
    if (r->n_history > 0) { /* glibc's qsort merges: equal times keep their order */
        qsort(r->history, r->n_history, sizeof(struct kept_line *), by_time);
    }
    if (r->tail > 0 && r->n_history > r->tail) {
        r->at = r->n_history - r->tail;
    }
}

/* --- delivery ----------------------------------------------------------------------- */

static void destroy(struct log_reader *r)
{
    for (size_t i = 0; i < r->n_history; i++) {
        free(r->history[i]);
    }
    LIST_FOREACH_SAFE(it, &r->pushed)
    {
        free(container_of(it, struct kept_line, link));
    }
    free(r->history);
    free(r->files);
    free(r);
}

static void release(struct log_reader *r)
{
    CHECK(r->holds > 0);
    if (--r->holds == 0) {
        destroy(r);
    }
}

static size_t fill_history(struct log_reader *r, struct log_line *lines, size_t *bytes)
{
    size_t n = 0;

    while (r->at < r->n_history && n < BATCH_LINES) {
        const struct log_line *line = &r->history[r->at]->line;

        if (n > 0 && *bytes + line->len > BATCH_BYTES) {
            break;
        }
        *bytes += line->len;
        lines[n++] = *line;
        r->at++;
    }
    return n;
}

static void deliver_pushed(struct log_reader *r)
{
    struct log_line lines[BATCH_LINES];
    struct list sent;
    char missed[96];
    size_t bytes = 0;
    size_t n = 0;

    list_init(&sent);
    if (r->missed > 0) {
        int len =
            snprintf(missed, sizeof(missed),
                     "%" PRIu64 " lines skipped: the reader is too slow", r->missed);

        lines[n++] = (struct log_line){.stream = LOG_STREAM_SYSTEM,
                                       .version = r->version,
                                       .text = missed,
                                       .len = (size_t)len};
        lines[0].wall_ms =
            container_of(r->pushed.next, struct kept_line, link)->line.wall_ms;
        r->missed = 0;
    }
    while (!list_empty(&r->pushed) && n < BATCH_LINES) {
        struct kept_line *k = container_of(r->pushed.next, struct kept_line, link);

        if (n > 0 && bytes + k->line.len > BATCH_BYTES) {
            break;
        }
        list_remove(&k->link);
        list_push_back(&sent, &k->link);
        bytes += k->line.len;
        r->pushed_bytes -= cost(&k->line);
        lines[n++] = k->line;
    }
    r->wants = false;
    r->on_lines(r->data, lines, n, false);
    LIST_FOREACH_SAFE(it, &sent)
    {
        free(container_of(it, struct kept_line, link));
    }
}

static void deliver_cb(uv_timer_t *timer)
{
    struct log_reader *r = container_of(timer, struct log_reader, deliver);
    struct log_line lines[BATCH_LINES];
    size_t bytes = 0;
    size_t n;

    if (r->freed || r->ended || !r->loaded || !r->wants) {
        return;
    }
    n = fill_history(r, lines, &bytes);
    if (n > 0) {
        r->wants = false;
        r->on_lines(r->data, lines, n, false);
    } else if (!list_empty(&r->pushed)) {
        deliver_pushed(r);
    } else if (!r->follow) {
        r->wants = false;
        r->ended = true;
        r->on_lines(r->data, NULL, 0, true);
    }
}

static void wake(struct log_reader *r)
{
    if (!r->freed && r->loaded && r->wants) {
        CHECK(uv_timer_start(&r->deliver, deliver_cb, 0, 0) == 0);
    }
}

static void loaded_cb(uv_work_t *work, int status)
{
    struct log_reader *r = container_of(work, struct log_reader, work);

    (void)status;
    for (size_t i = 0; i < r->n_files; i++) {
        (void)close(r->files[i].fd);
    }
    r->loaded = true;
    wake(r);
    release(r);
}

void log_readers_push(struct logs *l, const char *namespace_, const char *name,
                      const struct log_line *line)
{
    LIST_FOREACH(it, &l->readers)
    {
        struct log_reader *r = container_of(it, struct log_reader, link);
        struct kept_line *k;

        if (strcmp(r->namespace_, namespace_) != 0 || strcmp(r->name, name) != 0 ||
            (r->version != 0 && r->version != line->version)) {
            continue;
        }
        k = r->pushed_bytes + cost(line) <= LOG_FOLLOW_MAX ? line_new(line) : NULL;
        if (k == NULL) {
            r->missed++;
            continue;
        }
        r->pushed_bytes += cost(line);
        list_push_back(&r->pushed, &k->link);
        wake(r);
    }
}

/* --- life ----------------------------------------------------------------------------
 */

/* An instance's older half first: lines of the same millisecond keep their order. */
static int by_age(const void *a, const void *b)
{
    const struct file *x = a;
    const struct file *y = b;

    if (x->instance != y->instance) {
        return x->instance < y->instance ? -1 : 1;
    }
    if (x->version != y->version) {
        return x->version < y->version ? -1 : 1;
    }
    return (int)y->older - (int)x->older;
}

static void open_files(struct log_reader *r)
{
    _cleanup_closedir_ DIR *dir = NULL;
    char folder[PATH_MAX];
    struct dirent *e;

    (void)snprintf(folder, sizeof(folder), "%s/%s/%s", r->logs->dir, r->namespace_,
                   r->name);
    dir = opendir(folder);
    while (dir != NULL && r->n_files < LOG_FILES_MAX && (e = readdir(dir)) != NULL) {
        struct file f;
        struct stat st;

        if (!log_file_name_parse(e->d_name, &f.version, &f.instance) ||
            (r->version != 0 && f.version != r->version)) {
            continue;
        }
        f.fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (f.fd < 0) {
            continue;
        }
        if (fstat(f.fd, &st) < 0) {
            (void)close(f.fd);
            continue;
        }
        f.bytes = (size_t)st.st_size;
        f.older = e->d_name[strlen(e->d_name) - 1] == '1';
        r->files[r->n_files++] = f;
    }
    qsort(r->files, r->n_files, sizeof(*r->files), by_age);
}

int log_reader_new(struct log_reader **ret, struct logs *l, const char *namespace_,
                   const char *name, uint64_t version, bool follow, uint32_t tail,
                   void (*on_lines)(void *data, const struct log_line *lines, size_t n,
                                    bool end),
                   void *data)
{
    struct log_reader *r;

    if (!spec_name_valid(namespace_) || !spec_name_valid(name)) {
        return -EINVAL;
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL || (r->files = calloc(LOG_FILES_MAX, sizeof(*r->files))) == NULL) {
        free(r);
        return -ENOMEM;
    }
    r->logs = l;
    (void)snprintf(r->namespace_, sizeof(r->namespace_), "%s", namespace_);
    (void)snprintf(r->name, sizeof(r->name), "%s", name);
    r->version = version;
    r->follow = follow;
    r->tail = tail;
    r->on_lines = on_lines;
    r->data = data;
    r->wants = true;
    list_init(&r->pushed);
    list_init(&r->link);
    logs_flush(l); /* from now on lines are pushed: what was written is in the files */
    open_files(r);
    CHECK(uv_timer_init(l->loop, &r->deliver) == 0);
    CHECK(uv_queue_work(l->loop, &r->work, load_work, loaded_cb) == 0);
    r->holds = 2;
    if (follow) {
        list_push_back(&l->readers, &r->link);
    }
    *ret = r;
    return 0;
}

void log_reader_next(struct log_reader *r)
{
    r->wants = true;
    wake(r);
}

static void closed_cb(uv_handle_t *handle)
{
    release(container_of((uv_timer_t *)handle, struct log_reader, deliver));
}

struct log_reader *log_reader_free(struct log_reader *r)
{
    if (r != NULL) {
        r->freed = true;
        list_remove(&r->link);
        uv_close((uv_handle_t *)&r->deliver, closed_cb);
    }
    return NULL;
}
