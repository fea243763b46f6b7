/* The controller's requests for functions' output. A chunk goes out, and the next one
 * only after it was acknowledged: a slow reader holds up nobody but itself. */
#include <stdlib.h>

#include "agent/agent.h"
#include "common/list.h"
#include "common/log.h"

#define JOBS_MAX 64

struct log_job {
    struct list link;
    struct agent *agent;
    uint64_t id;
    struct log_reader *reader;
};

static struct log_job *find(struct agent *a, uint64_t id)
{
    LIST_FOREACH(it, &a->log_jobs)
    {
        struct log_job *j = container_of(it, struct log_job, link);

        if (j->id == id) {
            return j;
        }
    }
    return NULL;
}

static void job_free(struct log_job *j)
{
    list_remove(&j->link);
    j->agent->n_log_jobs--;
    log_reader_free(j->reader);
    free(j);
}

static const char *stream_name(enum log_stream stream)
{
    switch (stream) {
    case LOG_STREAM_STDOUT:
        return "stdout";
    case LOG_STREAM_STDERR:
        return "stderr";
    case LOG_STREAM_SYSTEM:
    default:
        return "system";
    }
}

static int send_chunk(struct agent *a, uint64_t id, const struct log_line *lines,
                      size_t n, bool end)
{
    Mayfly__V1__LogLine *wire = calloc(n + 1, sizeof(*wire));
    Mayfly__V1__LogLine **list = calloc(n + 1, sizeof(*list));
    Mayfly__V1__LogChunk chunk = MAYFLY__V1__LOG_CHUNK__INIT;
    Mayfly__V1__Envelope m = MAYFLY__V1__ENVELOPE__INIT;
    int rc = -1;

    if (wire != NULL && list != NULL) {
        for (size_t i = 0; i < n; i++) {
            mayfly__v1__log_line__init(&wire[i]);
            wire[i].wall_ms = lines[i].wall_ms;
            wire[i].version = lines[i].version;
            wire[i].instance = (char *)(uintptr_t)lines[i].instance;
            wire[i].stream = (char *)(uintptr_t)stream_name(lines[i].stream);
            wire[i].text.data = (uint8_t *)(uintptr_t)lines[i].text;
            wire[i].text.len = lines[i].len;
            list[i] = &wire[i];
        }
        chunk.id = id;
        chunk.lines = list;
        chunk.n_lines = n;
        chunk.end = end;
        m.body_case = MAYFLY__V1__ENVELOPE__BODY_LOG_CHUNK;
        m.log_chunk = &chunk;
        rc = link_send(a->link, &m);
    }
    free(wire);
    free(list);
    return rc;
}

static void on_lines(void *data, const struct log_line *lines, size_t n, bool end)
{
    struct log_job *j = data;

    if (send_chunk(j->agent, j->id, lines, n, end) < 0 || end) {
        job_free(j);
    }
}

void agent_logs_request(struct agent *a, const Mayfly__V1__LogRequest *m)
{
    struct log_job *j =
        a->n_log_jobs < JOBS_MAX && find(a, m->id) == NULL ? calloc(1, sizeof(*j)) : NULL;

    if (j != NULL) {
        j->agent = a;
        j->id = m->id;
        if (log_reader_new(&j->reader, a->logs, m->namespace_, m->name, m->version,
                           m->follow, m->tail, on_lines, j) == 0) {
            list_push_back(&a->log_jobs, &j->link);
            a->n_log_jobs++;
            return;
        }
        free(j);
    }
    log_warn("log request refused", LOG_STR("function", m->name),
             LOG_INT("requests", a->n_log_jobs));
    (void)send_chunk(a, m->id, NULL, 0, true);
}

void agent_logs_ack(struct agent *a, uint64_t id)
{
    struct log_job *j = find(a, id);

    if (j != NULL) {
        log_reader_next(j->reader);
    }
}

void agent_logs_cancel(struct agent *a, uint64_t id)
{
    struct log_job *j = find(a, id);

    if (j != NULL) {
        job_free(j);
    }
}

void agent_logs_cancel_all(struct agent *a)
{
    while (!list_empty(&a->log_jobs)) {
        job_free(container_of(a->log_jobs.next, struct log_job, link));
    }
}
