/* JSON values as YAML text. */
#ifndef CLI_YAML_H
#define CLI_YAML_H

#include <jansson.h>

#include "common/buf.h"

/* Appends json as a YAML document; what reads back as another type is quoted. -ENOMEM. */
int yaml_write(struct buf *out, const json_t *json);

#endif /* CLI_YAML_H */
