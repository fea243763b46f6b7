/* Signature Version 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/sigv4.h"
#include "common/sigv4_text.h"

#define SECRET  "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define NOW     1440938160u /* 2015-08-30T12:36:00Z */
#define EMPTY   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct sigv4_str str(const char *s)
{
    return (struct sigv4_str){s, strlen(s)};
}

static struct sigv4_header header(const char *name, const char *value)
{
    return (struct sigv4_header){str(name), str(value)};
}

static void signed_by(char ret[SIGV4_HASH_SIZE], const struct sigv4_request *r,
                      const char *signed_headers, const char *service)
{
    struct sigv4_claim c = {.date = "20150830", .region = "us-east-1"};
    char text[SIGV4_TEXT_MAX];

    (void)stpcpy(c.service, service);
    (void)stpcpy(c.signed_headers, signed_headers);
    assert_int_equal(sigv4_sign(ret, &c, r, SECRET, EMPTY, "20150830T123600Z", text),
                     SIGV4_GOOD);
}

/* AWS's published vectors ("Signature Version 4 test suite") come out as published. */
static void agrees_with_the_published_vectors(void **state)
{
    static const struct {
        const char *method, *path, *query, *signature;
    } cases[] = {
        {"GET", "/", "",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"POST", "/", "",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"GET", "/", "Param2=value2&Param1=value1",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    };
    const struct sigv4_header headers[] = {header("Host", "example.amazonaws.com"),
                                           header("X-Amz-Date", "20150830T123600Z")};

    for (size_t i = 0; i < SIZE(cases); i++) {
        struct sigv4_request r = {str(cases[i].method), str(cases[i].path),
                                  str(cases[i].query), headers, 2};
        char got[SIGV4_HASH_SIZE];

        signed_by(got, &r, "host;x-amz-date", "service");
        assert_string_equal(got, cases[i].signature);
    }
}

/* The path is encoded once more than it is on the wire, and brought to its normal form.
 */
static void encodes_the_path_twice(void **state)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"", "/"},
        {"/a/b", "/a/b"},
        {"/a/b/", "/a/b/"},
        {"/f%3Aprod/x", "/f%253Aprod/x"},
        {"//a//b/", "/a/b/"},
        {"/a/../b/./c", "/b/c"},
        {"/../..", "/"},
        {"/a:b", "/a%3Ab"},
    };

    for (size_t i = 0; i < SIZE(cases); i++) {
        struct buf b = {0};

        assert_int_equal(sigv4_add_path(&b, str(cases[i][0])), 0);
        assert_string_equal(b.data, cases[i][1]);
        buf_free(&b);
    }
}

/* Parameters are sorted by name, then by value; one may come twice; what has no value
 * gets an empty one; encoding is made uniform. */
static void sorts_the_query(void **state)
{
    static const char *const cases[][2] = {
        {"b=2&a=1", "a=1&b=2"},
        {"tagKeys=b&tagKeys=a", "tagKeys=a&tagKeys=b"},
        {"a", "a="},
        {"a=%2f&&", "a=%2F"},
        {"a=b:c", "a=b%3Ac"},
        {"Qualifier=%24LATEST", "Qualifier=%24LATEST"},
        {"a=%", "a=%25"},
        {"a=%4", "a=%254"},
        {"a=%41", "a=A"},
    };

    for (size_t i = 0; i < SIZE(cases); i++) {
        struct buf b = {0};
        char text[SIGV4_TEXT_MAX];

        assert_int_equal(sigv4_add_query(&b, str(cases[i][0]), text), 0);
        assert_string_equal(b.data, cases[i][1]);
        buf_free(&b);
    }
}

/* Values lose the blanks around them and doubled ones inside; a header that comes twice
 * is one line with a comma. */
static void folds_headers(void **state)
{
    const struct sigv4_header headers[] = {header("B", "  two   words "),
                                           header("a", "1"), header("A", "2")};
    const struct sigv4_request r = {str("GET"), str("/"), str(""), headers, 3};
    char text[SIGV4_TEXT_MAX];
    struct buf b = {0};

    assert_int_equal(sigv4_add_headers(&b, &r, "a;b", text), 0);
    assert_string_equal(b.data, "a:1,2\nb:two words\n");
    assert_true(sigv4_add_headers(&b, &r, "c", text) < 0);
    assert_string_equal(text, "The signed header 'c' is not in the request.");
    buf_free(&b);
}

/* --- a whole request --------------------------------------------------------------- */

struct whole {
    struct sigv4_header headers[6];
    struct sigv4_request r;
    char authorization[512];
    char signature[SIGV4_HASH_SIZE];
};

static void make(struct whole *w, const char *service)
{
    struct sigv4_claim c = {.date = "20150830", .region = "eu-central-1"};
    char text[SIGV4_TEXT_MAX];

    w->headers[0] = header("Host", "127.0.0.1:8080");
    w->headers[1] = header("X-Amz-Date", "20150830T123600Z");
    w->r = (struct sigv4_request){str("POST"),
                                  str("/2015-03-31/functions/f%3Aprod/invocations"),
                                  str(""), w->headers, 2};
    (void)stpcpy(c.service, service);
    (void)stpcpy(c.signed_headers, "host;x-amz-date");
    assert_int_equal(
        sigv4_sign(w->signature, &c, &w->r, SECRET, EMPTY, "20150830T123600Z", text),
        SIGV4_GOOD);
    (void)snprintf(w->authorization, sizeof(w->authorization),
                   "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/%s/"
                   "aws4_request, SignedHeaders=host;x-amz-date, Signature=%s",
                   service, w->signature);
    w->headers[2] = header("Authorization", w->authorization);
    w->r.n_headers = 3;
}

static enum sigv4_outcome check(struct whole *w, const char *secret, const char *hash,
                                uint64_t now, char text[SIGV4_TEXT_MAX])
{
    struct sigv4_claim c;
    enum sigv4_outcome o = sigv4_claim(&c, &w->r, text);

    return o == SIGV4_GOOD ? sigv4_verify(&c, &w->r, "lambda", secret, hash, now, text)
                           : o;
}

/* What was signed with the secret is good, and says whose it is. */
static void takes_a_good_one(void **state)
{
    struct sigv4_claim c;
    struct whole w;
    char text[SIGV4_TEXT_MAX];

    make(&w, "lambda");
    assert_int_equal(sigv4_claim(&c, &w.r, text), SIGV4_GOOD);
    assert_string_equal(c.key, "AKIDEXAMPLE");
    assert_string_equal(c.region, "eu-central-1");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_GOOD);
}

/* Another secret, body, method, path or header: the signature is not of this request. */
static void refuses_another_request(void **state)
{
    char text[SIGV4_TEXT_MAX], other[SIGV4_HASH_SIZE];
    struct whole w;

    make(&w, "lambda");
    assert_int_equal(check(&w, "another secret", EMPTY, NOW, text), SIGV4_INVALID);
    assert_non_null(strstr(text, "does not match the signature you provided"));
    sigv4_hash(other, "x", 1);
    assert_int_equal(check(&w, SECRET, other, NOW, text), SIGV4_INVALID);
    w.r.method = str("GET");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_INVALID);
    make(&w, "lambda");
    w.r.path = str("/2015-03-31/functions/f:prod/invocations");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_INVALID);
    make(&w, "lambda");
    w.headers[0] = header("Host", "other:8080");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_INVALID);
}

/* Five minutes to either side, and no second more. */
static void knows_the_time(void **state)
{
    char text[SIGV4_TEXT_MAX];
    struct whole w;

    make(&w, "lambda");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW + SIGV4_SKEW_S, text), SIGV4_GOOD);
    assert_int_equal(check(&w, SECRET, EMPTY, NOW - SIGV4_SKEW_S, text), SIGV4_GOOD);
    assert_int_equal(check(&w, SECRET, EMPTY, NOW + SIGV4_SKEW_S + 1, text),
                     SIGV4_INVALID);
    assert_string_equal(text, "Signature expired: 20150830T123600Z is now earlier than "
                              "20150830T123601Z (20150830T124101Z - 5 min.)");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW - SIGV4_SKEW_S - 1, text),
                     SIGV4_INVALID);
    assert_string_equal(text,
                        "Signature not yet current: 20150830T123600Z is still later than "
                        "20150830T123559Z (20150830T123059Z + 5 min.)");
}

/* One that is made for another service is not for this one. */
static void knows_its_service(void **state)
{
    char text[SIGV4_TEXT_MAX];
    struct whole w;

    make(&w, "s3");
    assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_INVALID);
    assert_non_null(strstr(text, "correct service: 'lambda'"));
}

/* A body's hash that the client names must be that of the body; a body that nobody
 * signed is refused. */
static void compares_the_body(void **state)
{
    static const char *const wrong[] = {"UNSIGNED-PAYLOAD",
                                        "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", "e3b0"};
    char text[SIGV4_TEXT_MAX];
    struct whole w;

    make(&w, "lambda");
    w.headers[3] = header("x-amz-content-sha256", EMPTY);
    w.r.n_headers = 4;
    assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_GOOD);
    for (size_t i = 0; i < SIZE(wrong); i++) {
        w.headers[3] = header("x-amz-content-sha256", wrong[i]);
        assert_int_equal(check(&w, SECRET, EMPTY, NOW, text), SIGV4_INVALID);
        assert_non_null(strstr(text, "x-amz-content-sha256"));
    }
}

/* What lacks something is told what; what is no such header counts as none. */
static void says_what_is_missing(void **state)
{
#define C "Credential=A/20150830/r/lambda/aws4_request"
#define S "SignedHeaders=host"
#define G "Signature=" EMPTY
    static const struct {
        const char *value;
        enum sigv4_outcome outcome;
        const char *text;
    } cases[] = {
        {"Bearer x", SIGV4_MISSING, "Missing Authentication Token"},
        {"AWS4-HMAC-SHA256", SIGV4_MISSING, "Missing Authentication Token"},
        {"AWS4-HMAC-SHA256 " S ", " G, SIGV4_INCOMPLETE, "'Credential'"},
        {"AWS4-HMAC-SHA256 " C ", " G, SIGV4_INCOMPLETE, "'SignedHeaders'"},
        {"AWS4-HMAC-SHA256 " C ", " S, SIGV4_INCOMPLETE, "'Signature'"},
        {"AWS4-HMAC-SHA256 " C ", " S ", Signature=12", SIGV4_INCOMPLETE, "'Signature'"},
        {"AWS4-HMAC-SHA256 Credential=A/b, " S ", " G, SIGV4_INCOMPLETE, "5 slash"},
        {"AWS4-HMAC-SHA256 Credential=A/20150830/r/lambda/aws4, " S ", " G,
         SIGV4_INCOMPLETE, "5 slash"},
        {"AWS4-HMAC-SHA256 " C ", SignedHeaders=hostess, " G, SIGV4_INCOMPLETE, "'Host'"},
        {"AWS4-HMAC-SHA256 " C "," S "," G, SIGV4_GOOD, NULL},
    };

    for (size_t i = 0; i < SIZE(cases); i++) {
        struct sigv4_header h = header("authorization", cases[i].value);
        struct sigv4_request r = {str("GET"), str("/"), str(""), &h, 1};
        struct sigv4_claim c;
        char text[SIGV4_TEXT_MAX] = "";

        assert_int_equal(sigv4_claim(&c, &r, text), cases[i].outcome);
        if (cases[i].text != NULL) {
            assert_non_null(strstr(text, cases[i].text));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_published_vectors),
        cmocka_unit_test(encodes_the_path_twice),
        cmocka_unit_test(sorts_the_query),
        cmocka_unit_test(folds_headers),
        cmocka_unit_test(takes_a_good_one),
        cmocka_unit_test(refuses_another_request),
        cmocka_unit_test(knows_the_time),
        cmocka_unit_test(knows_its_service),
        cmocka_unit_test(compares_the_body),
        cmocka_unit_test(says_what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
