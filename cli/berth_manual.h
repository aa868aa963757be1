#ifndef CLI_BERTH_MANUAL_H
#define CLI_BERTH_MANUAL_H

/* What the manual page of berth says beyond its tables of commands and options; roff. */

extern const char berth_description[]; /* before the options */
extern const char berth_manual[];      /* behind the commands */

#endif
