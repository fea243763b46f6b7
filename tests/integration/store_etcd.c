/* The conformance suite on the etcd engine, against a real etcd; then its bad days. */
#include "tests/integration/store_etcd.h"

#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h> /* needs the four above */

#include "tests/integration/store_suite.h"

static struct etcd_server server;

/* Only one test at a time: each begins by clearing what the one before has left. */
static int open_store(struct store **ret, uv_loop_t *loop, struct error *err)
{
    const char *const endpoints[] = {server.url, NULL};
    struct store_etcd_options options = {.endpoints = endpoints};
    struct store_op all = {.type = STORE_DELETE_PREFIX, .key = ""};
    struct answer a = {0};
    int rc = store_etcd_new(ret, loop, &options, err);

    if (rc == 0) {
        store_txn(*ret, NULL, 0, &all, 1, answer_txn, &a);
        while (a.calls == 0) {
            (void)uv_run(loop, UV_RUN_ONCE); /* the call has a timeout of its own */
        }
        rc = a.status < 0 ? error_set(err, a.status, "%s", a.text) : 0;
    }
    return rc;
}

static size_t ignore(char *bytes, size_t size, size_t n, void *data)
{
    return size * n;
}

static void compact(struct client *c)
{
    char url[96];
    char body[64];
    long status = 0;
    CURL *easy = curl_easy_init();

    (void)snprintf(url, sizeof(url), "%s/v3/kv/compaction", server.url);
    (void)snprintf(body, sizeof(body), "{\"revision\":\"%lld\"}",
                   (long long)client_put(c, "compact", "x"));
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 10L);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    assert_int_equal(status, 200);
    curl_easy_cleanup(easy);
}

int main(void)
{
    static const struct suite_engine engine = {
        .name = "store_etcd", .open = open_store, .compact = compact};
    struct error err = {0};
    int failed;

    if (!etcd_server_available()) {
        (void)puts("1..0 # SKIP no etcd on this machine: apt-get install etcd-server");
        return 77;
    }
    if (etcd_servers_start(&server, 1, &err) < 0) {
        (void)printf("Bail out! %s\n", err.text);
        return 1;
    }
    failed = store_suite_run(&engine);
    failed += store_etcd_faults_run(&server);
    etcd_server_end(&server);
    return failed;
}
