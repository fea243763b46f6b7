#include "common/http/http.h"

#include <stdlib.h>
#include <string.h>

char *http_str_dup(struct http_str s)
{
    char *copy = malloc(s.len + 1);

    if (copy != NULL) {
        if (s.len > 0) {
            memcpy(copy, s.at, s.len);
        }
        copy[s.len] = '\0';
    }
    return copy;
}

/* The next of the comma-separated tokens, from *at on; empty: there is none. */
static struct http_str token_next(struct http_str list, size_t *at)
{
    size_t i = *at, end;

    while (i < list.len &&
           (list.at[i] == ' ' || list.at[i] == ',' || list.at[i] == '\t')) {
        i++;
    }
    end = i;
    while (end < list.len && list.at[end] != ',' && list.at[end] != ' ' &&
           list.at[end] != '\t') {
        end++;
    }
    *at = end;
    return (struct http_str){list.at + i, end - i};
}

bool http_token_listed(struct http_str list, struct http_str token)
{
    size_t at = 0;

    for (struct http_str t = token_next(list, &at); t.len > 0;
         t = token_next(list, &at)) {
        if (t.len == token.len && strncasecmp(t.at, token.at, t.len) == 0) {
            return true;
        }
    }
    return false;
}

/* --- upgrades --------------------------------------------------------------------- */

static inline bool begins_with(struct http_str s, const char *prefix)
{
    size_t len = strlen(prefix);

    return s.len >= len && http_str_ieq((struct http_str){s.at, len}, prefix);
}

static bool upgrade_passes(struct http_str protocols)
{
    size_t at = 0;

    for (struct http_str p = token_next(protocols, &at); p.len > 0;
         p = token_next(protocols, &at)) {
        if (http_str_ieq(p, "h2c") || http_str_ieq(p, "h2") || begins_with(p, "HTTP") ||
            begins_with(p, "TLS")) {
            return false;
        }
    }
    return true;
}

struct http_str http_headers_upgrade(struct http_headers headers)
{
    struct http_str protocols = HTTP_STR("");
    bool named = false;

    for (size_t i = 0; i < headers.n; i++) {
        const struct http_header *h = &headers.list[i];

        if (http_str_ieq(h->name, "Connection")) {
            named = named || http_token_listed(h->value, HTTP_STR("Upgrade"));
        } else if (http_str_ieq(h->name, "Upgrade")) {
            if (protocols.len > 0) {
                return HTTP_STR("");
            }
            protocols = h->value;
        }
    }
    return named && upgrade_passes(protocols) ? protocols : HTTP_STR("");
}

/* Those that are hop by hop whatever Connection says; by length, since most names have
 * another one. */
static bool is_hop_by_hop(struct http_str name)
{
    switch (name.len) {
    case 2:
        return http_str_ieq(name, "TE");
    case 6:
        return http_str_ieq(name, "Expect");
    case 7:
        return http_str_ieq(name, "Trailer") || http_str_ieq(name, "Upgrade");
    case 10:
        return http_str_ieq(name, "Connection") || http_str_ieq(name, "Keep-Alive");
    case 14:
        return http_str_ieq(name, "Content-Length");
    case 17:
        return http_str_ieq(name, "Transfer-Encoding");
    default:
        return false;
    }
}

bool http_header_is_hop(struct http_str name, struct http_str connection)
{
    return is_hop_by_hop(name) || begins_with(name, "Proxy-") ||
           (connection.len > 0 && http_token_listed(connection, name));
}

const char *http_status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } table[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {203, "Non-Authoritative Information"},
        {204, "No Content"},
        {205, "Reset Content"},
        {206, "Partial Content"},
        {207, "Multi-Status"},
        {300, "Multiple Choices"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {418, "I'm a teapot"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {511, "Network Authentication Required"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status) {
            return table[i].reason;
        }
    }
    return "";
}
