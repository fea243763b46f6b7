#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "controller/cli/dev.h"
#include "controller/cli/print.h"
#include "controller/cli/term.h"

#define STATE_FILE   "dev.json"
#define LOCK_FILE    "lock"
#define LOCK_STEP_MS 50

const char *const dev_daemon_names[DEV_DAEMONS] = {
    [DEV_CONTROLLER] = "mayfly-controller",
    [DEV_AGENT] = "mayfly-agent",
};

static const char *const port_names[DEV_PORTS] = {
    [DEV_GATEWAY] = "gateway",
    [DEV_REST] = "rest",
    [DEV_HUB] = "hub",
    [DEV_METRICS] = "metrics",
};

char *dev_path(const char *dir, const char *name)
{
    return cli_text("%s/%s", dir, name);
}

/* --- dev.json ----------------------------------------------------------------- */

static struct process process_from(const json_t *json)
{
    return (struct process){.pid = (pid_t)json_number(json, "pid"),
                            .start = (uint64_t)json_number(json, "start")};
}

static json_t *process_json(const struct process *p)
{
    return json_pack("{s:I, s:I}", "pid", (json_int_t)p->pid, "start",
                     (json_int_t)p->start);
}

int dev_state_read(const char *dir, struct dev_state *ret)
{
    _cleanup_free_ char *path = dev_path(dir, STATE_FILE);
    json_t *json = path != NULL ? json_load_file(path, 0, NULL) : NULL;

    if (json == NULL) {
        return -ENOENT; /* or half a file: it is renamed into place, so not ours */
    }
    *ret = (struct dev_state){.ready = json_is_true(json_object_get(json, "ready")),
                              .supervisor =
                                  process_from(json_object_get(json, "supervisor"))};
    for (unsigned i = 0; i < DEV_DAEMONS; i++) {
        ret->daemons[i] = process_from(json_object_get(json, dev_daemon_names[i]));
    }
    for (unsigned i = 0; i < DEV_PORTS; i++) {
        ret->ports[i] =
            (uint16_t)json_number(json_object_get(json, "ports"), port_names[i]);
    }
    (void)snprintf(ret->host, sizeof(ret->host), "%s",
                   json_text(json, "host", "127.0.0.1"));
    json_decref(json);
    return 0;
}

int dev_state_write(const char *dir, const struct dev_state *s, struct error *err)
{
    _cleanup_free_ char *path = dev_path(dir, STATE_FILE);
    _cleanup_free_ char *next = dev_path(dir, STATE_FILE ".next");
    json_t *ports = json_object();
    json_t *json = json_pack("{s:s, s:b, s:o, s:o}", "host", s->host, "ready", s->ready,
                             "supervisor", process_json(&s->supervisor), "ports", ports);
    int rc = path == NULL || next == NULL || json == NULL ? -ENOMEM : 0;

    for (unsigned i = 0; i < DEV_DAEMONS && rc == 0; i++) {
        rc = json_object_set_new(json, dev_daemon_names[i], process_json(&s->daemons[i]));
    }
    for (unsigned i = 0; i < DEV_PORTS && rc == 0; i++) {
        rc = json_object_set_new(ports, port_names[i], json_integer(s->ports[i]));
    }
    if (rc != 0) {
        json_decref(json);
        return error_set(err, -ENOMEM, "out of memory");
    }
    rc = json_dump_file(json, next, JSON_INDENT(2)) != 0 || chmod(next, 0644) < 0 ||
                 rename(next, path) < 0
             ? error_set_errno(err, errno != 0 ? -errno : -EIO, "write %s", path)
             : 0;
    json_decref(json);
    return rc;
}

void dev_state_remove(const char *dir)
{
    _cleanup_free_ char *path = dev_path(dir, STATE_FILE);

    if (path != NULL) {
        (void)unlink(path);
    }
}

json_t *dev_endpoints_read(void)
{
    const char *dir = getenv("MAYFLY_DEV_DIR");
    struct dev_state s;

    if (dev_state_read(dir != NULL && *dir != '\0' ? dir : DEV_DIR_DEFAULT, &s) < 0 ||
        !process_is_alive(&s.supervisor)) {
        return NULL;
    }
    return json_pack("{s:o, s:o}", "url",
                     json_sprintf("http://%s:%u", s.host, s.ports[DEV_REST]), "gateway",
                     json_sprintf("http://%s:%u", s.host, s.ports[DEV_GATEWAY]));
}

/* --- the lock ----------------------------------------------------------------- */

int dev_lock(const char *dir, uint64_t wait_ms, int *ret_fd, struct error *err)
{
    _cleanup_free_ char *path = dev_path(dir, LOCK_FILE);
    _cleanup_close_ int fd =
        path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
    uint64_t deadline = clock_mono_ms() + wait_ms;

    if (fd < 0) {
        return error_set_errno(err, path != NULL ? -errno : -ENOMEM, "open %s/" LOCK_FILE,
                               dir);
    }
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return error_set_errno(err, -errno, "lock %s", path);
        }
        if (clock_mono_ms() >= deadline) {
            return error_set(err, -EWOULDBLOCK, "%s is locked", path);
        }
        term_pause_ms(LOCK_STEP_MS);
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}
