/* What AWS's tools need to speak with the cluster of `mayfly dev`: an access key, made
 * once and kept in the state folder, and how to use it. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "controller/cli/cli.h"
#include "controller/cli/dev.h"
#include "controller/cli/http.h"
#include "controller/cli/print.h"
#include "controller/cli/rest.h"

#define FILE_NAME "aws-key.json"
#define ASK_MS    5000

static json_t *read_key(const char *path)
{
    json_t *key = json_load_file(path, 0, NULL);

    if (json_string_value(json_object_get(key, "access_key_id")) == NULL ||
        json_string_value(json_object_get(key, "secret_access_key")) == NULL) {
        json_decref(key);
        key = NULL;
    }
    return key;
}

static void keep_key(const char *path, const json_t *key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd >= 0) {
        (void)json_dumpfd(key, fd, JSON_INDENT(2));
        (void)close(fd);
    }
}

static json_t *make_key(const struct cli *c)
{
    json_t *body = json_object(), *key = NULL;
    struct http_reply reply = {0};
    struct error err;

    if (body != NULL &&
        rest_ask(c, "POST", body, ASK_MS, &reply, &err, "/v1/namespaces/default/keys") ==
            0 &&
        reply.status == 201) {
        key = rest_json(&reply);
    }
    http_reply_free(&reply);
    json_decref(body);
    return key;
}

void dev_aws(const struct dev *d, const struct dev_state *s)
{
    _cleanup_free_ char *path = cli_text("%s/" FILE_NAME, d->dir);
    _cleanup_free_ char *url = cli_text("http://%s:%u", s->host, s->ports[DEV_REST]);
    struct cli c = *d->c;
    json_t *key;

    if (path == NULL || url == NULL) {
        return;
    }
    c.url = url;
    key = read_key(path);
    if (key == NULL) {
        key = make_key(&c);
        if (key == NULL) {
            return; /* it can be made later: mayfly keys create */
        }
        keep_key(path, key);
    }
    cli_say(&c, "AWS's tools:");
    cli_say(&c, "  aws configure set aws_access_key_id %s --profile mayfly",
            json_text(key, "access_key_id", ""));
    cli_say(&c, "  aws configure set aws_secret_access_key %s --profile mayfly",
            json_text(key, "secret_access_key", ""));
    cli_say(&c, "  aws configure set region us-east-1 --profile mayfly");
    cli_say(&c,
            "  aws --profile mayfly --endpoint-url http://%s:%u lambda list-functions",
            s->host, s->ports[DEV_GATEWAY]);
    json_decref(key);
}
