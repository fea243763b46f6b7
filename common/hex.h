/* Hexadecimal digits, in either case. */
#ifndef COMMON_HEX_H
#define COMMON_HEX_H

int hex_digit(char c); /* its value, 0 … 15; -1: it is none */

#endif /* COMMON_HEX_H */
