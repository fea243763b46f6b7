/* Published versions. */
#include <string.h>

#include "controller/api/lambda_private.h"

static void published(struct lambda *l)
{
    json_t *f = controller_core_function(l->r->api->core, l->namespace_, l->native);
    const json_t *v = lambda_native(f, l->number);
    char number[32];

    if (v == NULL) {
        lambda_not_found(l); /* deleted in between */
    } else {
        lambda_version_name(number, v, f);
        lambda_reply(l, lambda_configuration(l, f, v, number));
    }
    json_decref(f);
}

/* The code is what the caller believes it to be. */
static bool check_code(struct lambda *l, const json_t *f)
{
    const char *want = json_string_value(json_object_get(l->json, "CodeSha256"));
    json_t *now = lambda_configuration(l, f, lambda_latest(f), "");
    const char *is = json_string_value(json_object_get(now, "CodeSha256"));
    bool same = want == NULL || *want == '\0' || (is != NULL && strcmp(want, is) == 0);

    if (!same) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST "
                    "(%s). Please try again with the CodeSHA256 in $LATEST.",
                    want, is != NULL ? is : "");
    }
    json_decref(now);
    return same;
}

void lambda_publish_version(struct lambda *l)
{
    struct lambda_checks c = {0};
    const char *description =
        lambda_check_text(&c, l->json, "Description", "description", 0, 256);
    const json_t *latest;
    json_t *f;

    (void)lambda_check_text(&c, l->json, "CodeSha256", "codeSha256", 0, 64);
    if (!lambda_checks_end(&c, l) || (f = lambda_get_settled(l)) == NULL) {
        return;
    }
    if (check_code(l, f)) {
        latest = lambda_latest(f);
        l->changed = published;
        l->again = lambda_publish_version;
        l->r->asked_core = true;
        controller_core_publish(
            l->r->api->core, l->namespace_, l->native,
            (uint64_t)json_integer_value(json_object_get(latest, "number")), description,
            l->if_revision, lambda_was_changed, l->r);
    }
    json_decref(f);
}

void lambda_list_versions(struct lambda *l)
{
    json_t *f = lambda_get_latest(l), *list;
    const json_t *all[LAMBDA_PUBLISHED_MAX];
    char number[32];
    size_t n;

    if (f == NULL) {
        return;
    }
    list = json_array();
    (void)json_array_append_new(
        list, lambda_configuration(l, f, lambda_latest(f), LAMBDA_LATEST));
    n = lambda_list_published(f, all);
    for (size_t i = 0; i < n; i++) {
        lambda_version_name(number, all[i], f);
        (void)json_array_append_new(list, lambda_configuration(l, f, all[i], number));
    }
    json_decref(f);
    lambda_reply_page(l, "Versions", list, "Version", LAMBDA_BY_NUMBER, 50);
}
