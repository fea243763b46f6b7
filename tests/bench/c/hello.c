/* The smallest function: as a CGI program has it, for fcgiwrap to run it too. */
#include <unistd.h>

int main(void)
{
    static const char text[] = "Content-Type: text/plain\r\n\r\nhello\n";

    return write(1, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 ? 0 : 1;
}
