"""The steps from an empty file to schema.sql, one ``NNNN_name.sql`` each; they are appended to, never edited."""
