#!/bin/sh
# Image on stdin, thumbnail on stdout. In the query: size (the longest side, 16 to 2048;
# default 320) and format (jpeg, png or webp; default jpeg). What is wrong is said on stderr
# and by the exit status.
set -euf

fail() {
    echo "thumbnail: $*" >&2
    exit 1
}

size=320 format=jpeg
IFS='&'
for pair in ${QUERY_STRING:-}; do
    case $pair in
    size=*) size=${pair#size=} ;;
    format=*) format=${pair#format=} ;;
    *) fail "the query has \"$pair\"; it may have size and format" ;;
    esac
done
case $size in
'' | *[!0-9]* | ?????*) fail "size is \"$size\"; give 16 to 2048" ;;
esac
if [ "$size" -lt 16 ] || [ "$size" -gt 2048 ]; then
    fail "size is $size; give 16 to 2048"
fi
case $format in
jpeg | png | webp) ;;
*) fail "format is \"$format\"; give jpeg, png or webp" ;;
esac

# policy.xml beside this script leaves ImageMagick with the formats of photographs: no
# scripts, no vector formats, nothing that names another file. A JPEG is decoded at about the
# size that is needed; of an animation the first picture is taken; transparency that JPEG
# does not have becomes white.
export MAGICK_CONFIGURE_PATH="$PWD"
if [ "$format" = jpeg ]; then
    set -- -background white -alpha remove
else
    set --
fi
/usr/bin/convert -define "jpeg:size=$((size * 2))x$((size * 2))" '-[0]' -auto-orient \
    -thumbnail "${size}x$size>" "$@" -strip -quality 85 "$format:-" ||
    fail "the body is no image that can be read"
