#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "network/network.h"

int network_tap_open(const char *name, int *ret_fd, struct error *err)
{
    auto_close int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int header = 12; /* struct virtio_net_hdr_v1 */

    if (fd < 0)
        return error_errno(err,
                           "open /dev/net/tun, of which a virtual machine's interface is made");
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return error_errno(err, "make the tap '%s'", name);
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
        return error_errno(err, "set up the tap '%s'", name);
    *ret_fd = take_fd(&fd);
    return 0;
}
