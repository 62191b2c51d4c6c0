"""Everything the registry knows about its content: one schema, one set of SQL, two databases."""
