/* References to packages, from JSON and back. */
#include <errno.h>
#include <string.h>

#include "common/spec.h"

int package_ref_from_json(struct package_ref *p, const json_t *json, struct error *err)
{
    const char *digest, *format, *file_name;
    struct package_ref next = {.format = SPEC_FORMAT_TAR};
    int rc;

    if (!json_is_object(json)) {
        return error_set(err, -EINVAL, "package is not a map");
    }
    digest = json_string_value(json_object_get(json, "digest"));
    if (digest == NULL || !spec_digest_valid(digest)) {
        return error_set(err, -EINVAL,
                         "package.digest is not a SHA-256 in 64 hex digits");
    }
    memcpy(next.digest, digest, sizeof(next.digest));
    format = json_string_value(json_object_get(json, "format"));
    rc = format != NULL ? spec_format_parse(format) : -EINVAL;
    if (rc < 0) {
        return error_set(err, -EINVAL,
                         "package.format is \"%.20s\"; give zip, tar or file",
                         format != NULL ? format : "");
    }
    next.format = (enum spec_format)rc;
    file_name = json_string_value(json_object_get(json, "file_name"));
    if (next.format == SPEC_FORMAT_FILE) {
        if (file_name == NULL || !spec_file_name_valid(file_name)) {
            return error_set(err, -EINVAL, "package.file_name is not a plain file name");
        }
        (void)stpcpy(next.file_name, file_name);
    }
    next.bytes = (uint64_t)json_integer_value(json_object_get(json, "bytes"));
    *p = next;
    return 0;
}

json_t *package_ref_to_json(const struct package_ref *p)
{
    return json_pack("{s:s, s:I, s:s, s:s}", "digest", p->digest, "bytes",
                     (json_int_t)p->bytes, "format", spec_format_name(p->format),
                     "file_name", p->file_name);
}
