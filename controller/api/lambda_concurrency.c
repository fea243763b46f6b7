/* Reserved and provisioned concurrency: attributes that the core goes by
 * (CORE_RESERVED, CORE_PROVISIONED); and the account's numbers. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/api/lambda_private.h"

#define ACCOUNT_MAX    1000 /* calls at once of the account, as AWS's default */
#define UNRESERVED_MIN 100
#define BELOW_MINIMUM                                                  \
    "Specified ConcurrentExecutions for function decreases account's " \
    "UnreservedConcurrentExecution below its minimum value of [%d]."

static json_int_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* --- sums --------------------------------------------------------------------------- */

const json_t *lambda_reserved(const json_t *function)
{
    return json_object_get(
        json_object_get(json_object_get(function, "attributes"), CORE_RESERVED), "calls");
}

/* Of all the function's names but this one (NULL: of all). */
static json_int_t provisioned_sum(const json_t *function, const char *but)
{
    json_int_t sum = 0;
    const json_t *value;
    const char *qualifier;
    void *at = NULL;

    while ((qualifier = lambda_attribute_next(function, CORE_PROVISIONED, &at, &value)) !=
           NULL) {
        if (but == NULL || strcmp(qualifier, but) != 0) {
            sum += integer_of(value, "calls");
        }
    }
    return sum;
}

/* What a function takes out of the account's: what is reserved contains what is
 * provisioned. */
static json_int_t taken_by(const json_t *function)
{
    const json_t *reserved = lambda_reserved(function);

    return reserved != NULL ? json_integer_value(reserved)
                            : provisioned_sum(function, NULL);
}

static json_int_t taken_by_others(const struct lambda *l, const json_t *function)
{
    struct core_account a = controller_core_account(l->r->api->core, l->namespace_);

    return (json_int_t)a.calls - taken_by(function);
}

/* --- reserved ----------------------------------------------------------------------- */

static void reserved_put(struct lambda *l)
{
    lambda_reply(l, json_pack("{s:O}", "ReservedConcurrentExecutions",
                              json_object_get(l->json, "ReservedConcurrentExecutions")));
}

/* Whether the function can have n reserved. False: answered. */
static bool check_reserved(struct lambda *l, const json_t *f, int64_t n)
{
    json_int_t kept = provisioned_sum(f, NULL);
    json_int_t slots =
        integer_of(json_object_get(lambda_latest(f), "spec"), "concurrency");

    if (n + taken_by_others(l, f) > ACCOUNT_MAX - UNRESERVED_MIN) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, BELOW_MINIMUM, UNRESERVED_MIN);
        return false;
    }
    if (n < kept) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "ReservedConcurrentExecutions  %" PRId64
                    " should not be lower than function's total provisioned concurrency "
                    "[%lld].",
                    n, (long long)kept);
        return false;
    }
    if (slots > 1 && n % slots != 0) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "ReservedConcurrentExecutions is %" PRId64
                    ", which whole instances of %lld calls at once cannot make up; give "
                    "a multiple of %lld.",
                    n, (long long)slots, (long long)slots);
        return false;
    }
    return true;
}

void lambda_put_concurrency(struct lambda *l)
{
    struct lambda_checks c = {0};
    int64_t n = -1;
    json_t *f;

    if (!lambda_check_number(&c, l->json, "ReservedConcurrentExecutions",
                             "reservedConcurrentExecutions", 0, INT32_MAX, &n) &&
        c.n == 0) {
        lambda_check_add(&c, "null", "reservedConcurrentExecutions",
                         "Member must not be null");
    }
    if (!lambda_checks_end(&c, l) || (f = lambda_base(l, lambda_get_latest(l))) == NULL) {
        return;
    }
    l->again = lambda_put_concurrency;
    if (check_reserved(l, f, n)) {
        lambda_change_attribute(l, CORE_RESERVED,
                                json_pack("{s:I}", "calls", (json_int_t)n), reserved_put);
    }
    json_decref(f);
}

void lambda_get_concurrency(struct lambda *l)
{
    json_t *f = lambda_get_latest(l);
    const json_t *n = lambda_reserved(f);

    if (f != NULL) {
        lambda_reply(l, n != NULL ? json_pack("{s:O}", "ReservedConcurrentExecutions", n)
                                  : json_object());
    }
    json_decref(f);
}

void lambda_delete_concurrency(struct lambda *l)
{
    json_t *f = lambda_base(l, lambda_get_latest(l));

    l->again = lambda_delete_concurrency;
    if (f != NULL && lambda_reserved(f) == NULL) {
        lambda_reply_empty(l);
    } else if (f != NULL) {
        lambda_change_attribute(l, CORE_RESERVED, NULL, lambda_reply_empty);
    }
    json_decref(f);
}

/* --- provisioned: how far it is -------------------------------------------------------
 */

struct allocation {
    json_int_t calls; /* that instances are ready for */
    bool no_room;
};

/* A version that shall have instances ready for so many calls. */
static void add_version(const struct lambda *l, const json_t *version, json_int_t calls,
                        struct allocation *a)
{
    json_int_t slots = integer_of(json_object_get(version, "spec"), "concurrency");
    struct core_readiness r;
    json_int_t ready;

    if (calls == 0 ||
        !controller_core_readiness(l->r->api->core, l->namespace_, l->native,
                                   (uint64_t)integer_of(version, "number"), &r)) {
        return;
    }
    ready = (json_int_t)r.ready * (slots > 1 ? slots : 1);
    a->calls += ready < calls ? ready : calls;
    a->no_room = a->no_room || (ready < calls && r.no_room > 0);
}

static struct allocation allocated(const struct lambda *l, const json_t *f,
                                   const char *qualifier, json_int_t calls)
{
    const json_t *alias = lambda_alias_of(f, qualifier), *weight;
    const json_t *weights = json_object_get(alias, "weights");
    struct allocation a = {0};
    size_t i;

    if (alias == NULL) {
        add_version(l, lambda_published(f, qualifier), calls, &a);
        return a;
    }
    json_array_foreach(weights, i, weight)
    {
        double part = json_number_value(json_object_get(weight, "weight")) / 100;

        add_version(l, lambda_alias_version(f, alias, i),
                    (json_int_t)ceil(part * (double)calls - 1e-9), &a);
    }
    a.calls = a.calls < calls ? a.calls : calls;
    return a;
}

static json_t *provisioned_view(const struct lambda *l, const json_t *f,
                                const char *qualifier, const json_t *kept)
{
    json_int_t calls = integer_of(kept, "calls");
    struct allocation a = allocated(l, f, qualifier, calls);
    bool ready = a.calls == calls;
    json_t *out =
        json_pack("{s:I, s:I, s:I, s:s, s:O}", "RequestedProvisionedConcurrentExecutions",
                  calls, "AvailableProvisionedConcurrentExecutions", a.calls,
                  "AllocatedProvisionedConcurrentExecutions", a.calls, "Status",
                  ready       ? "READY"
                  : a.no_room ? "FAILED"
                              : "IN_PROGRESS",
                  "LastModified", json_object_get(kept, "modified"));

    if (!ready && a.no_room) {
        (void)json_object_set_new(
            out, "StatusReason",
            json_string("No node has room for all of these instances; they are started "
                        "when there is."));
    }
    return out;
}

/* --- provisioned: operations ----------------------------------------------------------
 */

/* The function, which has what the qualifier names. NULL: answered. */
static json_t *get_named(struct lambda *l, const char *unpublished)
{
    const char *q = l->ref.qualifier;
    struct lambda_checks c = {0};
    char arn[LAMBDA_ARN_SIZE];
    json_t *f;

    if (*q == '\0') {
        lambda_check_add(&c, "null", "qualifier", "Member must not be null");
        (void)lambda_checks_end(&c, l);
        return NULL;
    }
    if (lambda_is_latest(q)) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, "%s", unpublished);
        return NULL;
    }
    f = controller_core_function(l->r->api->core, l->namespace_, l->native);
    if (f != NULL && lambda_meant(f, q) != NULL) {
        return lambda_base(l, f);
    }
    lambda_own_arn(l, q, arn);
    lambda_fail(l, LAMBDA_E_NOT_FOUND, "%s: %s",
                f != NULL && strspn(q, "0123456789") != strlen(q)
                    ? "Cannot find alias arn"
                    : "Function not found",
                arn);
    json_decref(f);
    return NULL;
}

/* An alias has it or the version that it names, not both. */
static bool check_overlap(struct lambda *l, const json_t *f)
{
    const json_t *aliases = json_object_get(f, "aliases"), *alias;
    const json_t *meant = lambda_meant(f, l->ref.qualifier);
    bool is_alias = lambda_alias_of(f, l->ref.qualifier) != NULL;
    char number[32];
    size_t i;

    lambda_version_name(number, meant, f);
    if (is_alias && lambda_attribute(f, CORE_PROVISIONED, number) != NULL) {
        lambda_fail(l, LAMBDA_E_CONFLICT,
                    "Alias can't be used for Provisioned Concurrency configuration on an "
                    "already Provisioned version");
        return false;
    }
    json_array_foreach(aliases, i, alias)
    {
        const char *name = json_string_value(json_object_get(alias, "name"));

        if (!is_alias && lambda_alias_version(f, alias, 0) == meant &&
            lambda_attribute(f, CORE_PROVISIONED, name) != NULL) {
            lambda_fail(l, LAMBDA_E_CONFLICT,
                        "Version is pointed by a Provisioned Concurrency alias");
            return false;
        }
    }
    return true;
}

static bool check_provisioned(struct lambda *l, const json_t *f, json_int_t n)
{
    const json_t *reserved = lambda_reserved(f);
    const json_t *spec = json_object_get(lambda_meant(f, l->ref.qualifier), "spec");
    json_int_t sum = n + provisioned_sum(f, l->ref.qualifier);

    if (reserved != NULL && sum > json_integer_value(reserved)) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Requested Provisioned Concurrency should not be greater than the "
                    "reservedConcurrentExecution for function");
        return false;
    }
    if (n > ACCOUNT_MAX) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Specified ConcurrentExecutions for function is greater than "
                    "account's unreserved concurrency [%d].",
                    ACCOUNT_MAX);
        return false;
    }
    if (reserved == NULL && sum + taken_by_others(l, f) > ACCOUNT_MAX - UNRESERVED_MIN) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER, BELOW_MINIMUM, UNRESERVED_MIN);
        return false;
    }
    if (json_is_false(json_object_get(spec, "reuse"))) {
        lambda_fail(l, LAMBDA_E_INVALID_PARAMETER,
                    "Each call of this function has a sandbox of its own (reuse is "
                    "false): no instances can be kept ready for it.");
        return false;
    }
    return check_overlap(l, f);
}

static void reply_provisioned(struct lambda *l)
{
    json_t *f = get_named(l, "The function resource provided must be an alias or a "
                             "published version.");
    const json_t *kept =
        f != NULL ? lambda_attribute(f, CORE_PROVISIONED, l->ref.qualifier) : NULL;

    if (f != NULL && kept == NULL) {
        lambda_fail(l, LAMBDA_E_NO_PROVISIONED,
                    "No Provisioned Concurrency Config found for this function");
    } else if (f != NULL) {
        lambda_reply(l, provisioned_view(l, f, l->ref.qualifier, kept));
    }
    json_decref(f);
}

void lambda_put_provisioned(struct lambda *l)
{
    struct lambda_checks c = {0};
    int64_t n = 0;
    char now[40];
    json_t *f;

    if (!lambda_check_number(&c, l->json, "ProvisionedConcurrentExecutions",
                             "provisionedConcurrentExecutions", 1, INT32_MAX, &n) &&
        c.n == 0) {
        lambda_check_add(&c, "null", "provisionedConcurrentExecutions",
                         "Member must not be null");
    }
    if (!lambda_checks_end(&c, l) ||
        (f = get_named(l, "Provisioned Concurrency Configs cannot be applied to "
                          "unpublished function versions.")) == NULL) {
        return;
    }
    l->again = lambda_put_provisioned;
    if (check_provisioned(l, f, n)) {
        lambda_now(now);
        lambda_change_qualified(
            l, CORE_PROVISIONED,
            json_pack("{s:I, s:s}", "calls", (json_int_t)n, "modified", now),
            reply_provisioned);
    }
    json_decref(f);
}

static json_t *listed(const struct lambda *l, const json_t *f, const char *qualifier,
                      const json_t *kept)
{
    char arn[LAMBDA_ARN_SIZE];
    json_t *one;

    if (lambda_meant(f, qualifier) == NULL) {
        return NULL;
    }
    lambda_own_arn(l, qualifier, arn);
    one = provisioned_view(l, f, qualifier, kept);
    (void)json_object_set_new(one, "FunctionArn", json_string(arn));
    return one;
}

void lambda_get_provisioned(struct lambda *l)
{
    if (lambda_query(l, "List") != NULL) {
        lambda_reply_attributes(l, CORE_PROVISIONED, "ProvisionedConcurrencyConfigs",
                                listed);
    } else {
        reply_provisioned(l);
    }
}

void lambda_delete_provisioned(struct lambda *l)
{
    json_t *f = get_named(l, "The function resource provided must be an alias or a "
                             "published version.");

    l->again = lambda_delete_provisioned;
    if (f != NULL && lambda_attribute(f, CORE_PROVISIONED, l->ref.qualifier) == NULL) {
        lambda_fail(l, LAMBDA_E_NO_PROVISIONED,
                    "No Provisioned Concurrency Config found for this function");
    } else if (f != NULL) {
        lambda_change_qualified(l, CORE_PROVISIONED, NULL, lambda_reply_empty);
    }
    json_decref(f);
}

/* --- the account ----------------------------------------------------------------------
 */

void lambda_account_settings(struct lambda *l)
{
    struct core_account a = controller_core_account(l->r->api->core, l->namespace_);

    lambda_reply(l, json_pack("{s:{s:I, s:i, s:i, s:i, s:I}, s:{s:I, s:I}}",
                              "AccountLimit", "TotalCodeSize", (json_int_t)80530636800,
                              "CodeSizeUnzipped", LAMBDA_UNZIPPED_MAX, "CodeSizeZipped",
                              LAMBDA_ZIP_MAX, "ConcurrentExecutions", ACCOUNT_MAX,
                              "UnreservedConcurrentExecutions",
                              ACCOUNT_MAX - (json_int_t)a.calls, "AccountUsage",
                              "TotalCodeSize", (json_int_t)a.package_bytes,
                              "FunctionCount", (json_int_t)a.functions));
}
