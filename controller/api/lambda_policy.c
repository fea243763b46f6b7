/* Permissions policies: kept and shown as AWS does. Who may call a function is decided by
 * its namespace's access keys, not by them (docs/lambda.md). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define POLICY_BYTES_MAX 20480
#define SID_CHARS        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/* A function, and each of its aliases and published versions, has a policy of its own. */
static const json_t *statements(const struct lambda *l, const json_t *function)
{
    return lambda_attribute(function, "policy", l->ref.qualifier);
}

size_t lambda_find_statement(const json_t *list, const char *sid)
{
    size_t n = json_array_size(list);

    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_array_get(list, i);

        if (strcmp(json_string_value(json_object_get(s, "Sid")), sid) == 0) {
            return i;
        }
    }
    return n;
}

static json_t *policy_document(const json_t *list)
{
    return json_pack("{s:s, s:s, s:O}", "Version", "2012-10-17", "Id", "default",
                     "Statement", list);
}

static size_t policy_bytes(const json_t *list)
{
    json_t *document = policy_document(list);
    char *text = json_dumps(document, JSON_COMPACT);
    size_t len = text != NULL ? strlen(text) : 0;

    free(text);
    json_decref(document);
    return len;
}

/* A service, an account, everybody, or an ARN. */
static json_t *principal(const char *text)
{
    if (strcmp(text, "*") == 0) {
        return json_string("*");
    }
    if (strlen(text) == 12 && strspn(text, "0123456789") == 12) {
        return json_pack("{s:o}", "AWS", json_sprintf("arn:aws:iam::%s:root", text));
    }
    return json_pack("{s:s}", strncmp(text, "arn:", 4) == 0 ? "AWS" : "Service", text);
}

static void add_condition(json_t *statement, const char *op, const char *key,
                          const json_t *value)
{
    json_t *condition = json_object_get(statement, "Condition");

    if (json_is_string(value)) {
        if (condition == NULL) {
            condition = json_object();
            (void)json_object_set_new(statement, "Condition", condition);
        }
        if (json_object_get(condition, op) == NULL) {
            (void)json_object_set_new(condition, op, json_object());
        }
        (void)json_object_set(json_object_get(condition, op), key,
                              (json_t *)(uintptr_t)value);
    }
}

static json_t *statement(const struct lambda *l)
{
    const json_t *b = l->json;
    char arn[LAMBDA_ARN_SIZE];
    json_t *s;

    lambda_own_arn(l, l->ref.qualifier, arn);
    s = json_pack("{s:O, s:s, s:o, s:O, s:s}", "Sid", json_object_get(b, "StatementId"),
                  "Effect", "Allow", "Principal",
                  principal(json_string_value(json_object_get(b, "Principal"))), "Action",
                  json_object_get(b, "Action"), "Resource", arn);
    add_condition(s, "ArnLike", "AWS:SourceArn", json_object_get(b, "SourceArn"));
    add_condition(s, "StringEquals", "AWS:SourceAccount",
                  json_object_get(b, "SourceAccount"));
    add_condition(s, "StringEquals", "lambda:FunctionUrlAuthType",
                  json_object_get(b, "FunctionUrlAuthType"));
    add_condition(s, "StringEquals", "aws:PrincipalOrgID",
                  json_object_get(b, "PrincipalOrgID"));
    return s;
}

void lambda_check_statement(struct lambda_checks *c, const json_t *json)
{
    static const char *const needed[][2] = {
        {"StatementId", "statementId"}, {"Action", "action"}, {"Principal", "principal"}};
    const char *sid;

    for (size_t i = 0; i < 3; i++) {
        if (json_object_get(json, needed[i][0]) == NULL) {
            lambda_check_add(c, "null", needed[i][1], "Member must not be null");
        }
    }
    sid = lambda_check_text(c, json, "StatementId", "statementId", 1, 100);
    if (sid != NULL && strspn(sid, SID_CHARS) != strlen(sid)) {
        lambda_check_add(c, sid, "statementId",
                         "Member must satisfy regular expression pattern: "
                         "([a-zA-Z0-9-_]+)");
    }
}

static bool check(struct lambda *l)
{
    static const char *const auth[] = {"NONE", "AWS_IAM", NULL};
    struct lambda_checks c = {0};
    const char *action;

    lambda_check_statement(&c, l->json);
    action = lambda_check_text(&c, l->json, "Action", "action", 1, 256);
    if (action != NULL && strcmp(action, "*") != 0 &&
        (strncmp(action, "lambda:", 7) != 0 || action[7] == '\0')) {
        lambda_check_add(&c, action, "action",
                         "Member must satisfy regular expression pattern: "
                         "(lambda:[*]|lambda:[a-zA-Z]+|[*])");
    }
    (void)lambda_check_text(&c, l->json, "Principal", "principal", 1, 512);
    (void)lambda_check_enum(&c, l->json, "FunctionUrlAuthType", "functionUrlAuthType",
                            auth);
    return lambda_checks_end(&c, l);
}

static json_t *get_based(struct lambda *l)
{
    json_t *f = lambda_get(l);

    if (f != NULL && !lambda_precondition(l, f)) {
        json_decref(f);
        f = NULL;
    }
    return lambda_base(l, f);
}

static void change(struct lambda *l, json_t *list, void (*changed)(struct lambda *l))
{
    json_t *value = json_array_size(list) > 0 ? json_incref(list) : NULL;

    json_decref(list);
    lambda_change_qualified(l, "policy", value, changed);
}

static void added(struct lambda *l)
{
    json_t *s = statement(l);
    char *text = json_dumps(s, JSON_COMPACT);

    lambda_reply(l, json_pack("{s:s}", "Statement", text != NULL ? text : ""));
    free(text);
    json_decref(s);
}

void lambda_add_permission(struct lambda *l)
{
    const char *sid = json_string_value(json_object_get(l->json, "StatementId"));
    const json_t *now;
    json_t *f, *list;

    if (strcmp(l->ref.qualifier, LAMBDA_LATEST) == 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "We currently do not support adding policies for $LATEST.");
        return;
    }
    if (!check(l) || (f = get_based(l)) == NULL) {
        return;
    }
    now = statements(l, f);
    if (lambda_find_statement(now, sid) < json_array_size(now)) {
        lambda_fail(l, LAMBDA_E_CONFLICT,
                    "The statement id (%s) provided already exists. Please provide a new "
                    "statement id, or remove the existing statement.",
                    sid);
        json_decref(f);
        return;
    }
    list = now != NULL ? json_deep_copy(now) : json_array();
    (void)json_array_append_new(list, statement(l));
    l->again = lambda_add_permission;
    if (policy_bytes(list) > POLICY_BYTES_MAX) {
        json_decref(list);
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "The final policy size (over %d) is bigger than the limit (%d).",
                    POLICY_BYTES_MAX, POLICY_BYTES_MAX);
    } else {
        change(l, list, added);
    }
    json_decref(f);
}

void lambda_get_policy(struct lambda *l)
{
    json_t *f = lambda_get(l), *document;
    const json_t *list = statements(l, f);
    char revision[40], *text;

    if (f == NULL) {
        return;
    }
    if (list == NULL) {
        lambda_fail(l, LAMBDA_E_NOT_FOUND, "The resource you requested does not exist.");
        json_decref(f);
        return;
    }
    document = policy_document(list);
    text = json_dumps(document, JSON_COMPACT);
    lambda_revision_id(revision,
                       (uint64_t)json_integer_value(json_object_get(f, "revision")));
    lambda_reply(l, json_pack("{s:s, s:s}", "Policy", text != NULL ? text : "",
                              "RevisionId", revision));
    free(text);
    json_decref(document);
    json_decref(f);
}

void lambda_remove_permission(struct lambda *l)
{
    json_t *f = get_based(l), *list;
    const json_t *now = statements(l, f);
    size_t at = lambda_find_statement(now, l->path.params[1]);

    if (f == NULL) {
        return;
    }
    l->again = lambda_remove_permission;
    if (now == NULL) {
        lambda_fail(l, LAMBDA_E_NOT_FOUND,
                    "No policy is associated with the given resource.");
    } else if (at == json_array_size(now)) {
        lambda_fail(l, LAMBDA_E_NOT_FOUND,
                    "Statement %s is not found in resource policy.", l->path.params[1]);
    } else {
        list = json_deep_copy(now);
        (void)json_array_remove(list, at);
        change(l, list, lambda_reply_empty);
    }
    json_decref(f);
}
