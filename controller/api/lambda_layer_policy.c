/* Policies of layers' versions: kept and shown as AWS does. Who may use a layer is
 * decided by the namespace that has it, not by them (docs/lambda.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define STATEMENTS_MAX 100
#define ACTION         "lambda:GetLayerVersion"

/* The version's statements, new; NULL: it is not there, and the request was answered. */
static json_t *get_statements(struct lambda *l, uint64_t number)
{
    json_t *layer = controller_core_layer(l->r->api->core, l->namespace_, l->native);
    const json_t *v, *policy;
    char arn[LAMBDA_ARN_SIZE];
    json_t *list = NULL;
    size_t i;

    json_array_foreach(json_object_get(layer, "versions"), i, v)
    {
        if ((uint64_t)json_integer_value(json_object_get(v, "number")) == number) {
            policy = json_object_get(json_object_get(v, "attributes"), "policy");
            list = policy != NULL ? json_deep_copy(policy) : json_array();
        }
    }
    l->if_revision = (uint64_t)json_integer_value(json_object_get(layer, "revision"));
    if (list == NULL) {
        lambda_layer_arn(arn, l->region, l->r->api->options.lambda_account, l->ref.name,
                         number);
        lambda_fail(l, LAMBDA_E_NOT_FOUND, "Layer version %s does not exist.", arn);
    }
    json_decref(layer);
    return list;
}

static void revision_of(char ret[40], const json_t *list)
{
    char *text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);

    lambda_revision_id(ret, lambda_hash(text != NULL ? text : "", LAMBDA_HASH_BEGIN));
    free(text);
}

static bool check_revision(struct lambda *l, const json_t *list)
{
    const char *want = lambda_query(l, "RevisionId");
    char now[40];

    revision_of(now, list);
    if (want == NULL || *want == '\0' || strcmp(want, now) == 0) {
        return true;
    }
    lambda_fail(l, LAMBDA_E_PRECONDITION,
                "The Revision Id provided does not match the latest Revision Id. Call "
                "the GetLayerPolicy API to retrieve the latest Revision Id");
    return false;
}

/* Takes the list over. */
static void change(struct lambda *l, uint64_t number, json_t *list,
                   void (*changed)(struct lambda *l))
{
    l->changed = changed;
    l->r->asked_core = true;
    controller_core_set_layer_attribute(l->r->api->core, l->namespace_, l->native, number,
                                        "policy", json_array_size(list) > 0 ? list : NULL,
                                        l->if_revision, lambda_layer_changed, l->r);
    json_decref(list);
}

static bool check(struct lambda *l)
{
    struct lambda_checks c = {0};
    const char *action;

    lambda_check_statement(&c, l->json);
    action = lambda_check_text(&c, l->json, "Action", "action", 1, 22);
    if (action != NULL && strcmp(action, ACTION) != 0) {
        lambda_check_add(&c, action, "action",
                         "Member must satisfy regular expression pattern: " ACTION);
    }
    (void)lambda_check_text(&c, l->json, "Principal", "principal", 1, 512);
    (void)lambda_check_text(&c, l->json, "OrganizationId", "organizationId", 1, 34);
    return lambda_checks_end(&c, l);
}

static json_t *statement(const struct lambda *l, uint64_t number)
{
    const json_t *b = l->json, *organization = json_object_get(b, "OrganizationId");
    const char *principal = json_string_value(json_object_get(b, "Principal"));
    char arn[LAMBDA_ARN_SIZE];
    bool account = strlen(principal) == 12 && strspn(principal, "0123456789") == 12;
    json_t *s;

    lambda_layer_arn(arn, l->region, l->r->api->options.lambda_account, l->ref.name,
                     number);
    s = json_pack("{s:O, s:s, s:o, s:s, s:s}", "Sid", json_object_get(b, "StatementId"),
                  "Effect", "Allow", "Principal",
                  account ? json_sprintf("arn:aws:iam::%s:root", principal)
                          : json_string(principal),
                  "Action", ACTION, "Resource", arn);
    if (json_is_string(organization)) {
        (void)json_object_set_new(
            s, "Condition",
            json_pack("{s:{s:O}}", "StringEquals", "aws:PrincipalOrgID", organization));
    }
    return s;
}

static void added(struct lambda *l)
{
    uint64_t number;
    json_t *list, *s;
    char revision[40], *text;

    if (!lambda_layer_read(l, &number) || (list = get_statements(l, number)) == NULL) {
        return;
    }
    s = statement(l, number);
    text = json_dumps(s, JSON_COMPACT);
    revision_of(revision, list);
    lambda_reply(l, json_pack("{s:s, s:s}", "Statement", text != NULL ? text : "",
                              "RevisionId", revision));
    free(text);
    json_decref(s);
    json_decref(list);
}

void lambda_add_layer_permission(struct lambda *l)
{
    const char *sid = json_string_value(json_object_get(l->json, "StatementId"));
    uint64_t number;
    json_t *list;

    if (!check(l) || !lambda_layer_read(l, &number) ||
        (list = get_statements(l, number)) == NULL) {
        return;
    }
    l->again = lambda_add_layer_permission;
    if (!check_revision(l, list)) {
        json_decref(list);
    } else if (lambda_find_statement(list, sid) < json_array_size(list)) {
        lambda_fail(l, LAMBDA_E_CONFLICT,
                    "The statement id (%s) provided already exists. Please provide a new "
                    "statement id, or remove the existing statement.",
                    sid);
        json_decref(list);
    } else if (json_array_size(list) == STATEMENTS_MAX) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "The policy has %d statements, the most there may be.",
                    STATEMENTS_MAX);
        json_decref(list);
    } else {
        (void)json_array_append_new(list, statement(l, number));
        change(l, number, list, added);
    }
}

void lambda_get_layer_policy(struct lambda *l)
{
    uint64_t number;
    json_t *list, *document;
    char revision[40], *text;

    if (!lambda_layer_read(l, &number) || (list = get_statements(l, number)) == NULL) {
        return;
    }
    if (json_array_size(list) == 0) {
        lambda_fail(l, LAMBDA_E_NOT_FOUND,
                    "No policy is associated with the given resource.");
        json_decref(list);
        return;
    }
    revision_of(revision, list);
    document = json_pack("{s:s, s:s, s:o}", "Version", "2012-10-17", "Id", "default",
                         "Statement", list);
    text = json_dumps(document, JSON_COMPACT);
    lambda_reply(l, json_pack("{s:s, s:s}", "Policy", text != NULL ? text : "",
                              "RevisionId", revision));
    free(text);
    json_decref(document);
}

void lambda_remove_layer_permission(struct lambda *l)
{
    uint64_t number;
    json_t *list;
    size_t at;

    if (!lambda_layer_read(l, &number) || (list = get_statements(l, number)) == NULL) {
        return;
    }
    l->again = lambda_remove_layer_permission;
    at = lambda_find_statement(list, l->path.params[2]);
    if (!check_revision(l, list)) {
        json_decref(list);
    } else if (at == json_array_size(list)) {
        lambda_fail(l, LAMBDA_E_NOT_FOUND,
                    "Statement %s is not found in resource policy.", l->path.params[2]);
        json_decref(list);
    } else {
        (void)json_array_remove(list, at);
        change(l, number, list, lambda_reply_empty);
    }
}
