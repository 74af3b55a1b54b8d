DROP INDEX dsl_notes_embedding;
