/* SPDX-License-Identifier: MIT */
/* Checks what must hold between settings, and fills the catalogue. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

struct node;
struct reader;

/* @object: the struct of the section. */
void check_write(struct reader *reader, const struct node *node, void *object);
void check_slice(struct reader *reader, const struct node *node, void *object);
void check_device(struct reader *reader, const struct node *node, void *object);
void check_kept(struct reader *reader, const struct node *node, void *object);
void check_all(struct reader *reader, const struct node *node, void *object);

#endif
