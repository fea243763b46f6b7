/* AWS Lambda's control API on the controller's port (docs/lambda.md). */
#ifndef CONTROLLER_API_LAMBDA_H
#define CONTROLLER_API_LAMBDA_H

#include <stdbool.h>

#include "common/http/http.h"

struct api_request;
struct route;

/* Whether a path is one of that API's, and the route that stands for all of them. */
bool lambda_is_path(struct http_str path);
extern const struct route lambda_route;

#endif /* CONTROLLER_API_LAMBDA_H */
