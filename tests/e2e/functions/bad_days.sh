#!/bin/bash
# A bootstrap by hand that does as its events say, rightly or wrongly.
base=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
started=$(date +%s%N)
last=nothing

post() { # PATH BODY [HEADER…]: prints the status and the error's type
    local path=$1 body=$2 reply
    shift 2
    reply=$(curl -sS -X POST -w '\n%{http_code}' -d "$body" "$@" "$base/$path")
    echo "${reply##*$'\n'} $(jq -r '.errorType // empty' <<<"${reply%$'\n'*}")"
}

# Bytes, then an error in the trailers: what curl cannot send.
stream_and_fail() {
    local document
    document=$(printf '{"errorType":"HalfWay","errorMessage":"no more"}' | base64 -w0)
    exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
    printf '%s\r\n' "POST /2018-06-01/runtime/invocation/$1/response HTTP/1.1" "Host: runtime" \
        "Lambda-Runtime-Function-Response-Mode: streaming" "Transfer-Encoding: chunked" \
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body" "" \
        5 begun 0 "Lambda-Runtime-Function-Error-Type: Function.HalfWay" \
        "Lambda-Runtime-Function-Error-Body: $document" "" >&3
    head -n 1 <&3
    exec 3<&-
}

case $INIT in
error)
    post init/error '{"errorType":"NoConfig","errorMessage":"not today"}' \
        -H 'Lambda-Runtime-Function-Error-Type: Runtime.NoConfig'
    exit 1
    ;;
never) exec sleep 3600 ;;
esac
while :; do
    event=$(curl -sS -D /tmp/head "$base/invocation/next") || exit 1
    id=$(grep -i '^lambda-runtime-aws-request-id:' /tmp/head | tr -d '\r' | cut -d' ' -f2)
    answer=invocation/$id/response
    case $(jq -r '.do // empty' <<<"$event") in
    raise)
        post "invocation/$id/error" '{"errorType":"Wanted","errorMessage":"as wanted"}' \
            -H 'Lambda-Runtime-Function-Error-Type: Function.Wanted'
        ;;
    exit) exit 3 ;;
    hang) exec sleep 3600 ;;
    'no json') post "$answer" '{not json' ;;
    twice)
        post "$answer" '"first"'
        last=$(post "$answer" '"second"')
        ;;
    'wrong id')
        last=$(post invocation/11111111-2222-3333-4444-555555555555/response '"nobody"')
        post "$answer" '"mine"'
        ;;
    'stream and fail') stream_and_fail "$id" ;;
    'never next')
        post "$answer" '"answered"'
        exec sleep 3600
        ;;
    last) post "$answer" "\"$last\"" ;;
    *) post "$answer" "\"$started\"" ;;
    esac
done
