/* SPDX-License-Identifier: MIT */
#include <libfyaml.h>
#include <string.h>

#include "encoding.h"
#include "syntax.h"
#include "tree.h"

struct builder {
	struct arena *arena;
	struct mistakes *mistakes;
	const char *file;
	struct node *root;
	struct node *open[MAX_DEPTH];
	bool flow[MAX_DEPTH];		/* it is written with braces or brackets */
	unsigned int depth;
	struct node *key;		/* of the open map; its value comes next */
	bool again;			/* the map already has that key */
	bool documents;			/* a document has begun */
	bool failed;			/* the tree is not complete */
	bool ended;			/* the parser has seen the end of the bytes */
};

void tree_add(struct node *parent, struct node *child)
{
	child->next = NULL;
	if (parent->last)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	parent->nr++;
}

struct node *tree_find(const struct node *map, const char *key)
{
	if (map->type != NODE_MAP)
		return NULL;
	for (struct node *child = map->first; child; child = child->next)
		if (!strcmp(child->key, key))
			return child;
	return NULL;
}

bool tree_is_empty(const struct node *node)
{
	return node->type == NODE_TEXT && !node->text[0] && !node->quoted;
}

static struct place place_of(const struct builder *b, struct fy_event *event)
{
	const struct fy_mark *mark = fy_event_start_mark(event);

	if (mark)
		return (struct place){ b->file, mark->line + 1, mark->column + 1 };
	/* libfyaml 0.7 has no mark for an empty value. */
	return b->depth ? b->open[b->depth - 1]->place : (struct place){ b->file, 1, 1 };
}

static void refuse_extras(struct builder *b, struct fy_event *event)
{
	struct place place = place_of(b, event);

	if (event->type == FYET_ALIAS)
		mistake(b->mistakes, &place,
			"aliases (*name) are not supported; write the value again, or quote it");
	else if (fy_event_get_anchor_token(event))
		mistake(b->mistakes, &place,
			"anchors (&name) are not supported; remove it, or quote the value");
	if (fy_event_get_tag_token(event))
		mistake(b->mistakes, &place,
			"tags (!name) are not supported; remove it, or quote the value");
}

/* NULL: no memory. */
static struct node *new_node(struct builder *b, struct fy_event *event, enum node_type type)
{
	struct node *node = arena_new(b->arena, 1, sizeof(*node));

	if (!node)
		return NULL;
	node->type = type;
	node->place = place_of(b, event);
	return node;
}

static void refuse_control_characters(struct builder *b, const struct node *node,
				      const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if ((unsigned char)text[i] >= ' ' && text[i] != 0x7f)
			continue;
		mistake(b->mistakes, &node->place,
			"a text with a control character; write it on one line, without escapes");
		return;
	}
}

/* For a scalar, or for an alias, which was reported already. */
static struct node *new_text(struct builder *b, struct fy_event *event)
{
	struct fy_token *token = event->type == FYET_SCALAR ? event->scalar.value : NULL;
	struct node *node = new_node(b, event, NODE_TEXT);
	size_t size = 0;
	const char *text = token ? fy_token_get_text(token, &size) : NULL;

	if (!node)
		return NULL;
	if (!text)
		size = 0;
	node->text = arena_text(b->arena, text, size);
	node->quoted = token && fy_token_scalar_style(token) != FYSS_PLAIN;
	/* The mark is after the quote. */
	if (node->quoted && node->place.column > 1)
		node->place.column--;
	refuse_control_characters(b, node, text, size);
	return node->text ? node : NULL;
}

static void set_key(struct builder *b, struct node *node)
{
	struct node *map = b->open[b->depth - 1];
	struct node *other = tree_find(map, node->text);
	char where[PLACE_TEXT];

	if (other)
		mistake(b->mistakes, &node->place,
			"\"%.60s\" is given twice; the first time is at %s, remove one",
			node->text, place_text(&other->key_place, where));
	b->key = node;
	b->again = other;
}

/* Adds a node to the open map or list.  False: it cannot be a key. */
static bool put(struct builder *b, struct node *node)
{
	struct node *parent = b->depth ? b->open[b->depth - 1] : NULL;

	if (!parent) {
		b->root = node;
		return true;
	}
	if (parent->nr >= MAX_CHILDREN) {
		mistake(b->mistakes, &node->place,
			"more than %d settings or values here; use fewer", MAX_CHILDREN);
		return false;
	}
	if (parent->type == NODE_MAP && !b->key) {
		if (node->type != NODE_TEXT) {
			mistake(b->mistakes, &node->place,
				"a map or list is where a name is expected; write name: value");
			return false;
		}
		set_key(b, node);
		return true;
	}
	if (parent->type == NODE_MAP) {
		node->key = b->key->text;
		node->key_place = b->key->place;
		b->key = NULL;
		if (tree_is_empty(node))
			node->place = node->key_place;
		/* The second value is not added, so that a key is in a map once. */
		if (b->again)
			return true;
	}
	tree_add(parent, node);
	return true;
}

/* False: stop. */
static bool open_node(struct builder *b, struct fy_event *event, enum node_type type)
{
	struct node *node = new_node(b, event, type);

	if (!node || !put(b, node))
		return false;
	if (b->depth == MAX_DEPTH) {
		mistake(b->mistakes, &node->place,
			"more than %d maps and lists are nested; no setting needs that many",
			MAX_DEPTH);
		return false;
	}
	b->flow[b->depth] = !fy_event_is_implicit(event);
	b->open[b->depth++] = node;
	return true;
}

static bool start_document(struct builder *b, struct fy_event *event)
{
	struct place place = place_of(b, event);
	struct fy_document_state *state = event->document_start.document_state;

	if (b->documents) {
		mistake(b->mistakes, &place,
			"a second document begins; put everything into one, without \"---\"");
		return false;
	}
	if (fy_document_state_version_explicit(state) || fy_document_state_tags_explicit(state)) {
		mistake(b->mistakes, &place,
			"directives (%%YAML, %%TAG) are not supported; remove them");
		return false;
	}
	b->documents = true;
	return true;
}

static bool handle(struct builder *b, struct fy_event *event, size_t size)
{
	const struct fy_mark *mark;
	struct node *node;

	refuse_extras(b, event);
	switch (event->type) {
	case FYET_DOCUMENT_START:
		return start_document(b, event);
	case FYET_MAPPING_START:
		return open_node(b, event, NODE_MAP);
	case FYET_SEQUENCE_START:
		return open_node(b, event, NODE_LIST);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		b->depth--;
		return true;
	case FYET_SCALAR:
	case FYET_ALIAS:
		node = new_text(b, event);
		return node && put(b, node);
	case FYET_STREAM_END:
		mark = fy_event_end_mark(event);
		b->ended = mark && mark->input_pos >= size;
		return true;
	default:
		return true;
	}
}

/* The innermost map or list whose brace or bracket is open, or NULL. */
static const struct node *open_in_flow(const struct builder *b)
{
	return b->depth && b->flow[b->depth - 1] ? b->open[b->depth - 1] : NULL;
}

static void build(struct builder *b, struct fy_parser *parser, struct fy_diag *diag, size_t size)
{
	struct fy_event *event;
	bool going_on = true;

	while (going_on && (event = fy_parser_parse(parser))) {
		going_on = handle(b, event, size);
		fy_parser_event_free(parser, event);
	}
	b->failed = !b->ended;
	if (going_on && fy_parser_get_stream_error(parser))
		syntax_report(b->mistakes, b->file, diag, open_in_flow(b));
	else if (going_on && !b->ended)
		/* The library treats what it cannot decode as the end of the file. */
		mistake(b->mistakes, &(struct place){ .file = b->file },
			"the YAML parser stopped before the end; write plain UTF-8");
}

static void parse(struct builder *b, const char *bytes, size_t size)
{
	struct fy_diag *diag = syntax_diag();
	struct fy_parse_cfg cfg = {
		.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE,
		.diag = diag,
	};
	struct fy_parser *parser = diag ? fy_parser_create(&cfg) : NULL;

	if (!parser || fy_parser_set_string(parser, bytes, size)) {
		b->arena->failed = true;
		b->failed = true;
	} else {
		build(b, parser, diag, size);
	}
	fy_parser_destroy(parser);
	fy_diag_destroy(diag);
}

struct node *tree_parse(struct arena *arena, struct mistakes *mistakes, const char *file,
			const char *bytes, size_t size)
{
	struct builder b = { .arena = arena, .mistakes = mistakes, .file = file };
	struct place place = { file, 1, 1 };

	if (!encoding_check(mistakes, file, bytes, size))
		return NULL;
	parse(&b, bytes, size);
	if (b.failed || arena->failed)
		return NULL;
	if (!b.root || tree_is_empty(b.root)) {
		b.root = arena_new(arena, 1, sizeof(*b.root));
		if (b.root) {
			b.root->type = NODE_MAP;
			b.root->place = place;
		}
	} else if (b.root->type != NODE_MAP) {
		mistake(mistakes, &b.root->place, "this is not a map of settings; write name: value");
		return NULL;
	}
	return b.root;
}
