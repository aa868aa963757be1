#include "microvm/terminal_mode.h"

#include <sys/ioctl.h>

void terminal_mode_set_raw(struct terminal_mode *mode, int fd)
{
    struct termios raw;

    mode->is_raw = tcgetattr(fd, &mode->before) == 0;
    if (!mode->is_raw)
        return;
    raw = mode->before;
    cfmakeraw(&raw);
    (void)tcsetattr(fd, TCSANOW, &raw); /* it is a terminal; then it looks odd at worst */
}

void terminal_mode_restore(const struct terminal_mode *mode, int fd)
{
    if (mode->is_raw)
        (void)tcsetattr(fd, TCSANOW, &mode->before); /* nothing better is left to do */
}

bool terminal_mode_size(int fd, uint32_t *ret_rows, uint32_t *ret_columns)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
        return false;
    *ret_rows = size.ws_row;
    *ret_columns = size.ws_col;
    return true;
}
