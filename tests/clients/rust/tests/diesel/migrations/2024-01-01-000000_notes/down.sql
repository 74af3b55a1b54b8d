DROP TABLE dsl_notes;
DROP TABLE dsl_authors;
