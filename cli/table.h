#ifndef CLI_TABLE_H
#define CLI_TABLE_H

/**
 * Aligns columns as docker does: every cell that ends with a tab becomes as wide as the widest of
 * its column and three spaces more, at least ten; the last cell of a line stays as it is.
 *
 * @text  lines that end with '\n', cells that are separated by '\t'; UTF-8, with colours
 *
 * Returns the aligned text; caller frees.
 */
char *table_format(const char *text);

#endif
