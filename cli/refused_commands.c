#include "cli/refused_commands.h"

/* What docker's users type; README.md, "Not there yet" and "Where it differs from docker", tells
 * the same. */

const struct refused_command refused_commands[] = {
    { "build|image build|builder|buildx|bake", "building images is not there yet" },
    { "events|system events", "events are not there yet: 'wait' waits for an end, 'logs -f' and "
                              "'stats' tell what goes on" },
    { "network",
      "networks other than none, host and slirp4netns are not there yet; 'run --network' "
      "chooses one" },
    { "compose", "making several containers from one file is not there yet" },
    { "manifest",
      "making indexes of images is not there yet; 'image inspect docker://IMAGE' and 'image copy' "
      "take those of others" },
    { "trust", "signing is not there yet; 'image referrers' lists the signatures of others" },
    { "context|system dial-stdio",
      "there is no service to connect to, berth works on this machine" },
    { "plugin", "there are no plugins" },
    { "swarm|node|service|stack|secret|config|volume update",
      "berth runs containers on this machine only, there are no clusters" },
    { 0 },
};
