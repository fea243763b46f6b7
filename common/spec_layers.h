/* The layers of a function: packages that are merged at /opt, later ones over earlier
 * ones.
 *
 * A deployment names them, "tools:3" or (the newest) "tools"; the controller looks the
 * names up once, and the version keeps what they stood for: it lasts as long as the
 * version, also if the layer is deleted. Used by spec.c and by who looks names up. */
#ifndef COMMON_SPEC_LAYERS_H
#define COMMON_SPEC_LAYERS_H

#include "common/spec.h"

/* "name" or "name:version"; version 0: the newest. -EINVAL, with the story in err. */
int spec_layer_parse(struct spec_layer *ret, const char *text, struct error *err);
/* True once its package is known. */
bool spec_layer_resolved(const struct spec_layer *l);

int spec_layers_copy(struct function_spec *dst, const struct function_spec *src);
/* A list of texts as above, or of {"name", "version", "package"}. */
int spec_layers_from_json(struct function_spec *s, const json_t *list, struct error *err);
json_t *spec_layers_to_json(const struct function_spec *s); /* NULL: out of memory */
int spec_layers_validate(const struct function_spec *s, struct error *err);

#endif /* COMMON_SPEC_LAYERS_H */
