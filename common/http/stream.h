/* What libuv does not do for a stream, or does at a higher price. */
#ifndef COMMON_HTTP_STREAM_H
#define COMMON_HTTP_STREAM_H

#include <uv.h>

/* uv_try_write(), but by send(2): write(2) goes through the file layer, whose checks are
 * for files. The stream's write queue must be empty. How many bytes, UV_EAGAIN for none,
 * or what is wrong. */
int http_stream_try_write(uv_stream_t *stream, const uv_buf_t *bufs, unsigned n);

#endif /* COMMON_HTTP_STREAM_H */
