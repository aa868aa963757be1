#ifndef CLI_OCI_MANUAL_H
#define CLI_OCI_MANUAL_H

/* What the manual page of berth-oci says beyond its tables of commands and options; roff. */

extern const char oci_description[]; /* before the options */
extern const char oci_manual[];      /* behind the commands */

#endif
